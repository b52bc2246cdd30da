"""Measures mrjob-pybundle against what people have without it, side by side in one run. See README.md beside this.

usage: python benchmarks/run.py CPYTHON_SOURCE_TARBALL [--quick] [--json FILE]     (in the sandbox: make bench)
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import figures
import hook
import nodes
import submissions
import tasks
from figures import Measurement, Results, Target
from jobs import OURS, PLACE, STOCK_PLAIN, run_job
from rich.console import Console

HERE = Path(__file__).parent
VERSION = "3.13.5"
#: what the bundle has, for pip; see venv-build.sh
PACKAGES = ["numpy==2.2.6", "regex==2024.11.6", "mrjob==0.7.4"]

console = Console(stderr=True)


@dataclass(frozen=True)
class Effort:
    """What a run takes upon itself: how CPython is compiled, and how often all is repeated."""

    bundle: str
    switches: tuple[str, ...]
    tasks: int
    nodes: int
    submissions: int
    hook: int


WHOLE = Effort(f"CPython {VERSION}, optimized", (), tasks=7, nodes=9, submissions=15, hook=300)
QUICK = Effort(
    f"CPython {VERSION}, not optimized", ("--no-pybundle-optimize",), tasks=2, nodes=3, submissions=5, hook=50
)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("tarball", type=Path)
    parser.add_argument("--quick", action="store_true", help="on a plain build, with fewer repetitions")
    parser.add_argument("--json", type=Path, help="write every value to this file")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        results = measure(args.tarball.absolute(), Path(work), QUICK if args.quick else WHOLE)
    if args.json:
        args.json.write_text(json.dumps(results.as_json(), indent=1), encoding="utf-8")
    figures.show(results)


def measure(tarball: Path, work: Path, effort: Effort) -> Results:
    """Build the bundle if it isn't cached, then measure everything that README.md names."""
    ours = [
        "pybundle-emr",
        "--pybundle-python-version", VERSION,
        "--pybundle-venv-build", str(HERE / "venv-build.sh"),
        *effort.switches,
    ]  # fmt: skip
    inputs = tasks.Inputs.of(tarball, work)
    announce(f"the bundle: {effort.bundle}. Minutes (optimized: a quarter of an hour and more), unless it is cached.")
    # Only who builds needs it: python.org has released it, so the version says which.
    source = ["--pybundle-python-source", str(tarball)]
    # The bundle of this one is measured, on nodes that have it from their start.
    run_job(tasks.WORDS, [*ours, *source, "--no-pybundle-overlap"], inputs.one_line, PLACE, show=True)

    results = figures.of_this_machine(effort.bundle)
    announce("warm submissions")
    submitted = submissions.measure(tasks.WORDS, ours, inputs.one_line, work, effort.submissions)
    announce("start of Python with and without the hook")
    hooked = hook.measure(work, effort.hook)
    announce("the jobs whose tasks are measured")
    packages_script = nodes.put_packages_script(PACKAGES[:-1])
    jobs = tasks.Jobs.run(ours, inputs, packages_script)
    announce("on a node: tasks that start and work, nodes that get ready")
    measured = on_node(jobs, packages_script, inputs, effort)
    results.measurements = [*measured.values(), submitted.seconds, hooked]
    results.requests = submitted.counts
    results.timeline = submitted.own
    results.targets = targets(measured, submitted, hooked, jobs.lines_that_differ())
    return results


def on_node(jobs: tasks.Jobs, packages_script: str, inputs: tasks.Inputs, effort: Effort) -> dict[str, Measurement]:
    """All that is measured on a node, by name."""
    (bootstrap,) = jobs.ours.bootstrap_actions
    plan = [*tasks.plan(jobs, effort.tasks), *nodes.plan(bootstrap, PACKAGES, effort.nodes)]
    files = [inputs.one_line, inputs.text, inputs.counts]
    found = nodes.measure(plan, bootstrap, packages_script, jobs.fetching(), files)
    measured = {}
    for name, values in found.items():
        baseline, ours = (nodes.BY_HAND, nodes.BOOTSTRAP) if name == nodes.READY else (STOCK_PLAIN, OURS)
        measured[name] = Measurement(name, "s", baseline, ours, values["seconds"], values["processor"])
    measured[nodes.READY].note = found[nodes.READY]["said"][nodes.BOOTSTRAP]
    return measured


def targets(
    measured: dict[str, Measurement], submitted: submissions.Submissions, hooked: Measurement, lines_that_differ: int
) -> list[Target]:
    """What the project has set itself."""
    ready, warm = measured[nodes.READY], submitted.seconds
    environment = ready.median(nodes.ENVIRONMENT) / ready.median(nodes.UV)

    def times(name: str) -> float:
        return measured[name].times_as_fast(OURS)

    return [
        Target(f"{tasks.MAPPER}: times as fast", times(tasks.MAPPER), "", ">=", 4),
        Target(f"{tasks.COMBINER}: times as fast", times(tasks.COMBINER), "", ">=", 2.5),
        Target(f"{tasks.REDUCER}: times as fast", times(tasks.REDUCER), "", ">=", 2.5),
        Target(f"{tasks.START}: times as fast", times(tasks.START), "", ">=", 3),
        Target("node ready, to the same by hand", ready.share(), "", "<=", 1),
        Target("node ready, to uv with bytecode", ready.share(nodes.UV_BYTECODE), "", "<=", 0.5),
        Target("the environment's archive alone, to uv without bytecode", environment, "", "<=", 1.2),
        Target("warm submission, to -r emr without its sleep", warm.share(), "", "<=", 0.6),
        Target("lines of a job's output that differ from -r emr's", lines_that_differ, "", "<=", 0),
        Target("requests to S3 that a warm submission adds", submitted.added_to_s3, "", "<=", 5),
        Target("of which at once", submitted.at_once, "", ">=", 3),
        Target(
            "start of other Python programs: later by",
            hooked.median(hook.WITH_HOOK) - hooked.median(hook.WITHOUT_HOOK),
            "ms",
            "<=",
            1,
        ),
    ]


def announce(text: str) -> None:
    console.print(f"[bold]{text}[/bold]", highlight=False)


if __name__ == "__main__":
    main()
