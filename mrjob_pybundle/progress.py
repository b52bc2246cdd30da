"""What a person sees of a running build.

On a terminal, a live display with the end of the build's log. Elsewhere (CI, cron, files) lines: the stages, how long
each took, and of the log what venv-build.sh prints. The compiler's thousands of lines are there with ``-v`` only: they
are in S3, and whoever reports a failure shows the end of them.
"""

from __future__ import annotations

import codecs
import logging
import sys
import time
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING

from mrjob_pybundle.cache.builds import Status

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live
    from rich.spinner import Spinner

log = logging.getLogger("mrjob.pybundle")

_LIVE_LOG_LINES = 8

#: How the log says that a stage begins: see ``run_stages`` in build-binaries.sh.
_STAGE_BEGINS = "==> "
_STAGE_OF_THE_USER = "venv-build"


class BuildProgress:
    """Shows stage, elapsed time and log of a build. Use it as a context manager."""

    def __init__(self, build_id: str, cluster_id: str | None, log_uri: str) -> None:
        cluster = f"cluster {cluster_id}" if cluster_id else "on a cluster whose id nobody has noted"
        self._title = f"Building the bundle (build {build_id}, {cluster})"
        self._log_uri = log_uri
        self._began = time.monotonic()
        self._stage = ""
        self._stage_began = self._began
        self._stage_of_log = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._partial_line = ""
        self._notes = 0
        self._last_lines: deque[str] = deque(maxlen=_LIVE_LOG_LINES)
        self._live: Live | None = None
        self._spinner: Spinner | None = None

    def __enter__(self) -> BuildProgress:
        log.info("%s", self._title)
        if log.isEnabledFor(logging.INFO) and sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live
            from rich.spinner import Spinner

            self._spinner = Spinner("dots")
            self._live = Live(
                console=Console(stderr=True),
                get_renderable=self._render,
                refresh_per_second=4,
                transient=True,
            )
            self._live.start()
        elif not log.isEnabledFor(logging.DEBUG):
            log.info("  all of its log: %s (with -v as it comes)", self._log_uri)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
        self._live = None
        self.say(f"  {'stopped watching' if kind else 'the build ended'} after {_clock(self._elapsed())}")

    def waiting_for_cluster(self, state: str) -> None:
        """No word from the master yet: its cluster is in *state*."""
        self._enter_stage(f"waiting for the cluster ({state})")

    def show(self, status: Status, news: bytes) -> None:
        """Show what the master said: *status*, and the part of its log that is new."""
        has_ended = status.state != "RUNNING"
        *lines, self._partial_line = (self._partial_line + self._decoder.decode(news, final=has_ended)).split("\n")
        if has_ended and self._partial_line:
            lines.append(self._partial_line)
        for line in lines:
            self._show_line(line, status)
        self._enter_stage(status.stage, status)
        for note in status.notes[self._notes :]:
            self.say(f"  note: {note}")
        self._notes = len(status.notes)

    def _show_line(self, line: str, status: Status) -> None:
        self._last_lines.append(line)
        stage = line.removeprefix(_STAGE_BEGINS)
        # Of a stage that has not begun, only a line that venv-build.sh printed can speak.
        if stage != line and (stage == status.stage or stage in status.stages):
            self._stage_of_log = stage
            self._enter_stage(stage, status)
        elif self._live is None and (self._stage_of_log == _STAGE_OF_THE_USER or log.isEnabledFor(logging.DEBUG)):
            self.say(f"  | {line}")

    def _enter_stage(self, stage: str, status: Status | None = None) -> None:
        if stage == self._stage:
            return
        now = time.monotonic()
        # Of stages that came with the same news, only the master knows.
        took = status.stages.get(self._stage) if status else None
        before = f" ({self._stage} took {_clock(now - self._stage_began if took is None else took)})"
        self.say(f"  [{_clock(self._elapsed())}] {stage}{before if self._stage else ''}")
        self._stage, self._stage_began = stage, now

    def say(self, text: str) -> None:
        """Show a line of its own."""
        if self._live is None:
            log.info("%s", text)
        else:  # above the display, which a line written around it would break
            self._live.console.print(text, markup=False, highlight=False)

    def _elapsed(self) -> float:
        return time.monotonic() - self._began

    def _render(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        assert self._spinner is not None
        in_stage = _clock(time.monotonic() - self._stage_began)
        header = Text.assemble((self._stage, "bold"), f" {in_stage}, {_clock(self._elapsed())} in all")
        tail = [Text(f"  {line}", style="dim", no_wrap=True, overflow="ellipsis") for line in self._last_lines]
        self._spinner.update(text=header)
        return Group(self._spinner, *tail)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"
