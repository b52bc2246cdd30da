"""What a person waits for where clusters start as slowly as EMR's: with ``pybundle_overlap``, and without.

usage: python benchmarks/starts.py CPYTHON_SOURCE_TARBALL START_SECONDS [--json FILE]
       (in a sandbox with --start-seconds START_SECONDS: make bench-starts)

Each run is a job of one line and of one step or three. Its cache has nothing, the Python alone, or all. What is given
is when its first mapper began with its own code, and when the job was done, in seconds from its start.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import boto3
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
JOB = HERE / "mr_first_line.py"
VERSION = "3.13.5"
BUCKET = "bench-starts"
#: Stages of a build until its Python is in the cache.
UNTIL_PYTHON = frozenset(
    {"prepare", "packages", "source", "configure", "compile", "install", "check", "python-archive", "fetch-python"}
)
#: What a run may take besides: a carried bundle is fetched and unpacked, a step begins, polls come by.
ALLOWANCE_SECONDS = 10

console = Console(stderr=True)


@dataclass(frozen=True)
class Run:
    """One job that was run."""

    cached: str
    steps: int
    overlap: bool
    first_line: float
    done: float
    #: stage → seconds, of its build; none if all was cached
    stages: dict[str, float]

    def bound(self, start_seconds: float) -> float:
        """What :attr:`first_line` should not exceed, with overlap."""
        until = sum(seconds for name, seconds in self.stages.items() if name in UNTIL_PYTHON)
        rest = sum(self.stages.values()) - until
        if self.cached == "nothing":
            return start_seconds + until + max(start_seconds, rest) + ALLOWANCE_SECONDS
        return start_seconds + until + rest + ALLOWANCE_SECONDS


class Bench:
    """Runs jobs, each on a cache of its own."""

    def __init__(self, tarball: Path, work: Path) -> None:
        self._tarball = tarball
        self._work = work
        self._s3 = boto3.client("s3", region_name="us-east-1")
        self._s3.create_bucket(Bucket=BUCKET)
        self._runs = 0
        #: which text venv-build.sh has
        self._edit = 0

    def run(self, cached: str, steps: int, *, overlap: bool) -> Run:
        """One run, with what the run before has left in its cache, as far as it is to be *cached*."""
        before, number = f"run-{self._runs}", self._runs + 1
        prefix = f"run-{number}"
        if cached != "nothing":
            self._copy(f"{before}/v1/python/", f"{prefix}/v1/python/")
        if cached == "all":
            self._copy(f"{before}/v1/venv/", f"{prefix}/v1/venv/")
        else:
            self._edit = number
        self._runs = number
        began = time.time()
        first_line = self._job(prefix, steps, overlap=overlap)
        done = time.time()
        stages = {} if cached == "all" else self._stages(prefix)
        return Run(cached, steps, overlap, first_line - began, done - began, stages)

    def _job(self, prefix: str, steps: int, *, overlap: bool) -> float:
        script = self._work / "venv-build.sh"
        script.write_text(f"echo edit {self._edit}\nsleep 20\n", encoding="utf-8")
        command = [
            sys.executable, str(JOB), "-r", "pybundle-emr", "--steps-in-all", str(steps),
            "--pybundle-python-version", VERSION, "--pybundle-python-source", str(self._tarball),
            "--no-pybundle-optimize", "--pybundle-venv-build", str(script),
            "--pybundle-cache-uri", f"s3://{BUCKET}/{prefix}",
            "--pybundle-overlap" if overlap else "--no-pybundle-overlap",
        ]  # fmt: skip
        log = self._work / f"{prefix}.log"
        with log.open("w", encoding="utf-8") as stderr:
            ran = subprocess.run(command, input="x\n", stdout=subprocess.PIPE, stderr=stderr, text=True, check=False)
        if ran.returncode:
            raise SystemExit(log.read_text(encoding="utf-8"))
        return float(ran.stdout.split("\t")[1])

    def _stages(self, prefix: str) -> dict[str, float]:
        (name,) = (key for key in self._keys(f"{prefix}/v1/builds/") if key.endswith("/status.json"))
        status = json.loads(self._s3.get_object(Bucket=BUCKET, Key=name)["Body"].read())
        return {stage: float(seconds) for stage, seconds in status["stages"].items()}

    def _copy(self, prefix: str, to: str) -> None:
        for key in self._keys(prefix):
            name = to + key.removeprefix(prefix)
            self._s3.copy_object(Bucket=BUCKET, Key=name, CopySource={"Bucket": BUCKET, "Key": key})

    def _keys(self, prefix: str) -> Iterator[str]:
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix):
            yield from (found["Key"] for found in page.get("Contents", ()))


def measure(bench: Bench) -> list[Run]:
    """All that is compared, the two ways by turns."""
    runs = []
    for cached, steps in (("nothing", 1), ("the Python", 1), ("the Python", 3), ("all", 1)):
        for overlap in (True, False):
            what = f"cached: {cached}; steps: {steps}; {'with' if overlap else 'without'} overlap"
            console.print(f"[bold]{what}[/bold]", highlight=False)
            runs.append(bench.run(cached, steps, overlap=overlap))
    return runs


def table(runs: list[Run], start_seconds: float) -> Table:
    """For a person: each case with both ways beside each other."""
    shown = Table(title=f"Seconds, where a cluster takes {start_seconds:g} to start")
    for heading in ("cached", "steps", "overlap", "first line of a mapper", "bound", "done", "build's stages"):
        shown.add_column(heading, justify="left" if heading == "cached" else "right")
    for run in runs:
        is_bound = run.overlap and run.cached != "all"
        shown.add_row(
            *(run.cached, str(run.steps), "yes" if run.overlap else "no", f"{run.first_line:.1f}"),
            f"{run.bound(start_seconds):.1f}" if is_bound else "",
            f"{run.done:.1f}",
            f"{sum(run.stages.values()):.1f}" if run.stages else "",
        )
    return shown


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("tarball", type=Path)
    parser.add_argument("start_seconds", type=float)
    parser.add_argument("--json", type=Path, help="write every value to this file")
    args = parser.parse_args()
    if "AWS_ENDPOINT_URL" not in os.environ:
        parser.error("this is for the sandbox: make bench-starts")
    with tempfile.TemporaryDirectory() as work:
        runs = measure(Bench(args.tarball.absolute(), Path(work)))
    if args.json:
        values: dict[str, Any] = {"start_seconds": args.start_seconds, "runs": [asdict(run) for run in runs]}
        args.json.write_text(json.dumps(values, indent=1), encoding="utf-8")
    Console().print(table(runs, args.start_seconds))


if __name__ == "__main__":
    main()
