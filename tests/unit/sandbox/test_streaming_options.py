"""What a hadoop-streaming command line means, and that nothing is ignored."""

from __future__ import annotations

import pytest

from mrjob_pybundle.sandbox.streaming.options import StreamingOptionError, parse

_PLAIN = ["-input", "s3://b/in", "-output", "s3://b/out", "-mapper", "cat"]


def test_a_plain_job() -> None:
    job = parse([*_PLAIN, "-reducer", "uniq"])
    assert (job.inputs, job.output, job.mapper, job.reducer) == (("s3://b/in",), "s3://b/out", "cat", "uniq")
    assert job.reduces == 1
    assert job.ignore_input_key


def test_generic_options() -> None:
    job = parse(
        [
            "-files",
            "s3://b/x.py#job.py,s3://b/y",
            "-archives",
            "s3://b/a.tar.gz#a",
            "-D",
            "mapred.reduce.tasks=3",
            "-Dmapreduce.map.maxattempts=1",
            *_PLAIN,
        ]
    )
    assert job.files == (("s3://b/x.py", "job.py"), ("s3://b/y", "y"))
    assert job.archives == (("s3://b/a.tar.gz", "a"),)
    assert (job.reduces, job.map_attempts) == (3, 1)


def test_no_reducers() -> None:
    assert parse([*_PLAIN, "-reducer", "NONE"]).reduces == 0
    assert parse(["-D", "mapreduce.job.reduces=0", *_PLAIN]).reduces == 0
    assert parse([*_PLAIN, "-numReduceTasks", "2"]).reduces == 2


def test_inputs_are_separated_by_commas_outside_of_braces() -> None:
    job = parse([*_PLAIN, "-input", "/a,/b{1,2}"])
    assert job.inputs == ("s3://b/in", "/a", "/b{1,2}")


def test_values_of_cmdenv_end_at_a_blank_as_in_streaming() -> None:
    assert parse([*_PLAIN, "-cmdenv", "A=x y", "-cmdenv", "B=z=1"]).environment == (("A", "x"), ("B", "z=1"))


def test_sorting_values_as_mrjob_asks_for_it() -> None:
    job = parse(
        [
            "-Dmapreduce.partition.keypartitioner.options=-k1,1",
            "-Dstream.num.map.output.key.fields=2",
            *_PLAIN,
            "-partitioner",
            "org.apache.hadoop.mapred.lib.KeyFieldBasedPartitioner",
        ]
    )
    assert job.map_output_key_fields == 2
    assert job.partition_fields is not None
    assert [(field.begin, field.end) for field in job.partition_fields] == [(1, 1)]


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (["-libjars", "x.jar", *_PLAIN], "-libjars"),
        ([*_PLAIN, "-io", "rawbytes"], "-io"),
        ([*_PLAIN, "-D", "a=b"], "-D"),
        (["-D", "mapreduce.map.failures.maxpercent=50", *_PLAIN], "mapreduce.map.failures.maxpercent=50"),
        (["-D", "stream.map.output=typedbytes", *_PLAIN], "stream.map.output=typedbytes"),
        (["-D", "mapreduce.job.reduces=many", *_PLAIN], "mapreduce.job.reduces"),
        ([*_PLAIN, "-reducer", "aggregate"], "aggregate"),
        ([*_PLAIN, "-combiner", "org.apache.hadoop.mapred.lib.LongSumReducer"], "LongSumReducer"),
        ([*_PLAIN, "-inputformat", "SequenceFileInputFormat"], "SequenceFileInputFormat"),
        ([*_PLAIN, "-outputformat", "x.Y"], "-outputformat"),
        ([*_PLAIN, "-partitioner", "org.example.Mine"], "org.example.Mine"),
        (["-output", "s3://b/out"], "-input"),
        (["-input", "s3://b/in"], "-output"),
        ([*_PLAIN, "-mapper"], "-mapper"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(args: list[str], named: str) -> None:
    with pytest.raises(StreamingOptionError) as refused:
        parse(args)
    assert named in str(refused.value)


def test_tuning_is_accepted() -> None:
    parse(["-D", "mapreduce.map.cpu.vcores=2", "-D", "mapreduce.job.name=x", *_PLAIN])


@pytest.mark.parametrize(
    ("settings", "limits"),
    [
        ([], (0, 0)),
        (["mapreduce.map.memory.mb=-1"], (0, 0)),
        (["mapreduce.map.memory.mb=2048"], (2 << 30, 0)),
        (["mapred.job.map.memory.mb=1", "mapred.job.reduce.memory.mb=3"], (1 << 20, 3 << 20)),
    ],
)
def test_memory_limits(settings: list[str], limits: tuple[int, int]) -> None:
    job = parse([word for setting in settings for word in ("-D", setting)] + _PLAIN)
    assert (job.map_memory_bytes, job.reduce_memory_bytes) == limits
