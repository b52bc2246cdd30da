"""Says whose functions its tasks read and write with."""

import os

from mrjob.job import MRJob


class MRWhoseWriting(MRJob):
    def mapper(self, _, line):
        yield self._wrap_protocols.__module__, os.environ.get("MINE")

    def reducer(self, module, mine):
        yield [module, self._wrap_protocols.__module__], list(mine)


if __name__ == "__main__":
    MRWhoseWriting.run()
