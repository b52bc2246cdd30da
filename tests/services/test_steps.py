"""Jobs of more steps than EMR takes at once, on clusters that live as the sandbox's do. Their steps do nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.sandbox.api.emr import LivingEmr, Machine
from mrjob_pybundle.sandbox.api.server import Server
from mrjob_pybundle.sandbox.engines import StepError
from mrjob_pybundle.sandbox.machines.nodes import Node
from tests.services.test_clusters import PlainTeam
from tests.team import Team

JOB = Path(__file__).parents[1] / "jobs" / "mr_many_steps.py"
ACCOUNT = "123456789012"
#: The words with which EMR refuses (API and mrjob's own tests).
FULL = "Maximum number of active steps"


class _IdleNode(Node):
    """A node on which every command does nothing, and well."""

    def start(self) -> None:
        super().start()
        self._gone = threading.Event()

    def _enter(self, command: Sequence[str], cwd: str) -> list[str]:
        if command[0] == "aws":  # fetches a script
            self.host_path(command[-1]).touch()
        return ["true"]

    def stop(self) -> None:
        super().stop()
        self._gone.set()

    def wait(self) -> None:
        self._gone.wait()


class _IdleEngine:
    """Hadoop that has nothing to do, and fails where a job says so: ``fail=2`` is its third step.

    Commands end when steps have been added: real clusters take longer to start than jobs to do that.
    """

    def __init__(self, steps_were_added: threading.Event) -> None:
        self._steps_were_added = steps_were_added

    def start(self) -> None:
        pass

    def run_streaming(self, args: list[str], logs: Path) -> None:
        if "fail=2" in args and "--step-num=2 " in f"{' '.join(args)} ":
            raise StepError("it was to fail")

    def run_command(self, command: list[str], logs: Path) -> None:
        self._steps_were_added.wait()

    def run_jar(self, jar: str, args: list[str], logs: Path) -> None:
        pass


@pytest.fixture
def emr(bucket: S3Uri, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LivingEmr]:
    steps_were_added = threading.Event()

    def after(action: str) -> None:
        if action == "RunJobFlow":
            living.start_new_clusters()
        elif action == "AddJobFlowSteps":
            steps_were_added.set()

    machine = Machine(
        tmp_path / "clusters",
        lambda directory, *_: _IdleNode(directory, tmp_path, {}),
        lambda _: _IdleEngine(steps_were_added),
        lambda _: None,
    )
    living = LivingEmr(ACCOUNT, machine)
    living.install()
    server = Server(lambda: None, after)
    server.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
    yield living
    steps_were_added.set()
    living.stop()
    server.stop()
    living.uninstall()


@pytest.fixture
def team(emr: LivingEmr, bucket: S3Uri, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Team:
    return PlainTeam(bucket.bucket, tmp_path, capsys)


def _run(team: Team, *args: str) -> subprocess.CompletedProcess[str]:
    team.publish(team.spec(), "build-1")
    few = ["--no-read-logs", "--check-cluster-every", "0.01", "--num-core-instances", "0"]
    command = [sys.executable, str(JOB), "-r", "pybundle-emr", *team.switches, *few, *args]
    return subprocess.run(command, input="x\n", capture_output=True, text=True)


def _steps(team: Team, cluster_id: str) -> list[dict[str, Any]]:
    pages = team.emr.get_paginator("list_steps").paginate(ClusterId=cluster_id)
    return [step for page in pages for step in page["Steps"]]


def test_more_steps_than_a_cluster_takes_at_once(team: Team) -> None:
    """It ends when it has none left, and does so once: after the last of them. It has had one of its own."""
    run = _run(team, "--steps", "260", "--extra-cluster-param", f"Steps={json.dumps(_theirs(1))}")
    assert run.returncode == 0, run.stderr[-3000:]
    assert FULL not in run.stderr
    (cluster,) = team.emr.list_clusters()["Clusters"]
    assert cluster["Status"]["StateChangeReason"]["Code"] == "ALL_STEPS_COMPLETED"
    steps = _steps(team, cluster["Id"])
    assert Counter(step["Status"]["State"] for step in steps) == {"COMPLETED": 261}
    assert len({step["Name"] for step in steps}) == 261
    assert "Step 260 of 260" in run.stderr


def test_a_step_that_fails_while_others_are_still_to_come(team: Team) -> None:
    """That is what the job says, and not that the cluster takes no more steps."""
    run = _run(team, "--steps", "260", "-D", "fail=2")
    assert run.returncode == 1
    assert "Step 3 of 260 failed" in run.stderr.splitlines(), run.stderr[-3000:]
    assert "Traceback" not in run.stderr


def _theirs(count: int) -> list[dict[str, Any]]:
    """Steps that are none of a job's."""
    command = {"Jar": "command-runner.jar", "Args": ["true"]}
    names = [f"theirs {number}" for number in range(count)]
    return [{"Name": name, "ActionOnFailure": "CONTINUE", "HadoopJarStep": command} for name in names]


def test_a_cluster_that_others_use_as_well(team: Team) -> None:
    """What they have there leaves less room; nobody's job ends because of that."""
    launched = team.emr.run_job_flow(
        Name="theirs",
        ReleaseLabel="emr-7.14.0",
        JobFlowRole="EMR_EC2_DefaultRole",
        ServiceRole="EMR_DefaultRole",
        Instances={
            "KeepJobFlowAliveWhenNoSteps": True,
            "InstanceGroups": [{"InstanceRole": "MASTER", "InstanceType": "m5.xlarge", "InstanceCount": 1}],
        },
        Steps=_theirs(256),
    )
    team.publish(team.spec("--cluster-id", launched["JobFlowId"]), "build-1")
    run = _run(team, "--cluster-id", launched["JobFlowId"], "--steps", "20", "--add-steps-in-batch")
    assert run.returncode == 0, run.stderr[-3000:]
    steps = _steps(team, launched["JobFlowId"])
    assert Counter(step["Status"]["State"] for step in steps) == {"COMPLETED": 276}
