"""Measures mrjob-pybundle against what people have without it, side by side in one run. See README.md beside this.

usage: python benchmarks/run.py CPYTHON_SOURCE_TARBALL [--json FILE]     (in the sandbox: make bench)
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
VERSION = "3.13.5"
BUCKET = "sandbox"
JOB = Path(importlib.import_module("mrjob.examples.mr_word_freq_count").__file__ or "")
MEGABYTES = 10

console = Console(stderr=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("tarball", type=Path)
    parser.add_argument("--json", type=Path, help="write all measured seconds to this file")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        measured = measure(args.tarball.absolute(), Path(work))
    if args.json:
        args.json.write_text(json.dumps(measured, indent=1))
    report(measured)


def measure(tarball: Path, work: Path) -> dict[str, list[float]]:
    """What was measured → seconds (or, where the name says so, requests)."""
    ours = [
        "pybundle-emr",
        "--pybundle-python-version", VERSION,
        "--pybundle-python-source", str(tarball),
        "--pybundle-venv-build", str(HERE / "venv-build.sh"),
    ]  # fmt: skip
    console.print(f"[bold]the bundle[/bold] (CPython {VERSION}, optimized: a quarter of an hour and more to build)")
    one_line = work / "one-line.txt"
    one_line.write_text("the quick brown fox\n")
    run_job(ours, one_line, show=True)
    stages = build_stages()

    console.print("[bold]warm submissions[/bold]")
    measured = measure_submissions(ours, one_line)
    console.print("[bold]on a node[/bold]: starts of tasks, a mapper on much text, getting a node ready")
    measured |= measure_on_node(ours, one_line, text(tarball, work))
    console.print("[bold]start of Python[/bold] with and without the hook")
    measured |= measure_hook(work)
    for name, seconds in stages.items():
        measured[f"getting a node ready/compiling, as on the build master: {name}"] = [seconds]
    return measured


# what is run


def run_job(runner: list[str], input_path: Path, show: bool = False) -> str:
    """Run the word count with *runner*, and return the id of its cluster. Its files stay in S3."""
    command = [sys.executable, str(JOB), "-r", *runner, "--cleanup", "NONE", "--no-cat-output", str(input_path)]
    done = subprocess.run(command, stderr=None if show else subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.stderr or 1)
    (cluster,) = newest_clusters(1)
    return cluster


def newest_clusters(count: int) -> list[str]:
    clusters = boto3.client("emr").list_clusters()["Clusters"]
    clusters.sort(key=lambda cluster: cluster["Status"]["Timeline"]["CreationDateTime"], reverse=True)
    return [cluster["Id"] for cluster in clusters[:count]]


def build_stages() -> dict[str, float]:
    """How long the compiling took that made the bundle's Python, if this sandbox has seen it."""
    s3 = boto3.client("s3")
    for found in s3.list_objects_v2(Bucket=BUCKET, Prefix="pybundle/v1/builds/").get("Contents", ()):
        if found["Key"].endswith("/status.json"):
            stages = json.loads(s3.get_object(Bucket=BUCKET, Key=found["Key"])["Body"].read())["stages"]
            if "compile" in stages:
                return {"optimized": float(stages["configure"] + stages["compile"] + stages["install"])}
    return {}


def text(tarball: Path, work: Path) -> Path:
    """Real text of :data:`MEGABYTES` megabytes: CPython's own history, several times."""
    history = subprocess.run(
        ["tar", "-xOf", tarball, "--wildcards", "*/Misc/HISTORY"], stdout=subprocess.PIPE, check=True
    )
    times = MEGABYTES * 1_000_000 // len(history.stdout) + 1
    path = work / "text.txt"
    path.write_bytes((history.stdout * times)[: MEGABYTES * 1_000_000])
    return path


# submissions


