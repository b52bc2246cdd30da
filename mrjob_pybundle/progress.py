"""What a person sees of a running build: a live display on a terminal, plain log lines elsewhere."""

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


class BuildProgress:
    """Shows stage, elapsed time and log of a build. Use it as a context manager."""

    def __init__(self, build_id: str, cluster_id: str) -> None:
        self._title = f"Building the bundle (build {build_id}, cluster {cluster_id})"
        self._began = time.monotonic()
        self._stage = ""
        self._stage_began = self._began
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._partial_line = ""
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
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
        self._live = None
        self._say(f"  {'stopped watching' if kind else 'the build ended'} after {_clock(self._elapsed())}")

    def waiting_for_cluster(self, state: str) -> None:
        """No word from the master yet: its cluster is in *state*."""
        self._enter_stage(f"waiting for the cluster ({state})")

    def show(self, status: Status, news: bytes) -> None:
        """Show what the master said: *status*, and the part of its log that is new."""
        lines = (self._partial_line + self._decoder.decode(news)).split("\n")
        self._partial_line = lines.pop()
        for line in lines:
            self._last_lines.append(line)
            if self._live is None:
                self._say(f"  | {line}")
        self._enter_stage(status.stage)

    def _enter_stage(self, stage: str) -> None:
        if stage == self._stage:
            return
        now = time.monotonic()
        before = f" ({self._stage} took {_clock(now - self._stage_began)})" if self._stage else ""
        self._say(f"  [{_clock(self._elapsed())}] {stage}{before}")
        self._stage, self._stage_began = stage, now

    def _say(self, text: str) -> None:
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
