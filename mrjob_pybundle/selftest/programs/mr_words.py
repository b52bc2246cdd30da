"""Counts words, with a package from PyPI in its mapper that only the nodes have."""

from mrjob.job import MRJob


class MRWords(MRJob):
    def mapper_init(self):
        import regex

        self.words = regex.compile(r"\p{Letter}+").findall

    def mapper(self, _, line):
        for word in self.words(line.lower()):
            yield word, 1

    def combiner(self, word, counts):
        yield word, sum(counts)

    def reducer(self, word, counts):
        yield word, sum(counts)


if __name__ == "__main__":
    MRWords.run()
