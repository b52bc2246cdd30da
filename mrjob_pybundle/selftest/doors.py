"""The doors that users use: jobs' scripts and the ``mrjob-pybundle`` command, as processes of their own."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mrjob_pybundle.aws.errors import explained
from mrjob_pybundle.selftest.names import Names
from mrjob_pybundle.selftest.person import who_i_am

PROGRAMS = Path(__file__).with_name("programs")
_POLL_SECONDS = 0.2


class TooLongError(Exception):
    """A command, or what was waited for, took longer than its case may."""


class StoppedError(Exception):
    """Somebody stops the run."""


@dataclass(frozen=True)
class Patience:
    """How long a case may take, and whether the run goes on."""

    #: by time.monotonic()
    deadline: float
    stopped: threading.Event

    def pause(self, what: str, seconds: float = _POLL_SECONDS) -> None:
        """Wait for a moment.

        :raises TooLongError: *what* is late.
        :raises StoppedError: nobody waits for it any more.
        """
        if time.monotonic() > self.deadline:
            raise TooLongError(f"{what} did not come in time")
        if self.stopped.wait(seconds):
            raise StoppedError("the run was stopped")


@dataclass(frozen=True)
class Ran:
    """A command that has ended."""

    words: tuple[str, ...]
    #: negative: ended by that signal
    status: int
    out: str
    err: str
    seconds: float

    @property
    def last_words(self) -> str:
        """The end of what it said."""
        return "\n".join((self.err.strip() or self.out.strip()).splitlines()[-12:])


@dataclass
class Running:
    """A command that runs, and ends when we do."""

    words: tuple[str, ...]
    process: subprocess.Popen[bytes]
    lifeline: int
    out: Path
    err: Path
    patience: Patience
    began: float = field(default_factory=time.monotonic)

    def said(self) -> str:
        """What it has said on stderr by now."""
        return self.err.read_text("utf-8", "replace")

    def wait_until_said(self, text: str) -> None:
        """Wait until it has said *text*, or has ended.

        :raises TooLongError: it has done neither in time.
        :raises StoppedError: the run is stopped.
        """
        while text not in self.said() and self.process.poll() is None:
            self.patience.pause(f"{text!r} from {self.words[0]}")

    def kill(self) -> None:
        """End it at once, with signal 9: its guard does, when nobody holds the other end of its line."""
        if self.lifeline >= 0:
            os.close(self.lifeline)
            self.lifeline = -1

    def wait(self) -> Ran:
        """Wait for its end.

        :raises TooLongError: it did not end in time, and was killed.
        :raises StoppedError: so is it if the run is stopped.
        """
        try:
            while self.process.poll() is None:
                self.patience.pause(f"the end of {self.words[0]}")
        finally:
            self.kill()
            self.process.wait()
        out = self.out.read_text("utf-8", "replace")
        status = self.process.returncode
        return Ran(self.words, status, out, self.said(), time.monotonic() - self.began)


@dataclass(frozen=True)
class Conf:
    """Conf files of the run, by name."""

    own: Path
    other_python: Path
    as_role: Path


@dataclass(frozen=True)
class Doors:
    """How one case of a run starts commands. Each is first written down in S3, if it may create anything."""

    case: str
    names: Names
    conf: Conf
    #: where its files lie on this machine
    directory: Path
    s3: Any
    #: to be inherited
    lock: int
    patience: Patience
    numbers: Any = field(default_factory=itertools.count)

    def command(self, *words: str, **how: Any) -> Ran:
        """Run ``mrjob-pybundle WORDS`` to its end."""
        return self.start_command(*words, **how).wait()

    def start_command(
        self, verb: str, *words: str, conf: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> Running:
        """Start ``mrjob-pybundle WORDS``, perhaps with more in its environment."""
        switches = ("-c", str(conf or self.conf.own), *self._label)
        return self._start(f"mrjob-pybundle {verb}", ("-m", "mrjob_pybundle", verb, *switches, *words), environment)

    def job(self, script: str, *words: str, **how: Any) -> Ran:
        """Run a job's script to its end."""
        return self.start_job(script, *words, **how).wait()

    def start_job(
        self, script: str, *words: str, conf: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> Running:
        """Start a job's script, one of ours, as ``python SCRIPT -r pybundle-emr WORDS``."""
        switches = ("-r", "pybundle-emr", "-c", str(conf or self.conf.own), *self._label)
        run = ("-m", "mrjob_pybundle", "run")  # which also works where Python reads no .pth file
        job = (*run, str(PROGRAMS / script), *switches, *words)
        return self._start(f"python {script} -r pybundle-emr", job, environment)

    @property
    def _label(self) -> tuple[str, str]:
        return ("--label", self.names.label_of(self.case))

    def file(self, name: str, content: str) -> Path:
        """A file of the case's own."""
        path = self.directory / f"{self.case}-{name}"
        path.write_text(content, "utf-8")
        return path

    def intend(self, what: str) -> None:
        """Write down in S3 what is about to be done.

        :raises CacheError: S3 said no, and it must not be done.
        """
        number = next(self.numbers)
        uri = self.names.intents / f"{self.case}-{number:02}.json"
        said = {"run": self.names.id, "begun by": who_i_am(), "case": self.case, "about to": what}
        body = json.dumps(said).encode()
        with explained(f"writing {uri}"):
            self.s3.put_object(Bucket=uri.bucket, Key=uri.key, Body=body)

    def _start(self, title: str, words: tuple[str, ...], environment: Mapping[str, str] | None) -> Running:
        if self.patience.stopped.is_set():
            raise StoppedError("the run was stopped")
        self.intend(
            f"run {title}, which may launch a cluster named {self.names.label_of(self.case)}.… and a build cluster"
        )
        number = next(self.numbers)
        out, err = (self.directory / f"{self.case}-{number:02}.{name}" for name in ("out", "err"))
        reading, writing = os.pipe()
        try:
            with out.open("wb") as stdout, err.open("wb") as stderr:
                process = subprocess.Popen(
                    [
                        *(sys.executable, "-m", "mrjob_pybundle.selftest.guarded", str(reading), str(self.lock)),
                        *(sys.executable, *words),
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=stderr,
                    pass_fds=[reading, self.lock],
                    # Notes that jobs keep on their author's machine are none of this user's.
                    env={**os.environ, "XDG_CACHE_HOME": str(self.directory / "notes"), **(environment or {})},
                )
        except BaseException:
            os.close(writing)
            raise
        finally:
            os.close(reading)
        return Running((title, *words), process, writing, out, err, self.patience)
