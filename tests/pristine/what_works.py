"""What the bundle's Python must be able to do on a node, and what comes out: of jobs/mr_what_works.py."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

JOB = Path(__file__).parent / "jobs" / "mr_what_works.py"

#: what the job has checks of → what comes out, or a pattern that matches it
EXPECTED: dict[str, Any] = {
    "ssl": ["TLSv1.3"],
    "a_server_that_leaves_without_a_word": "^all there is$",
    "a_stranger_is_not_trusted": "(?i)certificate.verify.failed",
    "hashlib": "^[0-9a-f]{64}$",
    "sqlite3": [45, 10],
    "ctypes": [6, [1, 2, 3, 4, 5]],
    "bz2": True,
    "lzma": True,
    "zlib": True,
    "readline": "^a line$",
    "uuid": [16, True],
    "curses": 8,
    "multiprocessing": [1, 2, 3],
    "wheel_with_libraries": [0.8, 1.4],
    "package_with_a_system_library": r"/nonexistent/\.s\.PGSQL",
    "script": "^hello, world\n$",
    "setuptools": "^setuptools$",
    "flit": "^flit$",
    "hatchling": "^hatchling$",
    "pip": r"^pip [0-9.]+ from /mnt/pybundle/\w+/venv/",
    "uv": r"^uv [0-9.]+",
    "venv": r"^[0-9.]+ /(mnt|opt)/pybundle/\w+/py True\n$",
}


def answers_of(run: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """What the job said of each check: ["works", what came out] or ["fails", traceback]."""
    assert run.returncode == 0, run.stderr[-6000:]
    return {json.loads(name): json.loads(answer) for name, answer in (x.split("\t") for x in run.stdout.splitlines())}


def must_work(check: str, answer: tuple[str, Any]) -> None:
    """Fail unless a check gave what is expected."""
    outcome, value = answer
    assert outcome == "works", (check, value)
    expected = EXPECTED[check]
    assert re.search(expected, value) if isinstance(expected, str) else value == expected, (check, value)
