"""A job without needs of its own: how many lines have how many letters."""

from mrjob.job import MRJob


class MRLineLengths(MRJob):
    def mapper(self, _, line):
        yield len(line), 1

    def reducer(self, length, counts):
        yield length, sum(counts)


if __name__ == "__main__":
    MRLineLengths.run()
