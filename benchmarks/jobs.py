"""Jobs that have run on the sandbox, and the command lines that their runners have given to EMR, read back from it."""

from __future__ import annotations

import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

BUCKET = "sandbox"
#: where a node has what is measured
PLACE = "/mnt/bench"
STOCK, STOCK_PLAIN, OURS = "-r emr", "-r emr, the standard library's distutils", "-r pybundle-emr"

#: Newer versions of setuptools exchange ``distutils``, which mrjob imports, for their own, slower to import. Not every
#: node has such a setuptools.
PLAIN_DISTUTILS = {"SETUPTOOLS_USE_DISTUTILS": "stdlib"}


@dataclass(frozen=True)
class FinishedJob:
    """A job that has run to its end: *args* of its one step, its *bootstrap_actions*, what it has put out.

    On the node on which it is measured, its files lie in *cwd*.
    """

    args: list[str]
    bootstrap_actions: list[dict[str, Any]]
    output: bytes
    cwd: str

    def alternative(self, switch: str, environment: dict[str, str] | None = None) -> dict[str, Any]:
        """How its ``-mapper``, ``-combiner`` or ``-reducer`` is started. No shell: as Hadoop Streaming has it."""
        values = [self.args[i + 1] for i, arg in enumerate(self.args) if arg == "-cmdenv"]
        settings = dict(value.split("=", 1) for value in values)
        return alternative(
            shlex.split(self._value(switch)),
            cwd=self.cwd,
            environment={**settings, **(environment or {})},
            same_output=True,
        )

    def fetching(self) -> list[str]:
        """Shell commands that put the step's files into :attr:`cwd`, as the distributed cache does."""
        assert "-archives" not in self.args, "archives would have to be unpacked"
        files = [found.rsplit("#", 1) for found in self._value("-files").split(",")]
        copies = [["aws", "s3", "cp", "--only-show-errors", uri, f"{self.cwd}/{name}"] for uri, name in files]
        return [f"mkdir -p {self.cwd}", *map(shlex.join, copies)]

    def _value(self, switch: str) -> str:
        return self.args[self.args.index(switch) + 1]


def run_job(job: Path, runner: list[str], input_path: Path, cwd: str, *, show: bool = False) -> FinishedJob:
    """Run *job* to its end with *runner*, its files staying in S3."""
    command = [sys.executable, str(job), "-r", *runner, "--cleanup", "NONE", str(input_path)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=None if show else subprocess.PIPE)
    if done.returncode:
        sys.exit(done.stderr.decode() if done.stderr else done.returncode)
    emr = boto3.client("emr")
    clusters = emr.list_clusters()["Clusters"]
    cluster = max(clusters, key=lambda cluster: cluster["Status"]["Timeline"]["CreationDateTime"])
    (step,) = emr.list_steps(ClusterId=cluster["Id"])["Steps"]
    actions = emr.list_bootstrap_actions(ClusterId=cluster["Id"])["BootstrapActions"]
    scripts = [{"Path": action["ScriptPath"], "Args": action["Args"]} for action in actions]
    return FinishedJob(step["Config"]["Args"], scripts, done.stdout, cwd)


def alternative(
    argv: list[str],
    *,
    cwd: str = PLACE,
    before: str = "",
    environment: dict[str, str] | None = None,
    same_output: bool = False,
) -> dict[str, Any]:
    """One of ``on_node.py``'s plan."""
    return {
        "argv": argv,
        "cwd": cwd,
        "before": before,
        "environment": environment or {},
        "same_output": same_output,
    }
