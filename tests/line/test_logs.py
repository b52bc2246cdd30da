"""Logs of steps that come late, in parts or never, from a cluster that goes on, where jobs look for counters."""

from __future__ import annotations

import gzip
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from mrjob_pybundle.sandbox.api.faults import ACCESS_DENIED, INTERNAL_ERROR, Delay, Do, Rule
from mrjob_pybundle.sandbox.api.requests import Request
from tests.line.conftest import ROOT, Line

LENGTHS = ROOT / "tests" / "jobs" / "mr_line_lengths.py"
LOGS = "sandbox/tmp/logs/*/steps/*"
NEVER = Rule("PutObject", ACCESS_DENIED, key=LOGS)

#: Of two steps, and with less patience than ten minutes. (Nodes have nothing of ours but the hook.)
IMPATIENT = """\
from mrjob.job import MRJob
from mrjob.step import MRStep

class MRTwice(MRJob):
    def steps(self):
        return [MRStep(mapper=self.pass_on), MRStep(mapper=self.pass_on)]
    def pass_on(self, key, value):
        yield key, value

if __name__ == "__main__":
    try:
        from mrjob_pybundle.job import step_logs
    except ModuleNotFoundError as error:
        if error.name != "mrjob_pybundle":
            raise
    else:
        step_logs.LOG_WAIT_SECONDS = 2
    MRTwice.run()
"""


@pytest.fixture(scope="module")
def cluster_id(line: Line) -> Iterator[str]:
    created = line.run("-m", "mrjob_pybundle", "create-cluster", "--num-core-instances", "0")
    assert created.returncode == 0, created.stderr[-3000:]
    yield created.stdout.rstrip("\n")
    line.client("emr").terminate_job_flows(JobFlowIds=[created.stdout.rstrip("\n")])


@pytest.mark.whole
def test_a_part_of_a_log_is_none(line: Line, cluster_id: str) -> None:
    """EMR copies the log of a long step while it runs. Counters are at the end."""

    def copy_a_part(_: Request) -> None:
        newest = line.client("emr").list_steps(ClusterId=cluster_id)["Steps"][0]["Id"]
        for name in ("controller", "syslog"):
            key = f"tmp/logs/{cluster_id}/steps/{newest}/{name}.gz"
            part = gzip.compress(b"2026-11-22 22:30:00,123 INFO o.a.h.m.Job (main): Running job: job_1_0001\n")
            line.client("s3").put_object(Bucket="sandbox", Key=key, Body=part)
            line.make_older(key, 60, "sandbox")

    with line.faults.injected(
        Rule("DescribeStep", Do(copy_a_part), who="submitter", times=1),
        Rule("PutObject", Delay(5), key="sandbox/tmp/logs/*/syslog.gz", who="role-*", times=1),
    ) as strikes:
        run = line.job(LENGTHS, "--cluster-id", cluster_id, stdin="abc\n")
    assert (run.returncode, run.stdout) == (0, "3\t1\n"), run.stderr[-6000:]
    assert len(strikes) == 2
    assert "Map input records=1" in run.stderr
    assert run.stderr.count("Waiting for the log of step") == 1


@pytest.mark.whole
def test_logs_that_never_come(line: Line, cluster_id: str, tmp_path: Path) -> None:
    """Each step is waited for once, whatever of its logs mrjob asks for; and the job has its output."""
    script = tmp_path / "mr_twice.py"
    script.write_text(IMPATIENT)
    with line.faults.injected(NEVER):
        run = line.job(script, "--cluster-id", cluster_id, stdin="abc\n")
    assert (run.returncode, run.stdout) == (0, 'null\t"abc"\n'), run.stderr[-6000:]
    assert run.stderr.count("Waiting for the log of step") == 2
    assert run.stderr.count("has not come: its counters may be missing") == 2


@pytest.mark.whole
def test_logs_that_s3_does_not_give(line: Line, cluster_id: str, tmp_path: Path) -> None:
    script = tmp_path / "mr_twice.py"
    script.write_text(IMPATIENT)
    with line.faults.injected(Rule("GetObject", INTERNAL_ERROR, key=LOGS, who="submitter")):
        run = line.job(script, "--cluster-id", cluster_id, stdin="abc\n")
    assert (run.returncode, run.stdout) == (0, 'null\t"abc"\n'), run.stderr[-6000:]
    assert "could not read the counters: AWS said no (reading logs): An error occurred (InternalError)" in run.stderr


@pytest.mark.whole
def test_ctrl_c_once_skips_the_waiting(line: Line, cluster_id: str) -> None:
    with line.faults.injected(NEVER):
        author = line.submit(LENGTHS, "-r", "pybundle-emr", "--cluster-id", cluster_id)
        assert author.stderr is not None
        said = iter(author.stderr.readline, "")
        assert any("Waiting for the log of step" in words for words in said)
        author.send_signal(signal.SIGINT)
        try:
            output, log = author.communicate(timeout=120)
        finally:
            author.kill()
    assert (author.returncode, output) == (0, "3\t1\n"), log
    assert "Waiting for the log of step" not in log
