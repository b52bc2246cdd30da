"""Submits a job in this process until it asks EMR for a cluster, which it doesn't get. A part of ``run.py``.

usage: python submission.py BEGAN RECORD.json JOB.py SWITCH…     (in the sandbox)

BEGAN is ``time.monotonic()`` of who started this process, just before. JOB.py runs as if it had been started itself.
Writes RECORD.json: the requests to AWS, with seconds since BEGAN; the last one is RunJobFlow. Each takes
:data:`DISTANCE` longer than the sandbox does.
"""

from __future__ import annotations

import json
import runpy
import sys
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

#: Seconds. The sandbox answers at once, so that even what is sent together would seem to be sent one by one.
DISTANCE = 0.03


class _AskedForCluster(BaseException):
    """Ends the submission. No Exception, so that nobody on the way takes it for a failed request."""


class Recorder:
    """Sees every request of boto3's default session, which is the one that mrjob uses."""

    def __init__(self, began: float) -> None:
        self.requests: list[dict[str, Any]] = []
        self._began = began
        self._in_flight: dict[int, dict[str, Any]] = {}

    def install(self) -> None:
        import boto3

        boto3.setup_default_session()
        events = boto3.DEFAULT_SESSION.events
        events.register("before-send.*", self._before_send)
        events.register("response-received.*", self._response_received)

    def _before_send(self, event_name: str, request: Any, **_: object) -> None:
        service, operation = event_name.split(".")[1:3]
        url = urlsplit(request.url)
        entry = {
            "operation": f"{service}:{operation}",
            "path": unquote(url.path + (f"?{url.query}" if url.query else "")),
            "began": time.monotonic() - self._began,
        }
        self.requests.append(entry)
        self._in_flight[threading.get_ident()] = entry
        if operation == "RunJobFlow":
            raise _AskedForCluster
        time.sleep(DISTANCE)

    def _response_received(self, **_: object) -> None:
        self._in_flight.pop(threading.get_ident())["ended"] = time.monotonic() - self._began


def main() -> None:
    began, record, *argv = sys.argv[1:]
    recorder = Recorder(float(began))
    recorder.install()
    sys.argv = argv
    try:
        runpy.run_path(argv[0], run_name="__main__")
    except _AskedForCluster:
        Path(record).write_text(json.dumps(recorder.requests), encoding="utf-8")
        return
    sys.exit("the job has ended without asking for a cluster")


if __name__ == "__main__":
    main()
