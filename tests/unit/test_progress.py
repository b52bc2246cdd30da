"""What a build shows where stderr is no terminal: stages, their time, and what venv-build.sh prints."""

from __future__ import annotations

import io
import logging
import re
import runpy
from dataclasses import replace
from pathlib import Path

import pytest

from mrjob_pybundle.cache.builds import Status
from mrjob_pybundle.master.stages import WAITING, Forecast
from mrjob_pybundle.progress import BuildProgress

ROOT = Path(__file__).parents[2]

LOG = b"""\
mrjob-pybundle 1.0, build b for ada
==> packages
all that the build needs is installed
==> compile
gcc -c one.c
==> venv-build
Successfully installed regex
==> no stage of ours
==> publish
caf\xc3\xa9
==> finish-venv
mrjob==0.7.4
"""


def _status(stage: str, state: str = "RUNNING", **stages: float) -> Status:
    ended = {name.replace("_", "-"): seconds for name, seconds in stages.items()}
    return Status(state, stage, 0, 0, 0, ended, None, None)


def _shown(caplog: pytest.LogCaptureFixture, level: int, *polls: tuple[Status, bytes]) -> list[str]:
    caplog.set_level(level, "mrjob.pybundle")
    with BuildProgress("b", "j-1", "s3://bucket/log.txt") as progress:
        for status, news in polls:
            progress.show(status, news)
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize("size", [1, 7, 50, len(LOG)])
def test_of_the_log_only_what_venv_build_prints(caplog: pytest.LogCaptureFixture, size: int) -> None:
    """However the log is cut into polls; several stages may come with one of them."""
    status = _status("finish-venv", packages=3, compile=125, venv_build=61)
    polls = [(status, LOG[start : start + size]) for start in range(0, len(LOG), size)]
    shown = _shown(caplog, logging.INFO, *polls)
    assert [line for line in shown if line.startswith("  | ")] == [
        "  | Successfully installed regex",
        "  | ==> no stage of ours",
        "  | ==> publish",
        "  | café",
    ]
    assert "  all of its log: s3://bucket/log.txt (with -v as it comes)" in shown


def test_stages_and_their_time_are_the_masters(caplog: pytest.LogCaptureFixture) -> None:
    status = _status("finish-venv", packages=3, compile=125, venv_build=61)
    shown = _shown(caplog, logging.INFO, (status, LOG))
    stages = [line.partition("] ")[2] for line in shown if line.startswith("  [")]
    assert stages == [
        "packages",
        "compile (packages took 0:03)",
        "venv-build (compile took 2:05)",
        "finish-venv (venv-build took 1:01)",
    ]
    assert shown.index("  | café") < len(shown) - 2 < len(shown)


def test_all_of_the_log_with_v(caplog: pytest.LogCaptureFixture) -> None:
    shown = _shown(caplog, logging.DEBUG, (_status("finish-venv", packages=3, compile=125, venv_build=61), LOG))
    assert {"  | gcc -c one.c", "  | mrjob==0.7.4", "  | Successfully installed regex"} <= set(shown)


def test_a_last_line_without_an_end(caplog: pytest.LogCaptureFixture) -> None:
    ended = _status("venv-build", "FAILED", packages=3)
    shown = _shown(caplog, logging.INFO, (_status("venv-build"), b"==> venv-build\nno l"), (ended, b"ine end"))
    assert [line for line in shown if line.startswith("  | ")] == ["  | no line end"]


def test_what_the_master_notes_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    before, after = (replace(_status("packages"), notes=notes) for notes in (("one",), ("one", "two")))
    shown = _shown(caplog, logging.INFO, (before, b""), (before, b""), (after, b""))
    assert [line for line in shown if "note" in line] == ["  note: one", "  note: two"]


FORECAST = Forecast(
    {WAITING: 240, "packages": 30, "venv": 2, "venv-build": 60, "finish-venv": 3, "venv-archive": 5}, False
)


