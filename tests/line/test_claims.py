"""The claim on a build, while its author prepares and launches it: killed, slow, overtaken, or left without an answer.

The builds here are to fail, in venv-build.sh: they end sooner, and everybody must read the same of the same build.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mrjob_pybundle.sandbox.api.faults import (
    ACCESS_DENIED_BY_EMR,
    CONFLICT,
    THROTTLED,
    Do,
    Fault,
    Hide,
    LoseAnswer,
    Rule,
)
from mrjob_pybundle.sandbox.api.requests import Request
from tests.line.conftest import ROOT, Line
from tests.line.test_team import _wait_until

pytestmark = pytest.mark.whole

JOB = ROOT / "tests" / "jobs" / "mr_line_lengths.py"
FAILED = "failed in stage venv-build: venv-build.sh ended with exit status 3"
FIVE_MINUTES = 300.0

Submit = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def submit(line: Line, tmp_path: Path) -> Submit:
    """Start an author, by name, of a job whose bundle is in nobody's cache."""
    script = tmp_path / "venv-build.sh"
    script.write_text(f"echo {tmp_path.name}\nexit 3\n")
    line.new_clusters()
    line.requests.clear()
    return lambda name: line.submit(JOB, "-r", "pybundle-emr", "--pybundle-venv-build", script, key_id=name)


def _log(author: subprocess.Popen[str]) -> str:
    return author.communicate()[1]


def _count(line: Line, operation: str, who: str) -> int:
    return sum((request.operation, request.access_key_id) == (operation, who) for request in line.requests)


def _statuses(line: Line, cluster_ids: list[str]) -> list[dict[str, Any]]:
    """What EMR says of these clusters."""
    return [line.client("emr").describe_cluster(ClusterId=id_)["Cluster"]["Status"] for id_ in cluster_ids]


def _joined(line: Line, who: str) -> bool:
    """Whether that author follows a build: if they have ended a cluster, since then."""
    theirs = [request for request in list(line.requests) if request.access_key_id == who]
    ends = [place for place, request in enumerate(theirs) if request.operation == "TerminateJobFlows"]
    later = theirs[ends[-1] :] if ends else theirs
    return any(request.key.endswith("/status.json") for request in later)


def _hold_until(condition: Callable[[], object]) -> Do:
    """Let a request wait for what other requests bring about."""
    return Do(lambda _: _wait_until(condition))


class _Kill:
    """Kills an author when a request of theirs arrives."""

    def __init__(self) -> None:
        self.author: subprocess.Popen[str] | None = None

    def __call__(self, request: Request) -> None:
        assert self.author is not None
        self.author.send_signal(signal.SIGKILL)
        self.author.wait()


def test_killed_between_claim_and_launch(line: Line, submit: Submit) -> None:
    """The next author waits for a while, looks for the cluster, and takes over."""
    kill = _Kill()
    with line.faults.injected(Rule("PutObject", Do(kill, after=True), key="*/claims/*", who="first", after=1)):
        kill.author = submit("first")
        _log(kill.author)
    (claim,) = line.claims()
    second = submit("second")
    _wait_until(lambda: _count(line, "GetObject", "second") > 5)
    assert line.build_clusters() == [], "not before the grace time"
    line.make_older(claim, FIVE_MINUTES)
    log = _log(second)
    assert FAILED in log
    assert re.search(r"Build \S+ of \S+ has ended without a bundle: starting another", log)
    assert _count(line, "ListClusters", "second") == 1
    assert len(line.build_clusters()) == 1
    assert line.claims() == []


def test_killed_between_launch_and_its_note_in_the_claim(line: Line, submit: Submit) -> None:
    """The cluster is found by the build id in its name, and joined."""
    kill = _Kill()
    with line.faults.injected(
        Rule("RunJobFlow", Do(kill, after=True), who="first"),
        # The second author comes while it runs.
        Rule("GetObject", _hold_until(lambda: _joined(line, "second")), key="*/build-binaries.sh", times=1),
    ):
        kill.author = submit("first")
        _log(kill.author)
        second = submit("second")
        (claim,) = line.claims()
        line.make_older(claim, FIVE_MINUTES)
        log = _log(second)
    assert FAILED in log
    assert "is already building this bundle" in log
    assert len(line.build_clusters()) == 1
    assert line.claims() == []


def test_an_answer_to_run_job_flow_that_gets_lost(line: Line, submit: Submit) -> None:
    """It is not sent again; the cluster is looked for, and found although EMR lists it late."""
    with line.faults.injected(
        Rule("RunJobFlow", LoseAnswer(), times=1), Rule("ListClusters", Hide("mrjob-pybundle build *"), times=2)
    ):
        log = _log(submit("first"))
    assert FAILED in log
    assert _count(line, "RunJobFlow", "first") == 1
    assert _count(line, "ListClusters", "first") == 3
    assert len(line.build_clusters()) == 1


