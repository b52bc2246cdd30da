"""Fails."""

from mrjob.job import MRJob


class MRBoom(MRJob):
    def mapper(self, _, line):
        raise ValueError(f"no good: {line}")


if __name__ == "__main__":
    MRBoom.run()
