"""What happens on a node: tasks start, tasks work, and the node gets ready for them.

The command lines are those that mrjob's own runner and ours have given to Hadoop Streaming, read back from EMR.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from figures import Measurement

HERE = Path(__file__).parent
BUCKET = "sandbox"
PLACE = "/mnt/bench"
STOCK, STOCK_PLAIN_DISTUTILS, OURS = "-r emr", "-r emr, the standard library's distutils", "-r pybundle-emr"
PIP, BOOTSTRAP, COMPILE = "pip install into a fresh venv", "bootstrap action", "compiling CPython (the build's stages)"

#: Newer versions of setuptools exchange ``distutils``, which mrjob imports, for their own, slower to import. Not every
#: node has such a setuptools.
_PLAIN_DISTUTILS = {"SETUPTOOLS_USE_DISTUTILS": "stdlib"}


@dataclass(frozen=True)
class Inputs:
    """What tasks read: paths on this machine."""

    one_line: Path
    text: Path


def run_job(job: Path, runner: list[str], input_path: Path, *, show: bool = False) -> str:
    """Run *job* to its end with *runner*, its files staying in S3, and return the id of its cluster."""
    command = [sys.executable, str(job), "-r", *runner, "--cleanup", "NONE", "--no-cat-output", str(input_path)]
    done = subprocess.run(command, stderr=None if show else subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.stderr or done.returncode)
    clusters = boto3.client("emr").list_clusters()["Clusters"]
    return str(max(clusters, key=lambda cluster: cluster["Status"]["Timeline"]["CreationDateTime"])["Id"])


def measure(job: Path, ours: list[str], inputs: Inputs, packages: list[str]) -> list[Measurement]:
    """Start of a task, throughput, and getting a node ready (*packages*: pip's arguments for what the bundle has)."""
    stock = _Rendered.of(run_job(job, ["emr"], inputs.one_line), f"{PLACE}/stock")
    bundle = _Rendered.of(run_job(job, ours, inputs.one_line), f"{PLACE}/ours")
    mappers = {
        STOCK: stock.mapper(),
        STOCK_PLAIN_DISTUTILS: stock.mapper(_PLAIN_DISTUTILS),
        OURS: bundle.mapper(),
    }
    ready = {PIP: _pip_install(packages), BOOTSTRAP: _bootstrap(bundle.bootstrap_actions[0])}
    plan = [
        _plan("start of a mapper task", mappers, 40, "one-line.txt"),
        _plan("mapper on 10 MB", {name: mappers[name] for name in (STOCK, OURS)}, 5, "text.txt"),
        _plan("node ready", ready, 5, None),
    ]
    files = {
        "plan.json": json.dumps(plan).encode(),
        "on_node.py": (HERE / "on_node.py").read_bytes(),
        "one-line.txt": inputs.one_line.read_bytes(),
        "text.txt": inputs.text.read_bytes(),
    }
    seconds = _on_a_node(bundle.bootstrap_actions, [*stock.fetching(), *bundle.fetching()], files)
    return [Measurement(m["name"], "s", next(iter(m["alternatives"])), seconds[m["name"]]) for m in plan]


def add_compiling(ready: Measurement) -> None:
    """Add to *ready* what compiling took on the build master that made the bundle's Python, if S3 still knows."""
    s3 = boto3.client("s3")
    for found in s3.list_objects_v2(Bucket=BUCKET, Prefix="pybundle/v1/builds/").get("Contents", ()):
        if found["Key"].endswith("/status.json"):
            stages = json.loads(s3.get_object(Bucket=BUCKET, Key=found["Key"])["Body"].read())["stages"]
            if "compile" in stages:
                ready.add(COMPILE, sum(stages[stage] for stage in ("configure", "compile", "install")))
                ready.note = f"the build of the bundle's Python, by stage (s): {stages}"


@dataclass(frozen=True)
class _Rendered:
    """What a runner has asked EMR for: the arguments of its one step, its bootstrap actions; its files in *cwd*."""

    args: list[str]
    bootstrap_actions: list[dict[str, Any]]
    cwd: str

    @classmethod
    def of(cls, cluster_id: str, cwd: str) -> _Rendered:
        emr = boto3.client("emr")
        (step,) = emr.list_steps(ClusterId=cluster_id)["Steps"]
        actions = emr.list_bootstrap_actions(ClusterId=cluster_id)["BootstrapActions"]
        scripts = [{"Path": action["ScriptPath"], "Args": action["Args"]} for action in actions]
        return cls(step["Config"]["Args"], scripts, cwd)

    def mapper(self, environment: dict[str, str] | None = None) -> dict[str, Any]:
        # Like Hadoop Streaming: split into words, no shell.
        return _alternative(shlex.split(self._value("-mapper")), cwd=self.cwd, environment=environment)

    def fetching(self) -> list[str]:
        """Shell commands that put the step's files into :attr:`cwd`, as the distributed cache does."""
        assert "-archives" not in self.args, "archives would have to be unpacked"
        files = [found.rsplit("#", 1) for found in self._value("-files").split(",")]
        return [shlex.join(["aws", "s3", "cp", "--only-show-errors", uri, f"{self.cwd}/{name}"]) for uri, name in files]

    def _value(self, switch: str) -> str:
        return self.args[self.args.index(switch) + 1]


def _plan(name: str, alternatives: dict[str, Any], repetitions: int, input_name: str | None) -> dict[str, Any]:
    return {
        "name": name,
        "repetitions": repetitions,
        "input": input_name and f"{PLACE}/{input_name}",
        "same_output": input_name is not None,
        "alternatives": alternatives,
    }


def _alternative(
    argv: list[str], *, cwd: str = PLACE, before: str = "", environment: dict[str, str] | None = None
) -> dict[str, Any]:
    return {"argv": argv, "cwd": cwd, "before": before, "environment": environment or {}}


def _pip_install(packages: list[str]) -> dict[str, Any]:
    venv = f"{PLACE}/venv"
    install = shlex.join([f"{venv}/bin/pip", "install", "--quiet", "--no-cache-dir", *packages])
    return _alternative(["bash", "-ec", f"python3 -m venv {venv}; {install}"], before=f"rm -rf {venv}")


def _bootstrap(action: dict[str, Any]) -> dict[str, Any]:
    command = ["bash", f"{PLACE}/bootstrap.sh", *action["Args"]]
    return _alternative(command, before="rm -rf /mnt/pybundle /opt/pybundle")


def _on_a_node(bootstrap_actions: list[dict[str, Any]], fetching: list[str], files: dict[str, bytes]) -> dict[str, Any]:
    """Run on_node.py on a node that has run the bootstrap actions; returns what it has printed."""
    s3 = boto3.client("s3")
    for name, content in files.items():
        s3.put_object(Bucket=BUCKET, Key=f"bench/{name}", Body=content)
    script = [
        f"mkdir -p {PLACE}/stock {PLACE}/ours",
        f"aws s3 cp --only-show-errors --recursive s3://{BUCKET}/bench/ {PLACE}",
        f"aws s3 cp --only-show-errors {shlex.quote(bootstrap_actions[0]['Path'])} {PLACE}/bootstrap.sh",
        *fetching,
        f"cd {PLACE}",
        "python3 on_node.py plan.json > result.json",
        f"aws s3 cp --only-show-errors result.json s3://{BUCKET}/bench-result.json",
    ]
    _run_on_master(bootstrap_actions, " && ".join(script))
    result = s3.get_object(Bucket=BUCKET, Key="bench-result.json")["Body"].read()
    measured: dict[str, Any] = json.loads(result)
    return measured


def _run_on_master(bootstrap_actions: list[dict[str, Any]], script: str) -> None:
    """Run *script* as the only step of a cluster of one node."""
    emr = boto3.client("emr")
    actions = [{"Name": action["Path"].split("/")[-1], "ScriptBootstrapAction": action} for action in bootstrap_actions]
    step = {"Jar": "command-runner.jar", "Args": ["bash", "-c", script]}
    cluster_id = emr.run_job_flow(
        Name="benchmarks",
        ReleaseLabel="emr-7.14.0",
        LogUri=f"s3://{BUCKET}/logs/",
        Applications=[{"Name": "Hadoop"}],
        BootstrapActions=actions,
        Instances={
            "InstanceGroups": [{"InstanceRole": "MASTER", "InstanceType": "m5.xlarge", "InstanceCount": 1}],
            "KeepJobFlowAliveWhenNoSteps": False,
        },
        Steps=[{"Name": "benchmarks", "ActionOnFailure": "TERMINATE_CLUSTER", "HadoopJarStep": step}],
        JobFlowRole="EMR_EC2_DefaultRole",
        ServiceRole="EMR_DefaultRole",
    )["JobFlowId"]
    emr.get_waiter("cluster_terminated").wait(ClusterId=cluster_id, WaiterConfig={"Delay": 2, "MaxAttempts": 900})
    (done,) = emr.list_steps(ClusterId=cluster_id)["Steps"]
    if done["Status"]["State"] != "COMPLETED":
        log = f"logs/{cluster_id}/steps/{done['Id']}/stderr.gz"
        sys.exit(f"the step on the node failed: see s3://{BUCKET}/{log}")
