"""Counts words on Spark, and yields the Python of an executor, which must be the bundle's."""

import json
import platform
import sys

from mrjob.job import MRJob


def _python(_):
    return [("python", [platform.python_version(), sys.executable])]


class MRSparkWords(MRJob):
    def spark(self, input_path, output_path):
        from pyspark import SparkContext

        context = SparkContext()
        words = context.textFile(input_path).flatMap(lambda line: line.lower().split())
        counts = words.map(lambda word: (word, 1)).reduceByKey(lambda a, b: a + b)
        python = context.parallelize([0], 1).mapPartitions(_python)
        counts.union(python).map(lambda pair: "\t".join(map(json.dumps, pair))).saveAsTextFile(output_path)


if __name__ == "__main__":
    MRSparkWords.run()
