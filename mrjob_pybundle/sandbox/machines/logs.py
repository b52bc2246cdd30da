"""Logs: written below a cluster's directory in the layout, and the wording, that EMR and Hadoop give them.

mrjob reads them as it would read EMR's: IDs, counters and the cause of a failure come from these texts.
"""

from __future__ import annotations

import gzip
import json
import sys
import threading
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from mrjob_pybundle.sandbox.machines.storage import S3Storage, Uri

Counters = Mapping[str, Mapping[str, int]]


def notice(text: str) -> None:
    """Tell the person at the terminal."""
    print(f"sandbox: {text}", file=sys.stderr, flush=True)  # noqa: T201


def timestamp() -> str:
    """Now, as Hadoop's logs write it: ``2026-11-22 22:30:00,123`` (UTC)."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S,%f")[:-3]


class LogFile:
    """A log4j file that several threads append to."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._lock = threading.Lock()

    def client(self, logger: str, message: str, level: str = "INFO") -> None:
        """A line as Hadoop's client writes it (step logs)."""
        self.write(f"{timestamp()} {level} {logger} (main): {message}\n")

    def task(self, logger: str, message: str, level: str = "INFO") -> None:
        """A line as a task writes it (container logs)."""
        self.write(f"{timestamp()} {level} [main] {logger}: {message}\n")

    def write(self, text: str) -> None:
        """*text* as it is."""
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            file.write(text)


def counters_message(counters: Counters) -> str:
    """*counters* in the indented format in which Hadoop's client logs them."""
    count = sum(len(group) for group in counters.values())
    lines = [f"Counters: {count}"]
    for group in sorted(counters):
        lines.append(f"\t{group}")
        lines.extend(f"\t\t{name}={amount}" for name, amount in sorted(counters[group].items()))
    return "\n".join(lines)


class JobHistory:
    """A job's history file, one JSON event a line: it says which container an attempt ran in."""

    def __init__(self, directory: Path, job_id: str) -> None:
        now = datetime.now(timezone.utc)
        day = directory / now.strftime("%Y/%m/%d/000000")
        day.mkdir(parents=True, exist_ok=True)
        self._path = day / f"{job_id}-{int(now.timestamp() * 1000)}-hadoop-streamjob.jhist"
        self._path.write_text("Avro-Json\n", encoding="utf-8")
        self._lock = threading.Lock()

    def attempt_started(self, kind: str, attempt_id: str, container_id: str) -> None:
        event = {"attemptId": attempt_id, "containerId": container_id}
        self._append(f"{kind}_ATTEMPT_STARTED", "TaskAttemptStarted", event)

    def attempt_failed(self, kind: str, task_id: str, attempt_id: str, error: str) -> None:
        event = {"taskid": task_id, "attemptId": attempt_id, "error": error, "status": "FAILED"}
        self._append(f"{kind}_ATTEMPT_FAILED", "TaskAttemptUnsuccessfulCompletion", event)

    def job_finished(self, job_id: str, counters: Counters) -> None:
        groups = [
            {
                "name": group,
                "displayName": group,
                "counts": [{"name": n, "displayName": n, "value": v} for n, v in sorted(amounts.items())],
            }
            for group, amounts in sorted(counters.items())
        ]
        event = {"jobid": job_id, "totalCounters": {"name": "TOTAL_COUNTERS", "groups": groups}}
        self._append("JOB_FINISHED", "JobFinished", event)

    def _append(self, kind: str, event_class: str, event: Mapping[str, Any]) -> None:
        record = {"type": kind, "event": {f"org.apache.hadoop.mapreduce.jobhistory.{event_class}": event}}
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")


class LogUploader:
    """Copies the files below *directory*, gzipped, below *destination* in S3, each once per change."""

    def __init__(self, s3: S3Storage, directory: Path, destination: Uri) -> None:
        self._s3 = s3
        self._directory = directory
        self._destination = destination
        self._uploaded: dict[Path, Any] = {}

    def upload(self) -> None:
        for path in sorted(self._directory.rglob("*")):
            if not path.is_file():
                continue
            status = path.stat()
            version = (status.st_size, status.st_mtime_ns)
            if self._uploaded.get(path) == version:
                continue
            name = path.relative_to(self._directory).as_posix()
            packed = gzip.compress(path.read_bytes(), compresslevel=1)
            self._s3.put_bytes(self._destination / f"{name}.gz", packed)
            self._uploaded[path] = version
