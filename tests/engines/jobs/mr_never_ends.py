"""Says nothing, and doesn't end."""

import signal

from mrjob.job import MRJob


class MRNeverEnds(MRJob):
    def mapper(self, _, line):
        signal.pause()
        yield line, None


if __name__ == "__main__":
    MRNeverEnds.run()
