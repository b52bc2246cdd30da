"""A job whose submitter loses the network while the cluster starts, and again while a step runs. Both go on without."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.sandbox.api.emr import LivingEmr, Machine
from mrjob_pybundle.sandbox.api.faults import CutShort, Faults, HangUp, LoseAnswer, Refuse, Rule
from mrjob_pybundle.sandbox.api.server import Server
from tests.plug import Plug
from tests.services.test_clusters import PlainTeam
from tests.services.test_steps import ACCOUNT, JOB, _IdleEngine, _IdleNode
from tests.team import Team


class _Gates:
    """What a cluster waits for."""

    def __init__(self) -> None:
        self.start, self.step = threading.Event(), threading.Event()

    def open(self) -> None:
        self.start.set()
        self.step.set()


class _Engine(_IdleEngine):
    def __init__(self, gates: _Gates) -> None:
        super().__init__(gates.step)
        self._gates = gates

    def start(self) -> None:
        self._gates.start.wait()

    def run_streaming(self, args: list[str], logs: Path) -> None:
        self._gates.step.wait()


@pytest.fixture
def gates() -> Iterator[_Gates]:
    gates = _Gates()
    yield gates
    gates.open()


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def plug(
    bucket: S3Uri, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gates: _Gates, faults: Faults
) -> Iterator[Plug]:
    machine = Machine(
        tmp_path / "clusters",
        lambda directory, *_: _IdleNode(directory, tmp_path, {}),
        lambda _: _Engine(gates),
        lambda _: None,
    )
    living = LivingEmr(ACCOUNT, machine)
    living.install()
    server = Server(
        lambda: None, lambda action: living.start_new_clusters() if action == "RunJobFlow" else None, [faults]
    )
    server.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
    with Plug(server.endpoint) as plug:
        yield plug
    gates.open()
    living.stop()
    server.stop()
    living.uninstall()


@pytest.fixture
def team(bucket: S3Uri, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Team:
    return PlainTeam(bucket.bucket, tmp_path, capsys)


class Job:
    """A job of two steps, of somebody who has a plug."""

    def __init__(self, team: Team, plug: Plug, *more: str) -> None:
        few = ["--no-read-logs", "--check-cluster-every", "0.1", "--num-core-instances", "0", "--steps", "2"]
        where = ["--s3-endpoint", plug.endpoint, "--emr-endpoint", plug.endpoint]
        self.process = subprocess.Popen(
            [sys.executable, str(JOB), "-r", "pybundle-emr", *team.switches, *few, *where, *more],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdin is not None
        self.process.stdin.write("x\n")
        self.process.stdin.close()
        self.process.stdin = None

    def reads(self, pattern: str) -> None:
        log = []
        assert self.process.stderr is not None
        for line in self.process.stderr:
            log.append(line)
            if re.search(pattern, line):
                return
        raise AssertionError(f"no {pattern}: {''.join(log)}")


@pytest.mark.whole
def test_a_plug_that_is_pulled(team: Team, plug: Plug, gates: _Gates) -> None:
    """What was awaited happens while there is no network; it has been gone for longer than botocore and mrjob try."""
    team.publish(team.spec(), "build-1")
    job = Job(team, plug)
    try:
        for waiting, gate in (("PENDING .cluster is BOOTSTRAPPING", gates.start), ("RUNNING for ", gates.step)):
            job.reads(waiting)
            plug.pull()
            job.reads("no answer from EMR for 0:.*, trying again")
            gate.set()
            plug.put_back()
            job.reads("EMR answers again, after 0:")
        _, log = job.process.communicate()
        assert job.process.returncode == 0, log
    finally:
        job.process.kill()
        job.process.communicate()
    (cluster,) = team.emr.list_clusters()["Clusters"]
    steps = team.emr.list_steps(ClusterId=cluster["Id"])["Steps"]
    assert [step["Status"]["State"] for step in steps] == ["COMPLETED", "COMPLETED"]


def test_nobody_waits_to_end_a_cluster(team: Team, plug: Plug, gates: _Gates, faults: Faults) -> None:
    """Which ends by itself: the job is done, and its author wants the prompt back."""
    team.publish(team.spec(), "build-1")
    gates.open()
    with faults.injected(Rule("TerminateJobFlows", HangUp())) as strikes:
        process = Job(team, plug).process
        _, log = process.communicate()
    assert strikes
    assert "job output is in" in log
    assert process.returncode == 0, log


def _done_despite(rules: list[Rule], strikes: int, team: Team, plug: Plug, gates: _Gates, faults: Faults) -> None:
    """A job that meets these faults, so many times, has one cluster, which has done each of its steps once."""
    team.publish(team.spec(), "build-1")
    gates.open()
    with faults.injected(*rules) as met:
        process = Job(team, plug).process
        _, log = process.communicate()
    assert len(met) == strikes
    assert process.returncode == 0, log
    (cluster,) = team.emr.list_clusters()["Clusters"]
    steps = team.emr.list_steps(ClusterId=cluster["Id"])["Steps"]
    assert [step["Status"]["State"] for step in steps] == ["COMPLETED", "COMPLETED"]


@pytest.mark.parametrize("fault", [LoseAnswer(), CutShort()], ids=["lost", "cut"])
def test_one_cluster_and_one_set_of_steps(
    team: Team, plug: Plug, gates: _Gates, faults: Faults, fault: LoseAnswer | CutShort
) -> None:
    """Though nobody was told that they are there. Each of the steps would do its work, and end the job, twice."""
    rules = [Rule(operation, fault, times=1) for operation in ("RunJobFlow", "AddJobFlowSteps")]
    _done_despite(rules, 2, team, plug, gates, faults)


@pytest.mark.whole
def test_orders_of_which_emr_has_never_heard(team: Team, plug: Plug, gates: _Gates, faults: Faults) -> None:
    """They are sent again, once EMR has had its time to list what came of them."""
    rules = [
        Rule("RunJobFlow", Refuse(503, "ServiceUnavailable", "Service Unavailable"), times=1),
        Rule("AddJobFlowSteps", HangUp(), times=1),
    ]
    _done_despite(rules, 2, team, plug, gates, faults)


@pytest.mark.whole
def test_tags_that_take_their_time(team: Team, plug: Plug, gates: _Gates, faults: Faults) -> None:
    """A cluster is not given up because it has no tags yet. botocore tries five times."""
    _done_despite([Rule("AddTags", HangUp(), times=7)], 7, team, plug, gates, faults)


def test_a_cluster_that_is_not_known_by_its_name(team: Team, plug: Plug, gates: _Gates, faults: Faults) -> None:
    """A conf may have each of a job's clusters have the same name. A colleague's is not taken for one's own."""
    team.publish(team.spec(), "build-1")
    theirs = team.emr.run_job_flow(
        Name="nightly",
        ReleaseLabel="emr-7.14.0",
        Instances={"MasterInstanceType": "m5.xlarge", "InstanceCount": 1, "KeepJobFlowAliveWhenNoSteps": True},
        **{"JobFlowRole": "EMR_EC2_DefaultRole", "ServiceRole": "EMR_DefaultRole"},
    )["JobFlowId"]
    with faults.injected(Rule("RunJobFlow", LoseAnswer(), times=1)) as strikes:
        process = Job(team, plug, "--extra-cluster-param", "Name=nightly").process
        _, log = process.communicate()
    assert strikes
    assert process.returncode == 1
    assert "EMR did not say whether it has launched the cluster nightly" in log.strip().splitlines()[-1], log
    assert team.emr.list_steps(ClusterId=theirs)["Steps"] == []
    assert not team.emr.describe_cluster(ClusterId=theirs)["Cluster"]["Status"]["State"].startswith("TERMINAT")


def test_credentials_that_expire_while_a_step_runs(team: Team, plug: Plug, gates: _Gates, faults: Faults) -> None:
    """The cluster goes on: its author learns which, and how to end it."""
    team.publish(team.spec(), "build-1")
    gates.start.set()
    job = Job(team, plug)
    job.reads("RUNNING for ")
    expired = Refuse(400, "ExpiredTokenException", "The security token included in the request is expired")
    with faults.injected(Rule("*", expired)):
        _, log = job.process.communicate()
    (cluster,) = team.emr.list_clusters()["Clusters"]
    assert cluster["Status"]["State"] == "RUNNING"
    assert job.process.returncode == 1
    assert f"Cluster {cluster['Id']} was not ended, and goes on with the job's steps" in log
    assert f"aws emr terminate-clusters --region us-east-1 --cluster-ids {cluster['Id']}" in log
    assert "Your AWS credentials have expired" in log.strip().splitlines()[-1], log
    assert "Traceback" not in log
