"""Measures, on a node, what ``node.py`` has put there; prints JSON. Runs on the node's own Python 3.

usage: python3 on_node.py PLAN.json

The plan is a list of ``{"name", "repetitions", "input": PATH or null, "same_output": bool, "alternatives": {name:
{"argv", "cwd", "environment", "before": shell commands that are not measured}}}``. Alternatives take turns; the first
turn isn't counted.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def main() -> None:
    plan = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    print(json.dumps({measurement["name"]: measure(measurement) for measurement in plan}))


def measure(measurement: dict[str, Any]) -> dict[str, list[float]]:
    """The seconds of each alternative's runs."""
    seconds: dict[str, list[float]] = {name: [] for name in measurement["alternatives"]}
    for repetition in range(measurement["repetitions"] + 1):
        outputs = set()
        for name, alternative in measurement["alternatives"].items():
            took, output = run(name, alternative, measurement["input"])
            outputs.add(output)
            if repetition:
                seconds[name].append(took)
        if measurement["same_output"] and len(outputs) > 1:
            sys.exit(f"{measurement['name']}: the alternatives write different output")
    return seconds


def run(name: str, alternative: dict[str, Any], input_path: str | None) -> tuple[float, str]:
    """Run *alternative* once: seconds, and a digest of what it has written."""
    subprocess.run(["bash", "-ec", alternative["before"]], check=True, stdout=subprocess.DEVNULL)
    with Path(input_path or os.devnull).open("rb") as lines:
        began = time.perf_counter()
        done = subprocess.run(
            alternative["argv"],
            cwd=alternative["cwd"],
            env=dict(os.environ, **alternative["environment"]),
            stdin=lines,
            capture_output=True,
        )
        seconds = time.perf_counter() - began
    if done.returncode:
        sys.exit(f"{name}: exit status {done.returncode}\n{done.stderr.decode()}")
    return seconds, hashlib.sha256(done.stdout).hexdigest()


if __name__ == "__main__":
    main()