def test_what_is_to_come_as_an_earlier_build_tells(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mrjob.pybundle")
    now = 0.0
    with BuildProgress("b", "j-1", "s3://bucket/log.txt", FORECAST, waited=20.0, now=lambda: now) as progress:
        progress.waiting_for_cluster("STARTING")
        now = 100.0
        progress.waiting_for_cluster("BOOTSTRAPPING")
        now = 250.0
        progress.show(_status("packages"), b"")
        # Who looks at last is told of a stage that has gone on for a while.
        progress.show(replace(_status("venv-build"), stage_started=1000.0, read_at=1050.5), b"")
    shown = [record.getMessage() for record in caplog.records]
    assert [line.partition("] ")[2] for line in shown if line.startswith("  [")] == [
        "waiting for the cluster (STARTING), about 5:20 left",
        "waiting for the cluster (BOOTSTRAPPING) (waiting for the cluster (STARTING) took 1:40), about 3:40 left",
        "packages (waiting for the cluster (BOOTSTRAPPING) took 2:30), about 1:40 left",
        "venv-build (packages took 0:00), about 0:17 left",
    ]
    assert [line for line in shown if "to come" in line] == [
        "  to come: prepare, packages 0:30, fetch-python, inputs, venv 0:02, venv-build 1:00, finish-venv 0:03,"
        " venv-archive 0:05, publish"
    ]


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mrjob.pybundle")
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}.items():
        monkeypatch.setenv(name, value)
    terminal = _Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with BuildProgress("b", "j-1", "s3://bucket/log.txt", FORECAST, now=lambda: 0.0) as progress:
        progress.show(_status("venv-build", packages=3), b"==> venv-build\n")
    lines = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", terminal.getvalue()).splitlines()
    shown = next(number for number, line in enumerate(lines) if "venv-build 0:00, 0:00 in all, about 1:08 left" in line)
    assert re.fullmatch(r"█{32} *", lines[shown + 1]), "272 of 340 seconds, in 40 characters"
    assert lines[shown + 2].strip() == "to come: finish-venv 0:03, venv-archive 0:05, publish"
    assert not [record for record in caplog.records if "to come" in record.getMessage()]


def test_others_write_between_two_pictures(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """What is on the screen in the end is what others wrote, whole, and nothing of the display."""
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}.items():
        monkeypatch.setenv(name, value)
    caplog.set_level(logging.INFO, "mrjob.pybundle")
    terminal = _Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with BuildProgress("b", "j-1", "s3://bucket/log.txt", FORECAST, now=lambda: 0.0) as progress:
        progress.show(_status("venv-build", packages=3), b"==> venv-build\nline\n")
        with progress.paused():
            print("Created new cluster", file=terminal)
            print("Added EMR tags", file=terminal)
        progress.show(_status("venv-archive", packages=3), b"==> venv-build\nline\n==> venv-archive\n")
    screen = runpy.run_path(str(ROOT / "scripts" / "draw-build.py"))["Screen"]()
    screen.write(terminal.getvalue())
    plain = [re.sub(r"\x1b\[[\d;]*m", "", line).strip() for line in screen.lines]
    created = plain.index("Created new cluster")
    assert plain[created + 1] == "Added EMR tags"
    assert not [line for line in plain if "to come" in line or "█" in line]


def test_nothing_is_said_of_what_nobody_knows(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mrjob.pybundle")
    with BuildProgress("b", "j-1", "s3://bucket/log.txt", FORECAST, now=lambda: 0.0) as progress:
        progress.show(_status("compile", packages=3), b"")
        progress.show(_status("venv-archive", packages=3, compile=100), b"")
        progress.show(_status("a stage of another version", packages=3, compile=100), b"")
    said = [record.getMessage() for record in caplog.records]
    assert [line.partition("] ")[2] for line in said if line.startswith("  [")] == [
        "compile",
        "venv-archive (compile took 1:40), about 0:05 left",
        "a stage of another version (venv-archive took 0:00)",
    ]
