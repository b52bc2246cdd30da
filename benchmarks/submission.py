"""Submits a job in this process, and prints what it asked AWS for, and when. A part of ``run.py``.

usage: python submission.py RUNNER [SWITCH…] INPUT     (in the sandbox)
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

BEGAN = time.perf_counter()

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "jobs"))


def main() -> None:
    import boto3
    from mr_line_lengths import MRLineLengths

    requests: list[tuple[str, float]] = []

    def note(event_name: str, **_: object) -> None:
        service, operation = event_name.split(".")[1:3]
        requests.append((f"{service}:{operation}", time.perf_counter() - BEGAN))

    boto3.setup_default_session()
    boto3.DEFAULT_SESSION._session.register("before-send.*", note)
    job = MRLineLengths(["-r", *sys.argv[1:]])
    with job.make_runner() as runner:
        runner.run()
    launched = next(seconds for operation, seconds in requests if operation == "emr:RunJobFlow")
    before = [operation for operation, seconds in requests if seconds <= launched]
    print(json.dumps({"seconds": launched, "requests": before}))


if __name__ == "__main__":
    main()
