"""The bundle on clusters that others than jobs start: ``cluster-params``, the AWS CLI, a step without mrjob."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import pytest

from mrjob_pybundle.sandbox.sandbox import image_id
from tests.line.conftest import CPYTHON, ROOT, Line
from tests.other_programs import cluster_by_aws_cli, output, run_step

pytestmark = pytest.mark.whole

JOBS = ROOT / "tests" / "jobs"


@pytest.fixture(scope="module")
def params(line: Line) -> str:
    """What is printed for the AWS CLI. The bundle is built for that, if nobody has built it yet."""
    printed = line.run("-m", "mrjob_pybundle", "cluster-params", "--no-spark", "--format", "cli")
    assert printed.returncode == 0, printed.stderr[-6000:]
    return printed.stdout


@pytest.fixture(scope="module")
def cluster(line: Line, params: str) -> Iterator[str]:
    with cluster_by_aws_cli(line, params, image_id()) as cluster_id:
        yield cluster_id


def test_a_streaming_step_that_knows_nothing_of_mrjob(line: Line, params: str, cluster: str) -> None:
    s3 = line.client("s3")
    s3.put_object(Bucket="the-team", Key="plain/mapper.py", Body=(JOBS / "plain_mapper.py").read_bytes())
    s3.put_object(Bucket="the-team", Key="plain/in/lines.txt", Body=b"one\ntwo\n")
    (jobrunner,) = (word.partition("=")[2] for word in shlex.split(params) if word.startswith("PYBUNDLE_JOBRUNNER="))
    run_step(
        line, cluster, "hadoop-streaming",
        "-files", "s3://the-team/plain/mapper.py", "-mapper", f"{jobrunner} mapper.py", "-reducer", "NONE",
        "-input", "s3://the-team/plain/in/", "-output", "s3://the-team/plain/out",
    )  # fmt: skip
    said = [text.split("\t") for text in output(line, "plain/out")]
    assert [(word, version) for word, version, _ in said] == [("one", CPYTHON), ("two", CPYTHON)]
    for *_, executable in said:
        assert re.fullmatch(line.on_node(r"/opt/pybundle/[0-9a-f]{20}/venv/bin/python"), executable)


def test_a_job_there_has_its_bundle_already(line: Line, cluster: str) -> None:
    run = line.job(JOBS / "mr_line_lengths.py", "--cluster-id", cluster, stdin="abc\n")
    assert (run.returncode, run.stdout) == (0, "3\t1\n"), run.stderr[-6000:]
    assert "brings it along" not in run.stderr
