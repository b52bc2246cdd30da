"""Takes more memory than its container may have, and keeps it."""

import signal

from mrjob.job import MRJob


class MREatsMemory(MRJob):
    def mapper(self, _, line):
        hoard = b"x" * (1 << 30)
        signal.pause()
        yield line, len(hoard)


if __name__ == "__main__":
    MREatsMemory.run()
