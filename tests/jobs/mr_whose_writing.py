"""Says whose functions its tasks read and write with."""

import os

from mrjob.job import MRJob


class MRWhoseWriting(MRJob):
    def mapper(self, _, line):
        yield whose(self._wrap_protocols), os.environ.get("MINE")

    def reducer(self, module, mine):
        yield [module, whose(self._wrap_protocols)], list(mine)


def whose(method):
    """The module that it was written in, whatever it goes by."""
    return method.__func__.__globals__["__name__"]


if __name__ == "__main__":
    MRWhoseWriting.run()
