"""Nodes: how long they take to have Python and packages; and a node of the sandbox on which all is measured."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import boto3
from jobs import BUCKET, PLACE, alternative

HERE = Path(__file__).parent
READY = "node ready"
BOOTSTRAP = "bootstrap action: fetch, verify, unpack, try"
BY_HAND = "by hand: aws s3 cp, tar xf; nothing verified"
ENVIRONMENT = "the environment's archive alone, fetched and verified"
UV, UV_BYTECODE = "uv, cold cache", "uv, cold cache, --compile-bytecode"
PIP = "python3 -m venv, pip install"
UNPACK = "tar xf of a local .tar of the same"

_ARCHIVE = f"s3://{BUCKET}/bench-by-hand/bundle.tar.gz"
_UV = Path(sys.executable).with_name("uv")


def put_packages_script(packages: list[str]) -> str:
    """Store a bootstrap action that installs *packages* for the node's own Python, and return its URI."""
    script = f"""#!/bin/bash
set -e
python3 -m venv {PLACE}/pip
{PLACE}/pip/bin/pip install --quiet --no-cache-dir --target {PLACE}/packages {shlex.join(packages)}
"""
    boto3.client("s3").put_object(Bucket=BUCKET, Key="bench/packages.sh", Body=script.encode())
    return f"s3://{BUCKET}/bench/packages.sh"


def plan(bootstrap_action: dict[str, Any], packages: list[str], repetitions: int) -> list[dict[str, Any]]:
    """Of a node that gets ready, with the bundle or with the same *packages*, pip's arguments."""
    bootstrap = ["bash", f"{PLACE}/bootstrap.sh", *bootstrap_action["Args"]]
    new, fetch = f"{PLACE}/new", "aws s3 cp --only-show-errors"
    environment_uri = shlex.quote(bootstrap_action["Args"][1])
    alternatives = {
        BY_HAND: _commands(f"{fetch} {_ARCHIVE} . && tar -xf bundle.tar.gz && rm bundle.tar.gz", new),
        BOOTSTRAP: alternative(bootstrap, before="rm -rf /mnt/pybundle /opt/pybundle; sync"),
        ENVIRONMENT: _commands(
            f"{fetch} {environment_uri} venv.tar.gz && sha256sum venv.tar.gz && tar -xf venv.tar.gz", new
        ),
        UV: _uv(packages, new),
        UV_BYTECODE: _uv([*packages, "--compile-bytecode"], new),
        PIP: _commands(f"python3 -m venv . && bin/pip install --quiet --no-cache-dir {shlex.join(packages)}", new),
        UNPACK: _commands(f"tar -xf {PLACE}/bundle.tar", new),
    }
    return [{"name": READY, "repetitions": repetitions, "input": None, "alternatives": alternatives}]


def _commands(commands: str, directory: str, environment: dict[str, str] | None = None) -> dict[str, Any]:
    """In a new *directory*, on a disk that has written what it had to."""
    before = f"rm -rf {directory} {PLACE}/uv-cache; mkdir {directory}; sync"
    return alternative(["bash", "-ec", commands], cwd=directory, before=before, environment=environment)


def _uv(arguments: list[str], directory: str) -> dict[str, Any]:
    settings = {name: value for name, value in os.environ.items() if name.startswith("UV_")}
    settings |= {"UV_CACHE_DIR": f"{PLACE}/uv-cache", "UV_PYTHON_DOWNLOADS": "never"}
    uv = shlex.quote(str(_UV))
    install = f"{uv} venv --quiet --python /usr/bin/python3 venv && {uv} pip install --quiet --python venv/bin/python"
    return _commands(f"{install} {shlex.join(arguments)}", directory, settings)


def measure(
    plan: list[dict[str, Any]],
    bootstrap_action: dict[str, Any],
    packages_script: str,
    fetching: list[str],
    files: list[Path],
) -> dict[str, Any]:
    """Run ``on_node.py`` on a node that has all that the *plan* needs; returns what it has printed.

    *fetching* are shell commands that bring more to the node; *files*, of this machine, are there by their names.
    """
    s3 = boto3.client("s3")
    contents = {"plan.json": json.dumps(plan).encode(), **{path.name: path.read_bytes() for path in files}}
    # Nodes of the sandbox have an AWS CLI that starts at once, which no other node has.
    aws = Path(shutil.which("aws") or sys.exit("the sandbox has no aws")).read_bytes()
    for name, content in {**contents, "on_node.py": (HERE / "on_node.py").read_bytes(), "bin/aws": aws}.items():
        s3.put_object(Bucket=BUCKET, Key=f"bench/{name}", Body=content)
    script = [
        f"aws s3 cp --only-show-errors --recursive s3://{BUCKET}/bench/ {PLACE}",
        f"aws s3 cp --only-show-errors {shlex.quote(bootstrap_action['Path'])} {PLACE}/bootstrap.sh",
        *fetching,
        f"cd {PLACE}",
        "chmod +x bin/aws",
        "tar -cf bundle.tar -C /opt/pybundle/*/ py venv",
        f"gzip -c bundle.tar | aws s3 cp --only-show-errors - {_ARCHIVE}",
        f"PATH={PLACE}/bin:$PATH python3 on_node.py plan.json > result.json",
        f"aws s3 cp --only-show-errors result.json s3://{BUCKET}/bench-result.json",
    ]
    actions = [{"Path": packages_script, "Args": []}, bootstrap_action]
    _run_on_master(actions, " && ".join(script))
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
    emr.get_waiter("cluster_terminated").wait(ClusterId=cluster_id, WaiterConfig={"Delay": 2, "MaxAttempts": 3600})
    (done,) = emr.list_steps(ClusterId=cluster_id)["Steps"]
    if done["Status"]["State"] != "COMPLETED":
        log = f"logs/{cluster_id}/steps/{done['Id']}/stderr.gz"
        sys.exit(f"the step on the node failed: see s3://{BUCKET}/{log}")
