"""Measures, on a node, what ``run.py`` has put there; prints JSON. Runs on the node's own Python 3.

usage: python3 on_node.py PLAN.json

The plan's ``tasks`` are command lines by name, interleaved; ``preparations`` are shell commands by name.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path


def main() -> None:
    plan = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    measured: dict[str, list[float]] = {}
    for measurement in plan:
        lines = Path(measurement["input"]).read_bytes() if measurement["input"] else b""
        for _ in range(measurement["repetitions"]):
            for name, command in measurement["commands"].items():
                began = time.perf_counter()
                done = subprocess.run(["bash", "-c", command], input=lines, capture_output=True)
                seconds = time.perf_counter() - began
                if done.returncode:
                    sys.exit(f"{name}: exit status {done.returncode}\n{done.stderr.decode()}")
                measured.setdefault(f"{measurement['name']}/{name}", []).append(seconds)
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
