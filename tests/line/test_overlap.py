"""A job's cluster that starts while the bundle is still being built."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest

from mrjob_pybundle.job.waiting import STEP_NAME
from mrjob_pybundle.sandbox.api.faults import ACCESS_DENIED, ACCESS_DENIED_BY_EMR, LoseAnswer, Rule
from tests.existing import fetched_archives
from tests.line.conftest import ROOT, Line, plain_addresses

pytestmark = [pytest.mark.whole, pytest.mark.usefixtures("plain_cache")]

JOB = ROOT / "tests" / "jobs" / "mr_line_lengths.py"
DEADLINE_SECONDS = 300

Submit = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def submit(line: Line, tmp_path: Path) -> Submit:
    """Start a job whose ``venv-build.sh`` has that text, with a home and temporary files of its author's own."""
    line.new_clusters()
    home = tmp_path / "home"
    home.mkdir()

    def submit(text: str, *switches: object) -> subprocess.Popen[str]:
        script = tmp_path / "venv-build.sh"
        script.write_text(text)
        return line.submit(
            *(JOB, "-r", "pybundle-emr", "--pybundle-venv-build", script, *switches),
            *plain_addresses(),
            HOME=str(home),
            XDG_CACHE_HOME=str(home),
        )

    return submit


def _wait_until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found


def _until(lines: IO[str], text: str) -> list[str]:
    """The *lines* up to one with *text* in it."""
    read: list[str] = []
    for found in lines:
        read.append(found)
        if text in found:
            return read
    raise AssertionError("".join(read))


def _state(line: Line, cluster_id: str) -> str:
    return str(line.client("emr").describe_cluster(ClusterId=cluster_id)["Cluster"]["Status"]["State"])


def _ended(line: Line, cluster_id: str) -> bool:
    return _state(line, cluster_id).startswith("TERMINATED")


def _steps(line: Line, cluster_id: str) -> list[tuple[str, str]]:
    """Names, without the job's key, and states of a cluster's steps, the first first."""
    steps = reversed(line.client("emr").list_steps(ClusterId=cluster_id)["Steps"])
    return [(step["Name"].split(": ")[-1], step["Status"]["State"]) for step in steps]