def measure_submissions(ours: list[str], input_path: Path) -> dict[str, list[float]]:
    """Seconds from the start of the process to RunJobFlow, and requests until then."""
    runners = {
        "-r emr": ["emr"],
        "-r emr --cloud-fs-sync-secs 0": ["emr", "--cloud-fs-sync-secs", "0"],
        "-r pybundle-emr": ours,
    }
    measured: dict[str, list[float]] = {}
    for _ in range(7):
        for name, runner in runners.items():
            switches = ["--no-cat-output", *runner[1:]]
            done = subprocess.run(
                [sys.executable, HERE / "submission.py", runner[0], *switches, input_path],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            said = json.loads(done.stdout)
            measured.setdefault(f"until RunJobFlow/{name}", []).append(said["seconds"])
            for service in ("s3", "emr"):
                count = sum(request.startswith(f"{service}:") for request in said["requests"])
                measured.setdefault(f"{service} requests until RunJobFlow/{name}", []).append(count)
    return measured


# on a node


def measure_on_node(ours: list[str], one_line: Path, much_text: Path) -> dict[str, list[float]]:
    """What mrjob's own runner and ours render as the mapper, replayed on a node of the sandbox."""
    emr, s3 = boto3.client("emr"), boto3.client("s3")
    clusters = {"-r emr": run_job(["emr"], one_line), "-r pybundle-emr": run_job(ours, one_line)}
    mappers = {name: mapper_command(step_args(emr, cluster), name) for name, cluster in clusters.items()}
    (action,) = emr.list_bootstrap_actions(ClusterId=clusters["-r pybundle-emr"])["BootstrapActions"]
    bootstrap = action["ScriptPath"]
    python = re.search(r"/opt/pybundle/\w+", mappers["-r pybundle-emr"])[0] + "/venv/bin/python"  # type: ignore[index]
    plan = [
        {"name": "start of a mapper task", "input": "bench/one-line.txt", "repetitions": 40, "commands": mappers},
        {"name": f"mapper on {MEGABYTES} MB", "input": "bench/text.txt", "repetitions": 3, "commands": mappers},
        {
            "name": "getting a node ready",
            "input": "",
            "repetitions": 5,
            "commands": {
                "pip install of the same": f"{python} -m pip install -q --no-cache-dir --target $(mktemp -d -p /mnt)"
                " numpy==2.2.6 mrjob==0.7.4 ujson==6.1.0",
                "bootstrap action": "for root in /mnt /opt; do mv $root/pybundle $(mktemp -d -p $root); done;"
                " bash bench/bootstrap.sh",
            },
        },
    ]
    files = {"plan.json": json.dumps(plan).encode(), "on_node.py": (HERE / "on_node.py").read_bytes()}
    files |= {"one-line.txt": one_line.read_bytes(), "text.txt": much_text.read_bytes()}
    for name, content in files.items():
        s3.put_object(Bucket=BUCKET, Key=f"bench/{name}", Body=content)
    steps = [
        f"aws s3 cp --quiet --recursive s3://{BUCKET}/bench/ bench",
        f"aws s3 cp --quiet {bootstrap} bench/bootstrap.sh",
        "python3 bench/on_node.py bench/plan.json > result.json",
        f"aws s3 cp --quiet result.json s3://{BUCKET}/result.json",
    ]
    script = " && ".join(steps)
    run_on_master(emr, bootstrap, script)
    measured: dict[str, list[float]] = json.loads(s3.get_object(Bucket=BUCKET, Key="result.json")["Body"].read())
    return measured


def step_args(emr: Any, cluster_id: str) -> list[str]:
    (step,) = emr.list_steps(ClusterId=cluster_id)["Steps"]
    return list(step["Config"]["Args"])


def mapper_command(args: list[str], name: str) -> str:
    """The mapper of a step, in a directory that has the step's files, as a shell command."""
    directory = "/mnt/bench" + re.sub(r"\W", "_", name)
    fetch = [
        f"[ -e {shlex.quote(file)} ] || aws s3 cp --quiet {shlex.quote(uri)} {shlex.quote(file)}"
        for uri, file in (found.split("#") for found in args[args.index("-files") + 1].split(","))
    ]
    mapper = args[args.index("-mapper") + 1]
    return f"mkdir -p {directory}; cd {directory}; {'; '.join(fetch)}; exec {mapper}"


def run_on_master(emr: Any, bootstrap: str, script: str) -> None:
    """Run *script* as the only step of a cluster of one node that has run *bootstrap*."""
    cluster_id = emr.run_job_flow(
        Name="benchmarks",
        ReleaseLabel="emr-7.14.0",
        LogUri=f"s3://{BUCKET}/logs/",
        Applications=[{"Name": "Hadoop"}],
        BootstrapActions=[{"Name": "bundle", "ScriptBootstrapAction": {"Path": bootstrap}}],
        Instances={
            "InstanceGroups": [{"InstanceRole": "MASTER", "InstanceType": "m5.xlarge", "InstanceCount": 1}],
            "KeepJobFlowAliveWhenNoSteps": False,
        },
        Steps=[
            {
                "Name": "benchmarks",
                "ActionOnFailure": "TERMINATE_CLUSTER",
                "HadoopJarStep": {"Jar": "command-runner.jar", "Args": ["bash", "-c", script]},
            }
        ],
        JobFlowRole="EMR_EC2_DefaultRole",
        ServiceRole="EMR_DefaultRole",
    )["JobFlowId"]
    emr.get_waiter("cluster_terminated").wait(ClusterId=cluster_id, WaiterConfig={"Delay": 2, "MaxAttempts": 900})
    (step,) = emr.list_steps(ClusterId=cluster_id)["Steps"]
    if step["Status"]["State"] != "COMPLETED":
        sys.exit(f"the step on the node failed: see s3://{BUCKET}/logs/{cluster_id}/steps/{step['Id']}/")


# the hook


def measure_hook(work: Path) -> dict[str, list[float]]:
    """``python -c pass`` in two environments that differ by the hook alone."""
    pythons = {}
    for name in ("without the hook", "with the hook"):
        environment = work / name.replace(" ", "-")
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
        pythons[name] = environment / "bin" / "python"
    (site_packages,) = (work / "with-the-hook").glob("lib/python*/site-packages")
    for name in ("mrjob_pybundle_hook.py", "mrjob_pybundle_hook.pth"):
        (site_packages / name).write_bytes((HERE.parent / name).read_bytes())
    measured: dict[str, list[float]] = {}
    for _ in range(300):
        for name, python in pythons.items():
            began = time.perf_counter()
            subprocess.run([python, "-c", "pass"], check=True)
            measured.setdefault(f"python -c pass/{name}", []).append(time.perf_counter() - began)
    return measured


# the report


def report(measured: dict[str, list[float]]) -> None:
    """A table: for each thing that was measured, the alternatives, and how many times the quickest's each takes."""
    table = Table(title=machine())
    for column in ("measured", "alternative", "median", "min to max", "times the least", "runs"):
        table.add_column(column, justify="left" if column in ("measured", "alternative") else "right")
    for name, alternatives in grouped(measured):
        least = min(map(statistics.median, alternatives.values()))
        for alternative, values in alternatives.items():
            median = statistics.median(values)
            unit = "" if "requests" in name else " s"
            table.add_row(
                name,
                alternative,
                f"{median:.4g}{unit}",
                f"{min(values):.4g} to {max(values):.4g}",
                f"{median / least:.2f}" if least else "",
                str(len(values)),
            )
        table.add_section()
    Console(width=150).print(table)


def grouped(measured: dict[str, list[float]]) -> Iterator[tuple[str, dict[str, list[float]]]]:
    groups: dict[str, dict[str, list[float]]] = {}
    for key, values in measured.items():
        name, alternative = key.split("/", 1)
        groups.setdefault(name, {})[alternative] = values
    yield from groups.items()


def machine() -> str:
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    processor = model[1] if model else platform.machine()
    return f"{os.cpu_count()} x {processor}, Python {platform.python_version()} at the submitter"


if __name__ == "__main__":
    main()
