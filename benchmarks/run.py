"""Measures mrjob-pybundle against what people have without it, side by side in one run. See README.md beside this.

usage: python benchmarks/run.py CPYTHON_SOURCE_TARBALL [--json FILE]     (in the sandbox: make bench)
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import figures
import node
import submissions
from figures import Measurement, Results, Target
from rich.console import Console

HERE = Path(__file__).parent
VERSION = "3.13.5"
JOB = Path(importlib.import_module("mrjob.examples.mr_word_freq_count").__file__ or "")
#: what the bundle has, for pip
PACKAGES = ["numpy==2.2.6", "mrjob==0.7.4"]
TEXT_BYTES = 10_000_000

console = Console(stderr=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("tarball", type=Path)
    parser.add_argument("--json", type=Path, help="write every value to this file")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        results = measure(args.tarball.absolute(), Path(work))
    if args.json:
        args.json.write_text(json.dumps(results.as_json(), indent=1), encoding="utf-8")
    figures.show(results)


def measure(tarball: Path, work: Path) -> Results:
    """Build the bundle if it isn't cached, then measure everything that README.md names."""
    ours = [
        "pybundle-emr",
        "--pybundle-python-version", VERSION,
        "--pybundle-python-source", str(tarball),
        "--pybundle-venv-build", str(HERE / "venv-build.sh"),
    ]  # fmt: skip
    inputs = node.Inputs(work / "one-line.txt", documentation(tarball, work / "text.txt"))
    inputs.one_line.write_text("the quick brown fox\n", encoding="utf-8")
    announce(f"the bundle: CPython {VERSION}, optimized. A quarter of an hour and more, unless it is cached.")
    node.run_job(JOB, ours, inputs.one_line, show=True)

    results = figures.this_machine()
    announce("warm submissions")
    submitted = submissions.measure(JOB, ours, inputs.one_line, work, repetitions=9)
    announce("on a node: starts of tasks, a mapper on much text, getting ready")
    start, throughput, ready = node.measure(JOB, ours, inputs, PACKAGES)
    node.add_compiling(ready)
    announce("start of Python with and without the hook")
    hook = measure_hook(work, repetitions=300)
    results.measurements = [start, throughput, submitted.seconds, ready, hook]
    results.requests = submitted.counts
    results.timeline = submitted.own
    results.targets = targets(start, submitted, hook)
    return results


def targets(start: Measurement, submitted: submissions.Submissions, hook: Measurement) -> list[Target]:
    """What the project has set itself."""
    seconds = submitted.seconds
    added = seconds.median(submissions.OURS) - seconds.median(submissions.STOCK_WITHOUT_SLEEP)
    saved = seconds.median(submissions.STOCK) - seconds.median(submissions.OURS)
    slower = hook.median(WITH_HOOK) - hook.median(WITHOUT_HOOK)
    plain = node.STOCK_PLAIN_DISTUTILS
    return [
        Target("start of a mapper task: times as fast", start.ratio(node.OURS), "", ">=", 2.5),
        Target(f"the same, against {plain}", start.ratio(node.OURS, plain), "", ">=", 2.5),
        Target("requests to S3 that a warm submission adds", submitted.added_to_s3, "", "<=", 5),
        Target("of which at once", submitted.at_once, "", ">=", 3),
        Target("seconds that it adds (to -r emr without its sleep)", added, "s", "<=", 0.5),
        Target("seconds that it saves (of -r emr as it is)", saved, "s", ">=", 0),
        Target("start of other Python programs: later by", slower, "ms", "<=", 1),
    ]


def announce(text: str) -> None:
    console.print(f"[bold]{text}[/bold]", highlight=False)


def documentation(tarball: Path, path: Path) -> Path:
    """Real text: the first :data:`TEXT_BYTES` of CPython's documentation, whole lines, written to *path*."""
    extract = ["tar", "-xOf", str(tarball), "--wildcards", "*/Doc/*.rst"]
    text = subprocess.run(extract, stdout=subprocess.PIPE, check=True).stdout
    path.write_bytes(text[: text.rindex(b"\n", 0, TEXT_BYTES) + 1])
    return path


WITH_HOOK, WITHOUT_HOOK = "with the hook", "without"


def measure_hook(work: Path, repetitions: int) -> Measurement:
    """``python -c pass`` in two environments that differ by the hook alone."""
    pythons = {}
    for name in (WITHOUT_HOOK, WITH_HOOK):
        environment = work / name.replace(" ", "-")
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
        pythons[name] = environment / "bin" / "python"
        if name == WITH_HOOK:
            (site_packages,) = environment.glob("lib/python*/site-packages")
            for file in ("mrjob_pybundle_hook.py", "mrjob_pybundle_hook.pth"):
                (site_packages / file).write_bytes((HERE.parent / file).read_bytes())
    measured = Measurement("python -c pass", "ms", WITHOUT_HOOK)
    for repetition in range(repetitions + 1):
        for name, python in pythons.items():
            began = time.perf_counter()
            subprocess.run([python, "-c", "pass"], env=submissions.environment_with_bytecode(), check=True)
            if repetition:  # the first compiles the hook
                measured.add(name, (time.perf_counter() - began) * 1000)
    return measured


if __name__ == "__main__":
    main()
