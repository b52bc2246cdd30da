"""Counts words: an ordinary mrjob job, with a package from PyPI in its mapper.

``regex`` knows what a letter is in any script. ``venv-build.sh`` installs it; only the nodes need it.
"""

from mrjob.job import MRJob


class MRWordCount(MRJob):
    def mapper_init(self):
        import regex  # not on this machine

        self.words = regex.compile(r"\p{Letter}+").findall

    def mapper(self, _, line):
        for word in self.words(line.lower()):
            yield word, 1

    def combiner(self, word, counts):
        yield word, sum(counts)

    def reducer(self, word, counts):
        yield word, sum(counts)


if __name__ == "__main__":
    MRWordCount.run()
