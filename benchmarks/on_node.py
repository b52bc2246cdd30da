"""Measures, on a node, what a plan asks for; prints JSON. Runs on the node's own Python 3. A part of ``run.py``.

usage: python3 on_node.py PLAN.json

The plan is a list of ``{"name", "repetitions", "input": PATH or null, "alternatives": {name: {"argv", "cwd",
"environment", "before": shell commands that are not measured, "same_output": bool}}}``. Alternatives take turns; the
first turn isn't counted. Those with *same_output* must write the same bytes, or it all ends with an error.

The output is ``{name: {"seconds": {alternative: [one, …]}, "processor": {alternative: [of processors, …]}, "said":
{alternative: its last stdout, if short}}}``.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

#: Bytes of an output that a person may want to read.
_SHORT = 2000


def main() -> None:
    plan = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    print(json.dumps({measurement["name"]: measure(measurement) for measurement in plan}))


def measure(measurement: dict[str, Any]) -> dict[str, Any]:
    """The seconds of each alternative's runs, on the clock and of processors, and what the last one has said."""
    print(measurement["name"], file=sys.stderr)
    seconds: dict[str, list[float]] = {name: [] for name in measurement["alternatives"]}
    processor: dict[str, list[float]] = {name: [] for name in measurement["alternatives"]}
    said: dict[str, str] = {}
    for repetition in range(measurement["repetitions"] + 1):
        digests = {}
        for name, alternative in measurement["alternatives"].items():
            took, used, output = run(name, alternative, measurement["input"])
            if repetition:
                seconds[name].append(took)
                processor[name].append(used)
            if alternative["same_output"]:
                digests[name] = hashlib.sha256(output).hexdigest()
            if len(output) < _SHORT:
                said[name] = output.decode(errors="replace")
        if len(set(digests.values())) > 1:
            sys.exit(f"{measurement['name']}: the alternatives write different output: {digests}")
    return {"seconds": seconds, "processor": processor, "said": said}


def run(name: str, alternative: dict[str, Any], input_path: str | None) -> tuple[float, float, bytes]:
    """Run *alternative* once: seconds on the clock, of processors, and what it has written."""
    environment = dict(os.environ, **alternative["environment"])
    # Makes each write of a task a system call, and no node has it.
    environment.pop("PYTHONUNBUFFERED", None)
    subprocess.run(["bash", "-ec", alternative["before"]], check=True, stdout=subprocess.DEVNULL)
    with Path(input_path or os.devnull).open("rb") as lines:
        began, used = time.perf_counter(), _processor_seconds()
        done = subprocess.run(
            alternative["argv"], cwd=alternative["cwd"], env=environment, stdin=lines, capture_output=True
        )
        seconds = time.perf_counter() - began
    if done.returncode:
        sys.exit(f"{name}: exit status {done.returncode}\n{done.stderr.decode()}")
    return seconds, _processor_seconds() - used, done.stdout


def _processor_seconds() -> float:
    """Of all processes that have been waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
