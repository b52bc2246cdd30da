"""Compares how bundles' CPython is compiled with what everybody would do, and the two interpreters with each other.

usage: python benchmarks/compiling.py CPYTHON_SOURCE_TARBALL VERSION DIRECTORY [--json FILE] [--together] [--runs N]

Compiles in DIRECTORY, twice, optimized: as build masters do (``master/build-binaries/python.sh``), and by ``./configure
--enable-optimizations --with-lto && make -jN``. One after the other, or with --together side by side, which leaves only
the processor's seconds to compare. An hour on 2 cores. Then both interpreters, and the machine's own, take turns at
``interpreters.py``. What an earlier run has compiled there is not compiled again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import geometric_mean

import figures
import psutil
from figures import Measurement

HERE = Path(__file__).parent
OURS, NAIVE = "as build masters do", "./configure --enable-optimizations --with-lto && make -jN"
MACHINE = "the machine's own /usr/bin/python3"

#: What configure and make say when a stage begins, and ours for the stage.
_STAGES = {
    "Building with support for profile generation": "with counters, and the profiling run",
    "Rebuilding with profile guided optimizations": "by the profile",
}


@dataclass
class Compilation:
    """What a compilation took, by stage: seconds on the clock (*wall*), and of processors (*cpu*)."""

    wall: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)

    @property
    def by_stage(self) -> str:
        return ", ".join(f"{stage} {self.wall[stage]:.0f} ({self.cpu[stage]:.0f})" for stage in self.wall)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("tarball", type=Path)
    parser.add_argument("version")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--json", type=Path, help="write every value to this file")
    parser.add_argument("--together", action="store_true", help="compile both at the same time")
    parser.add_argument("--runs", type=int, default=5, help="of the interpreters")
    args = parser.parse_args()
    results = figures.of_this_machine(f"CPython {args.version}, optimized")
    trees = {name: args.directory / short for name, short in ((NAIVE, "naive"), (OURS, "ours"))}
    compilations = compile_all(args.tarball, args.version, trees, together=args.together)
    note = "; ".join(f"{name}, s (of processors): {compilation.by_stage}" for name, compilation in compilations.items())
    for attribute, name in (("wall", "compiling CPython"), ("cpu", "compiling CPython, seconds of processors")):
        measurement = Measurement(name, "s", NAIVE, OURS, note=note)
        for tree, compilation in compilations.items():
            measurement.add(tree, sum(getattr(compilation, attribute).values()))
        results.measurements.append(measurement)
    interpreters = {MACHINE: Path("/usr/bin/python3"), **{name: tree / "python" for name, tree in trees.items()}}
    results.measurements += compare(interpreters, args.runs)
    if args.json:
        args.json.write_text(json.dumps(results.as_json(), indent=1), encoding="utf-8")
    figures.show(results)


def compile_all(tarball: Path, version: str, trees: dict[str, Path], *, together: bool) -> dict[str, Compilation]:
    """Compile in each of *trees*, unless that has been done."""
    naive = "./configure --enable-optimizations --with-lto && make -j$(getconf _NPROCESSORS_ONLN)"
    commands = {
        NAIVE: ["bash", "-ec", naive],
        OURS: [str(HERE / "compile-ours.sh"), str(trees[OURS]), version],
    }
    threads = [
        threading.Thread(target=_compile, args=(tarball.absolute(), trees[name], command))
        for name, command in commands.items()
    ]
    for thread in threads:
        thread.start()
        if not together:
            thread.join()
    for thread in threads:
        thread.join()
    return {name: _read(tree) for name, tree in trees.items()}


def _compile(tarball: Path, tree: Path, command: list[str]) -> None:
    if _record(tree).exists():
        return
    subprocess.run(["rm", "-rf", tree], check=True)
    tree.mkdir(parents=True)
    subprocess.run(["tar", "-xf", tarball, "--strip-components=1", "-C", tree], check=True)
    compilation, stage = Compilation(), "configure"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    began, used = time.monotonic(), 0.0
    with (
        (tree / "compiling.log").open("wb") as log,
        subprocess.Popen(
            command,
            cwd=tree,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            log.write(line)
            begins = next((name for words, name in _STAGES.items() if line.startswith(words.encode())), None)
            if begins:
                now, cpu = time.monotonic(), _processor_seconds(process.pid)
                compilation.wall[stage], compilation.cpu[stage] = now - began, cpu - used
                stage, began, used = begins, now, cpu
        cpu = _processor_seconds(process.pid)
        compilation.wall[stage], compilation.cpu[stage] = time.monotonic() - began, cpu - used
    if process.returncode:
        sys.exit(f"{command[0]}: exit status {process.returncode}: see {tree / 'compiling.log'}")
    _record(tree).write_text(json.dumps(asdict(compilation)), encoding="utf-8")


def _processor_seconds(pid: int) -> float:
    """Of the process and all that have come from it; who has ended counts with whoever has waited for it."""
    process = psutil.Process(pid)
    seconds = 0.0
    for each in (process, *process.children(recursive=True)):
        try:
            seconds += sum(each.cpu_times()[:4])  # its own, and of those that it has waited for
        except psutil.NoSuchProcess:  # its parent has waited for it by now, perhaps before we looked there
            continue
    return seconds


def _record(tree: Path) -> Path:
    return tree / "compiling.json"


def _read(tree: Path) -> Compilation:
    return Compilation(**json.loads(_record(tree).read_text(encoding="utf-8")))


def compare(interpreters: dict[str, Path], runs: int) -> list[Measurement]:
    """What *interpreters* take for each of the works of ``interpreters.py``: they take turns, the first doesn't count.

    Before them, the geometric mean of all works of a run.
    """
    mean = Measurement("an interpreter's works, geometric mean", "s", NAIVE, OURS)
    works: dict[str, Measurement] = {}
    for run in range(runs + 1):
        for name, python in interpreters.items():
            command = [str(python), "-B", "-S", str(HERE / "interpreters.py")]
            seconds = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
            if run:
                mean.add(name, geometric_mean(seconds.values()))
                for work, value in seconds.items():
                    works.setdefault(work, Measurement(work, "ms", NAIVE, OURS)).add(name, value * 1000)
    return [mean, *works.values()]


if __name__ == "__main__":
    main()
