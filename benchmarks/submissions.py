"""What a submitter waits for, and asks AWS for, until EMR is asked for the job's cluster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from figures import Measurement
from jobs import OURS, STOCK

HERE = Path(__file__).parent
WARM = "process start until RunJobFlow"
STOCK_WITHOUT_SLEEP = "-r emr, cloud_fs_sync_secs: 0"

Request = dict[str, Any]


@dataclass
class Submissions:
    """Seconds until RunJobFlow, and the requests of the last submission of each alternative."""

    seconds: Measurement
    requests: dict[str, list[Request]]

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """``s3:PutObject`` → alternative → how many, for ``-r emr`` and ours."""
        counted = {name: Counter(r["operation"] for r in self.requests[name]) for name in (STOCK, OURS)}
        operations = sorted({operation for counter in counted.values() for operation in counter})
        return {operation: {name: counter[operation] for name, counter in counted.items()} for operation in operations}

    @property
    def added_to_s3(self) -> int:
        """Requests to S3 of ours that ``-r emr`` doesn't make, whatever it makes that ours doesn't."""
        return len(self.own)

    @property
    def own(self) -> list[Request]:
        """Ours by their object: those for the cache and for the bundle's bootstrap action."""
        return [r for r in self.requests[OURS] if r["operation"].startswith("s3:") and "pybundle/" in r["path"]]

    @property
    def at_once(self) -> int:
        """How many of :attr:`own` were under way at the same time, at most."""
        spans: list[tuple[float, float]] = [(request["began"], request["ended"]) for request in self.own]
        return max(sum(began <= moment < ended for began, ended in spans) for moment, _ in spans)


def measure(job: Path, ours: list[str], input_path: Path, work: Path, repetitions: int) -> Submissions:
    """Submit *job* with each runner in turn, *repetitions* times. None of them gets a cluster."""
    runners = {STOCK: ["emr"], STOCK_WITHOUT_SLEEP: ["emr", "--cloud-fs-sync-secs", "0"], OURS: ours}
    submissions = Submissions(Measurement(WARM, "s", STOCK_WITHOUT_SLEEP, OURS), {})
    for repetition in range(repetitions + 1):
        for name, runner in runners.items():
            requests = _submit([str(job), "-r", *runner, str(input_path)], work / "requests.json")
            if repetition:  # the first fills page cache and __pycache__
                submissions.seconds.add(name, requests[-1]["began"])
                submissions.requests[name] = requests
    return submissions


def ordinary_environment() -> dict[str, str]:
    """This process's environment, in which Python keeps what it has compiled, and buffers, as it does by default."""
    return {n: v for n, v in os.environ.items() if n not in ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")}


def _submit(argv: list[str], record: Path) -> list[Request]:
    command = [sys.executable, str(HERE / "submission.py"), str(time.monotonic()), str(record), *argv]
    done = subprocess.run(command, env=ordinary_environment(), capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(argv)}: exit status {done.returncode}\n{done.stderr}")
    requests: list[Request] = json.loads(record.read_text(encoding="utf-8"))
    return requests
