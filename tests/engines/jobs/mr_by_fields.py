"""Sorts its lines by two fields, with Hadoop's partitioner and comparator for fields."""

from mrjob.job import MRJob
from mrjob.protocol import RawValueProtocol


class MRByFields(MRJob):
    INTERNAL_PROTOCOL = RawValueProtocol
    OUTPUT_PROTOCOL = RawValueProtocol

    def partitioner(self):
        return "org.apache.hadoop.mapred.lib.KeyFieldBasedPartitioner"

    def jobconf(self):
        comparator = "org.apache.hadoop.mapreduce.lib.partition.KeyFieldBasedComparator"
        return {
            **super().jobconf(),
            "mapreduce.map.output.key.field.separator": ".",
            "mapreduce.partition.keypartitioner.options": "-k1,1",
            "mapreduce.job.output.key.comparator.class": comparator,
            "mapreduce.partition.keycomparator.options": "-k1,1 -k2,2nr",
        }

    def mapper(self, _, line):
        yield None, line

    def reducer(self, _, lines):
        for line in lines:
            yield None, line


if __name__ == "__main__":
    MRByFields.run()