class _Clusters:
    """Those that have been launched since: of builds, and of jobs."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._found: list[dict[str, Any]] = []

    def of_jobs(self) -> list[str]:
        self._found += self._line.new_clusters()
        return [c["Id"] for c in self._found if not c["Name"].startswith("mrjob-pybundle build")]

    def of_builds(self) -> list[str]:
        self._found += self._line.new_clusters()
        return [c["Id"] for c in self._found if c["Name"].startswith("mrjob-pybundle build")]


@pytest.fixture
def clusters(line: Line, submit: Submit) -> _Clusters:
    return _Clusters(line)


def test_an_edit_waits_for_both_clusters_at_once(line: Line, submit: Submit, clusters: _Clusters) -> None:
    since = len(line.requests)
    author = submit("echo beside each other\nsleep 5\n")
    output, log = author.communicate()
    assert (author.returncode, output) == (0, "3\t1\n"), log
    (cluster_id,) = clusters.of_jobs()
    assert f"The job's cluster {cluster_id} starts while the bundle is being built" in log
    assert _steps(line, cluster_id) == [(STEP_NAME, "COMPLETED"), ("Step 1 of 1", "COMPLETED")]
    asked = [(request.operation, request.key) for request in line.requests[since:]]
    launched = [number for number, (operation, _) in enumerate(asked) if operation == "RunJobFlow"]
    published = next(
        number for number, (operation, key) in enumerate(asked)
        if operation == "PutObject" and re.search(r"/v1/venv/[^/]*/manifest.json$", key)
    )  # fmt: skip
    assert len(launched) == 2
    assert launched[1] < published, "the job's cluster was there before the bundle"
    inputs = [number for number, (operation, key) in enumerate(asked) if operation == "PutObject" and "/STDIN" in key]
    assert inputs
    assert min(inputs) > launched[1], "it did not wait for what may be long in coming"
    about_life = {operation for operation, key in asked if key.endswith("/submitter")}
    assert about_life == {"PutObject", "GetObject"}, "each sign, and each look for one, is one request"
    assert len(fetched_archives(line, since)) == 2, "which each job brings along once"
    assert _wait_until(lambda: _ended(line, cluster_id))


def test_who_joins_a_build_starts_a_cluster_too(line: Line, submit: Submit, clusters: _Clusters) -> None:
    authors = [submit("echo together\nsleep 15\n") for _ in range(2)]
    results = [(*author.communicate(), author.returncode) for author in authors]
    assert [(output, status) for output, _, status in results] == [("3\t1\n", 0)] * 2, results
    assert len(clusters.of_builds()) == 1
    ours = clusters.of_jobs()
    assert len(ours) == 2
    assert {_steps(line, cluster_id)[0] for cluster_id in ours} == {(STEP_NAME, "COMPLETED")}


def test_a_build_that_fails_ends_the_cluster(line: Line, submit: Submit, clusters: _Clusters) -> None:
    """What is read last is the build's failure. The next run, unless told otherwise, starts no cluster for a try."""
    author = submit("echo the last words\nsleep 5\nexit 3\n")
    _, log = author.communicate()
    assert author.returncode == 1
    (cluster_id,) = clusters.of_jobs()
    assert f"Ended the job's cluster {cluster_id}, of which no step of the job's has begun" in log
    assert log.count("mrjob-pybundle build first, then the job, goes without that") == 1
    assert "venv-build.sh ended with exit status 3" in log[log.index("Ended the job's cluster") :]
    assert _wait_until(lambda: _ended(line, cluster_id))

    author = submit("echo another try\nexit 4\n")
    _, log = author.communicate()
    assert "the latest build has failed, and this one may, too. pybundle_overlap: true has it start meanwhile" in log
    assert len(clusters.of_jobs()) == 1, "the first run's"


def test_ctrl_c_ends_the_cluster_and_not_the_build(line: Line, submit: Submit, clusters: _Clusters) -> None:
    author = submit("echo interrupted\nsleep 15\n")
    assert author.stderr is not None
    _until(author.stderr, "starts while the bundle is being built")
    (cluster_id,) = clusters.of_jobs()
    author.send_signal(signal.SIGINT)
    _, log = author.communicate()
    assert "The build goes on in cluster" in log
    assert f"Ended the job's cluster {cluster_id}" in log
    assert _wait_until(lambda: _ended(line, cluster_id))


def test_a_submitter_who_is_killed(line: Line, submit: Submit, clusters: _Clusters) -> None:
    """Their cluster ends by itself."""
    author = submit("echo killed\nsleep 15\n", "--pybundle-overlap-patience-seconds", "10")
    (cluster_id,) = _wait_until(clusters.of_jobs)
    author.kill()
    author.communicate()
    assert _wait_until(lambda: _ended(line, cluster_id))
    assert _steps(line, cluster_id) == [(STEP_NAME, "FAILED")]


def test_a_submitter_who_sleeps(line: Line, submit: Submit, clusters: _Clusters) -> None:
    """Their cluster gives them up meanwhile: they get another, which has the bundle from its start."""
    author = submit("echo asleep\nsleep 5\n", "--pybundle-overlap-patience-seconds", "10")
    (cluster_id,) = _wait_until(clusters.of_jobs)
    author.send_signal(signal.SIGSTOP)
    _wait_until(lambda: _ended(line, cluster_id))
    author.send_signal(signal.SIGCONT)
    output, log = author.communicate()
    assert (author.returncode, output) == (0, "3\t1\n"), log
    assert f"The job's cluster {cluster_id} is TERMINATED_WITH_ERRORS" in log
    other = next(found for found in clusters.of_jobs() if found != cluster_id)
    assert _steps(line, other) == [("Step 1 of 1", "COMPLETED")]


