"""A PySpark program that knows nothing of mrjob: driver and executors say on which Python they run."""

import json
import platform
import sys

from pyspark.sql import SparkSession


def here(part):
    import regex  # of the bundle

    return json.dumps([part, platform.python_version(), sys.executable, regex.__file__])


context = SparkSession.builder.getOrCreate().sparkContext
executors = context.parallelize(range(2), 2).map(lambda _: here("executor"))
context.parallelize([here("driver")], 1).union(executors).saveAsTextFile(sys.argv[1])
