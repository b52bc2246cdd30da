"""Each part of a job says on which Python it runs."""

import json
import os
import sys

from mrjob.job import MRJob
from mrjob.step import MRStep


class MRWhereAmI(MRJob):
    FILES = ("say_where.py",)

    def steps(self):
        return [
            MRStep(mapper_cmd="python say_where.py command"),
            MRStep(
                mapper_pre_filter="{ cat; python say_where.py filter; }",
                mapper=self.mapper,
                combiner=self.combiner,
                reducer=self.reducer,
            ),
        ]

    def _and_here(self, part, key):
        # Hadoop links files into the working directory, and Python looks beside what the script's link points to.
        sys.path.insert(0, os.getcwd())
        from say_where import here

        yield key, None
        yield here(part), None

    def mapper(self, _, line):
        # what a command has written, mrjob hands on as it is
        return self._and_here("mapper", json.loads(line.split("\t")[0]))

    def combiner(self, key, _):
        return self._and_here("combiner", key)

    def reducer(self, key, _):
        return self._and_here("reducer", key)


if __name__ == "__main__":
    MRWhereAmI.run()
