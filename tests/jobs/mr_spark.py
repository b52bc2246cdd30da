"""A job of one Spark step."""

from mrjob.job import MRJob


class MRSpark(MRJob):
    def spark(self, input_path, output_path):
        from pyspark import SparkContext

        SparkContext().textFile(input_path).saveAsTextFile(output_path)


if __name__ == "__main__":
    MRSpark.run()
