"""The promise itself: ``-r emr`` becomes ``-r pybundle-emr``, and each byte of the output stays (its order is any).

Stock jobs run on a cluster of stock mrjob's, with mrjob on the nodes' own Python. Not here: mr_boom and mr_sparkaboom,
which are to fail; mr_count_lines_wrong, whose output says how input was split; mr_nick_nack, which writes named files.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
from warcio.warcwriter import WARCWriter

from tests.engines.conftest import Job, example, mostly_builtin
from tests.line.conftest import Line

pytestmark = pytest.mark.engines


@pytest.fixture(scope="package")
def stock_job(line: Line) -> Job:
    """A job with ``-r emr``, on a cluster that ``mrjob create-cluster`` has made."""
    install = "sudo python3 -m pip install -q --break-system-packages warcio==1.7.5"
    created = line.run(
        "-m", "mrjob.cmd", "create-cluster", "--num-core-instances", 1, "--bootstrap-spark", "--bootstrap", install
    )
    assert created.returncode == 0, created.stderr[-6000:]
    cluster = created.stdout.strip()

    def run(script: Path, *args: object, **kwargs: object) -> object:
        return line.run(script, "-r", "emr", "--cluster-id", cluster, "--no-read-logs", *args)

    return run  # type: ignore[return-value]


STREAMING = [
    ("mr_word_freq_count", (), 2),  # a combiner
    ("mr_next_word_stats", ("-D", "mapreduce.job.reduces=2"), 2),  # sorted values
    ("mr_grep", ("-e", "the"), 2),  # a command as mapper, no reducer
    ("mr_most_used_word", (), 2),  # several steps, a combiner, a file beside the script
    ("mr_words_containing_u_freq_count", (), 2),  # a filter before the mapper
    ("mr_text_classifier", (), 1),  # arguments of its own; sums of fractions, which depend on the order of tasks
    ("mr_count_lines_by_file", (), 2),  # reads names of input files
    ("mr_count_lines_right", (), 2),
    ("mr_wc", (), 2),
    ("mr_log_sampler", ("--sample-size", "1000000"), 2),
]
JARS_AND_SPARK = ["mr_jar_step_example", "mr_spark_wordcount", "mr_spark_wordcount_script", "mr_spark_most_used_word"]


def _with_rare_ones(engine: str, jobs: list[Any], often: int) -> list[Any]:
    """Parameters for *jobs* on that engine; all but the first ones are for when there is time."""
    return [
        pytest.param(engine, *job, marks=[pytest.mark.whole] if number >= often else [])
        for number, job in enumerate(jobs)
    ]


@pytest.mark.parametrize(
    ("engine", "module", "args", "files"),
    # On the built-in engine, tests/line has some of them, too.
    _with_rare_ones("builtin", STREAMING, 4) + _with_rare_ones("hadoop", STREAMING, 2),
    indirect=["engine"],
)
def test_streaming_output_is_that_of_emr(
    job: Job, stock_job: Job, texts: list[Path], module: str, args: tuple[str, ...], files: int
) -> None:
    given = (example(module), *args, *texts[:files])
    assert _output(job, *given) == _output(stock_job, *given)


@mostly_builtin
def test_web_pages_of_a_crawl(job: Job, stock_job: Job, tmp_path: Path) -> None:
    """Archives of a crawl, read as whole files by a package of the bundle."""
    pages = {
        "http://a.example/contact": "Call 1-206-555-0123 or (206) 555-9876.",
        "http://b.example/all": "206-555-0123, 206-555-4444, 206-555-9876",
        "http://c.example/": "no number",
    }
    for number, (url, text) in enumerate(pages.items()):
        with (tmp_path / f"{number}.wet.gz").open("wb") as file:
            writer = WARCWriter(file, gzip=True)
            record = writer.create_warc_record(
                url,
                "conversion",
                payload=io.BytesIO(text.encode()),
                length=len(text.encode()),  # without it, warcio leaves a temporary file open
                warc_content_type="text/plain",
            )
            writer.write_record(record)
    script, archives = example("mr_phone_to_url"), sorted(tmp_path.glob("*.wet.gz"))
    found = _output(job, script, *archives)
    assert found == _output(stock_job, script, *archives)
    assert len([line for line in found if line]) == 3, found


@pytest.mark.parametrize(
    ("engine", "module"), _with_rare_ones("hadoop", [(name,) for name in JARS_AND_SPARK], 2), indirect=["engine"]
)
def test_output_of_jars_and_spark_is_that_of_emr(job: Job, stock_job: Job, texts: list[Path], module: str) -> None:
    given = (example(module), *texts[:1])
    assert _output(job, *given) == _output(stock_job, *given)


def _output(job: Job, *given: object) -> list[str]:
    run = job(*given)
    assert run.returncode == 0, run.stderr[-6000:]
    assert run.stdout
    # mrjob puts each job's input into a directory of the job's own, which is what some jobs print.
    return sorted(re.sub(r"/[\w.]+\.\d{8}\.\d{6}\.\d{6}/", "/JOB/", line) for line in run.stdout.split("\n"))