def test_a_cluster_that_gives_up_when_its_steps_are_there(line: Line, submit: Submit, clusters: _Clusters) -> None:
    """Its master cannot read the submitter's last word: the job gets another cluster."""
    author = submit("echo unheard\n", "--pybundle-overlap-patience-seconds", "10")
    assert author.stderr is not None
    said = _until(author.stderr, "Using bundle")
    with line.faults.injected(Rule("GetObject", ACCESS_DENIED, key="*/submitter")):
        output, log = author.communicate()
    log = "".join(said) + log
    assert (author.returncode, output) == (0, "3\t1\n"), log
    first = re.search(r"Cluster (\S+) had given up waiting for the job's steps: it gets another one", log)
    assert first, log
    assert _steps(line, first[1]) == [(STEP_NAME, "FAILED"), ("Step 1 of 1", "CANCELLED")]
    assert len(clusters.of_jobs()) == 2


def test_no_sign_of_life_can_be_given(line: Line, submit: Submit, clusters: _Clusters) -> None:
    with line.faults.injected(Rule("PutObject", ACCESS_DENIED, key="*/submitter")):
        author = submit("echo no sign\n")
        output, log = author.communicate()
    assert (author.returncode, output) == (0, "3\t1\n"), log
    assert "The job's cluster does not start yet, but when the bundle is there" in log
    (cluster_id,) = clusters.of_jobs()
    assert _steps(line, cluster_id) == [("Step 1 of 1", "COMPLETED")]


def test_emr_launches_no_cluster_meanwhile(line: Line, submit: Submit, clusters: _Clusters) -> None:
    """It is asked again when the bundle is there."""
    refused = Rule("RunJobFlow", ACCESS_DENIED, after=1, times=1)
    with line.faults.injected(refused) as strikes:
        author = submit("echo no cluster yet\n")
        output, log = author.communicate()
    assert (author.returncode, output) == (0, "3\t1\n"), log
    assert len(strikes) == 1
    assert "The job's cluster does not start yet, but when the bundle is there" in log


def test_who_is_not_told_of_the_cluster_finds_it(line: Line, submit: Submit, clusters: _Clusters) -> None:
    """Another one would wait, too, and be told that its submitter lives, until the bundle is there."""
    with line.faults.injected(Rule("RunJobFlow", LoseAnswer(), after=1, times=1)) as strikes:
        author = submit("echo not told\n")
        output, log = author.communicate()
    assert strikes
    assert (author.returncode, output) == (0, "3\t1\n"), log
    (cluster_id,) = clusters.of_jobs()
    assert f"The job's cluster {cluster_id} starts while the bundle is being built" in log


def test_steps_that_emr_refuses(line: Line, submit: Submit, clusters: _Clusters) -> None:
    """That is no reason for another cluster, which would refuse them, too."""
    with line.faults.injected(Rule("AddJobFlowSteps", ACCESS_DENIED_BY_EMR)):
        author = submit("echo refused\n")
        _, log = author.communicate()
    assert author.returncode == 1
    assert "No permission" in log.strip().splitlines()[-1], log
    (cluster_id,) = clusters.of_jobs()
    assert _wait_until(lambda: _ended(line, cluster_id))


@pytest.mark.parametrize(
    ("switches", "why"),
    [
        (["--no-pybundle-overlap"], None),
        (["--num-core-instances", "12"], "it has 13 instances, which would wait for the rest of the build"),
    ],
    ids=["told", "many"],
)
def test_jobs_whose_cluster_comes_after_the_build(
    line: Line, submit: Submit, clusters: _Clusters, tmp_path: Path, switches: list[str], why: str | None
) -> None:
    author = submit("exit 5\n", *switches)
    _, log = author.communicate()
    assert author.returncode == 1
    assert clusters.of_jobs() == []
    assert ("The job's cluster starts after the build" in log) == (why is not None)
    assert why is None or why in log
