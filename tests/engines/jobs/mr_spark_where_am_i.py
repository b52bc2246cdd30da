"""A streaming step, then a Spark step. Every process of theirs says on which Python it runs, and where."""

import json
import os
import sys

from mrjob.job import MRJob
from mrjob.step import MRStep, SparkStep


def here(part):
    import helper_module  # brought by --py-files
    import regex  # of the bundle

    return {
        "part": part,
        "executable": sys.executable,
        "version": sys.version,
        "package": regex.__file__,
        "py_file": helper_module.VALUE,
        "set_up": os.environ.get("SET_UP"),
        "cwd": os.getcwd(),
    }


class MRSparkWhereAmI(MRJob):
    def steps(self):
        return [MRStep(mapper=self.mapper), SparkStep(spark=self.spark)]

    def mapper(self, _, line):
        yield here("mapper"), line

    def spark(self, input_path, output_path):
        from pyspark import SparkContext

        context = SparkContext()
        mappers = context.textFile(input_path).map(lambda line: line.split("\t")[0])
        driver = context.parallelize([json.dumps(here("driver"))], 1)
        executors = context.parallelize(range(2), 2).map(lambda _: json.dumps(here("executor")))
        context.union([mappers, driver, executors]).saveAsTextFile(output_path)
        context.stop()


if __name__ == "__main__":
    MRSparkWhereAmI.run()