# Each looks for the cluster for half a minute.
@pytest.mark.parametrize(
    "listed", [Hide("mrjob-pybundle build *"), ACCESS_DENIED_BY_EMR], ids=["not listed", "no list"]
)
def test_a_launch_of_which_nothing_is_known(line: Line, submit: Submit, listed: Fault) -> None:
    """EMR neither answers nor lists the cluster: one clear line; the next author finds and joins it."""
    with line.faults.injected(
        Rule("RunJobFlow", LoseAnswer(), times=1),
        Rule("ListClusters", listed, who="first"),
        Rule("GetObject", _hold_until(lambda: _joined(line, "second")), key="*/build-binaries.sh", times=1),
    ):
        first = submit("first")
        log = _log(first)
        assert first.returncode == 1
        assert "Traceback" not in log
        last = log.strip().splitlines()[-1]
        assert "EMR did not say whether it has launched the cluster of build" in last
        assert "Run the job again in a few minutes" in last
    (claim,) = line.claims()
    line.make_older(claim, FIVE_MINUTES)
    log = _log(submit("second"))
    assert FAILED in log
    assert "is already building this bundle" in log
    assert len(line.build_clusters()) == 1
    assert line.claims() == []


def test_ctrl_c_while_emr_is_asked(line: Line, submit: Submit) -> None:
    """The cluster may be there: who has pressed it is told how to stop it."""
    authors: list[subprocess.Popen[str]] = []

    def interrupt(_: Request) -> None:
        _wait_until(lambda: authors)
        authors[0].send_signal(signal.SIGINT)

    with line.faults.injected(Rule("RunJobFlow", Do(interrupt, after=True), times=1)):
        authors.append(submit("first"))
        log = _log(authors[0])
    stop = re.search(r"To stop it: mrjob-pybundle (stop \S+)", log)
    assert stop, log
    stopped = line.run("-m", "mrjob_pybundle", *stop[1].split())
    assert stopped.returncode == 0, stopped.stderr
    (cluster_id,) = line.build_clusters()
    _wait_until(lambda: _statuses(line, [cluster_id])[0]["State"].startswith("TERMINATED"))
    (claim,) = line.claims()
    body = line.client("s3").get_object(Bucket="the-team", Key=claim)["Body"].read()
    assert json.loads(body)["cluster_id"] == cluster_id, "whoever needs the bundle next sees that it has ended"
    line.client("s3").delete_object(Bucket="the-team", Key=claim)


def test_emr_is_throttling(line: Line, submit: Submit) -> None:
    """A refused RunJobFlow is sent again, since nothing has come of it."""
    with line.faults.injected(Rule("RunJobFlow", THROTTLED, times=2)):
        log = _log(submit("first"))
    assert FAILED in log
    assert _count(line, "RunJobFlow", "first") == 3
    assert len(line.build_clusters()) == 1


def test_overtaken_while_preparing(line: Line, submit: Submit) -> None:
    """Whose claim was given up for dead finds out before launching, and joins."""
    has_launched = _hold_until(lambda: _count(line, "RunJobFlow", "second"))
    with line.faults.injected(Rule("PutObject", has_launched, key="*/inputs.tar.gz", who="first")) as strikes:
        first = submit("first")
        _wait_until(lambda: strikes)
        (claim,) = line.claims()
        line.make_older(claim, FIVE_MINUTES)
        logs = [_log(submit("second")), _log(first)]
    assert all(FAILED in log for log in logs)
    assert _count(line, "RunJobFlow", "first") + _count(line, "RunJobFlow", "second") == len(line.build_clusters())
    assert line.claims() == []


def test_overtaken_while_launching(line: Line, submit: Submit) -> None:
    """Then there is a cluster too many: its author ends it, and joins the other one."""

    def gave_way() -> bool:
        return _count(line, "TerminateJobFlows", "first") > 0 and _joined(line, "first")

    with line.faults.injected(
        Rule("RunJobFlow", _hold_until(lambda: _count(line, "RunJobFlow", "second")), who="first"),
        # Builds last until the first author has joined the second one.
        Rule("GetObject", _hold_until(gave_way), key="*/build-binaries.sh"),
    ) as strikes:
        first = submit("first")
        _wait_until(lambda: any(strike.request.operation == "RunJobFlow" for strike in strikes))
        (claim,) = line.claims()
        line.make_older(claim, FIVE_MINUTES)
        logs = [_log(submit("second")), _log(first)]
    assert all(FAILED in log for log in logs)
    assert "Another author has taken over in the meantime: ending cluster" in logs[1]
    clusters = line.build_clusters()
    # A master says that it has failed before its cluster ends.
    _wait_until(lambda: all(status["State"].startswith("TERMINATED") for status in _statuses(line, clusters)))
    codes = [status["StateChangeReason"]["Code"] for status in _statuses(line, clusters)]
    assert sorted(codes) == ["STEP_FAILURE", "USER_REQUEST"]
    assert line.claims() == []


def test_answers_about_claims_that_get_lost(line: Line, submit: Submit) -> None:
    """Each is sent again and meets what the first one wrote: the build id inside says whose it is."""
    with line.faults.injected(Rule("PutObject", LoseAnswer(), key="*/claims/*", times=1)) as strikes:
        log = _log(submit("first"))
    assert strikes
    assert FAILED in log
    with line.faults.injected(Rule("PutObject", LoseAnswer(), key="*/claims/*", after=1, times=1)) as strikes:
        log = _log(submit("first"))
    assert strikes
    assert FAILED in log
    assert len(line.build_clusters()) == 2, "one for each"
    assert line.claims() == []


def test_conflicts_about_claims(line: Line, submit: Submit) -> None:
    """S3 answers 409 to conditional writes at the same time, and means: try again."""
    with line.faults.injected(Rule("PutObject", CONFLICT, key="*/claims/*", times=3)):
        log = _log(submit("first"))
    assert FAILED in log
    assert len(line.build_clusters()) == 1
    assert line.claims() == []
