"""The bundle where no job has brought it: on clusters that the AWS CLI starts, and on this machine."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

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


def test_a_shell_on_this_machine(line: Line, params: str, tmp_path: Path) -> None:
    """The very bundle of the nodes: its Python, its packages, and what depends on the machine."""
    program = "import platform, ssl, sys, mrjob; print(platform.python_version(), sys.prefix, mrjob.__file__)"
    command = ("-m", "mrjob_pybundle", "shell", "--", "python", "-c", program)
    run = line.run(*command, XDG_CACHE_HOME=str(tmp_path))
    assert run.returncode == 0, run.stderr
    version, prefix, module = run.stdout.split()
    assert version == CPYTHON
    assert re.fullmatch(rf"{re.escape(str(tmp_path))}/mrjob-pybundle/bundles/pybundle-\d+/[0-9a-f]{{20}}/venv", prefix)
    assert module.startswith(f"{prefix}/lib/python3.13/site-packages/mrjob/")
