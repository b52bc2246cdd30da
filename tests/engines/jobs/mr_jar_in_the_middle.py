"""Words in capitals, counted by Hadoop's own example, added up by their first letter."""

from mrjob.job import MRJob
from mrjob.protocol import RawProtocol
from mrjob.step import GENERIC_ARGS, INPUT, OUTPUT, JarStep, MRStep

# Where EMR has it.
EXAMPLES = "file:///usr/lib/hadoop-mapreduce/hadoop-mapreduce-examples.jar"


class MRJarInTheMiddle(MRJob):
    INTERNAL_PROTOCOL = RawProtocol

    def steps(self):
        return [
            MRStep(mapper=self.capitals),
            JarStep(jar=EXAMPLES, args=["wordcount", GENERIC_ARGS, INPUT, OUTPUT]),
            MRStep(mapper=self.first_letters, reducer=self.sums),
        ]

    def capitals(self, _, line):
        for word in line.upper().split():
            yield word, ""

    def first_letters(self, word, count):
        yield word[0], count

    def sums(self, letter, counts):
        yield letter, sum(map(int, counts))


if __name__ == "__main__":
    MRJarInTheMiddle.run()
