"""What a person sees of a running build, and in the end of where the time went.

On a terminal, a live display with the end of the build's log. Elsewhere (CI, cron, files) lines: the stages, how long
each took, and of the log what venv-build.sh prints. The compiler's thousands of lines are there with ``-v`` only: they
are in S3, and whoever reports a failure shows the end of them. How much is left is said where an earlier build tells.
"""

from __future__ import annotations

import codecs
import logging
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

from mrjob_pybundle.cache.builds import Status
from mrjob_pybundle.job.times import clock
from mrjob_pybundle.master.stages import WAITING, Forecast

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live
    from rich.spinner import Spinner

log = logging.getLogger("mrjob.pybundle")

_LIVE_LOG_LINES = 8
_BAR_WIDTH = 40

#: How the log says that a stage begins: see ``run_stages`` in build-binaries.sh.
_STAGE_BEGINS = "==> "
_STAGE_OF_THE_USER = "venv-build"


class BuildProgress:
    """Shows stage, elapsed time and log of a build, and by *forecast* how much is left. Use it as a context manager.

    *waited*: seconds since its cluster was launched. *now* tells seconds from anywhere on.
    """

    def __init__(
        self,
        build_id: str,
        cluster_id: str | None,
        log_uri: str,
        forecast: Forecast | None = None,
        waited: float = 0.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        cluster = f"cluster {cluster_id}" if cluster_id else "on a cluster whose id nobody has noted"
        self._title = f"Building the bundle (build {build_id}, {cluster})"
        self._log_uri = log_uri
        self._forecast = forecast
        self._waited = waited
        self._is_forecast_told = False
        self._now = now
        self._began = now()
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
            self._begin_display()
        elif not log.isEnabledFor(logging.DEBUG):
            log.info("  all of its log: %s (with -v as it comes)", self._log_uri)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end_display()
        self.say(f"  {'stopped watching' if kind else 'the build ended'} after {clock(self._elapsed())}")

    def _begin_display(self) -> None:
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

    def _end_display(self) -> None:
        if self._live is not None:
            self._live.stop()
        self._live = None

    def waiting_for_cluster(self, state: str) -> None:
        """No word from the master yet: its cluster is in *state*."""
        self._enter_stage(f"{WAITING} ({state})")

    def show(self, status: Status, news: bytes) -> None:
        """Show what the master said: *status*, and the part of its log that is new."""
        has_ended = status.state != "RUNNING"
        self._learn_whether_it_compiles(status)
        *lines, self._partial_line = (self._partial_line + self._decoder.decode(news, final=has_ended)).split("\n")
        if has_ended and self._partial_line:
            lines.append(self._partial_line)
        for line in lines:
            self._show_line(line, status)
        self._enter_stage(status.stage, status)
        for note in status.notes[self._notes :]:
            self.say(f"  note: {note}")
        self._notes = len(status.notes)

    def _learn_whether_it_compiles(self, status: Status) -> None:
        if self._forecast is not None:
            learned = self._forecast.after({*status.stages, status.stage})
            self._is_forecast_told &= learned == self._forecast
            self._forecast = learned

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
        now = self._now()
        # Of stages that came with the same news, only the master knows.
        took = status.stages.get(self._stage) if status else None
        before = f" ({self._stage} took {clock(now - self._stage_began if took is None else took)})"
        before = before if self._stage else ""
        self._stage, self._stage_began = stage, now
        if status is not None and status.stage == stage and status.read_at is not None:
            # Who joins a build comes in the middle of a stage.
            self._stage_began -= max(status.read_at - status.stage_started, 0.0)
        self.say(f"  [{clock(self._elapsed())}] {stage}{before}{self._left()}")
        self._tell_forecast()

    def _left(self) -> str:
        """How much is left, in words that follow others; ``""`` where that is not known, or is nothing any more."""
        left = self._forecast.left(*self._moment_of_forecast()) if self._forecast else None
        return f", about {clock(left)} left" if left is not None and left >= 1 else ""

    def _tell_forecast(self) -> None:
        """Where there is no display that has it all the time: say once what is to come."""
        to_come = self._to_come()
        if to_come and not self._is_forecast_told and self._live is None:
            self._is_forecast_told = True
            self.say(f"  to come: {to_come}")

    def _to_come(self) -> str:
        """The stages that are to come, with what is known of their time; ``""`` where nothing is."""
        stages = self._forecast.to_come(self._moment_of_forecast()[0]) if self._forecast else ()
        expected = [(stage, self._forecast.expected(stage)) for stage in stages if self._forecast]
        if all(seconds is None for _, seconds in expected):
            return ""
        return ", ".join(stage if seconds is None else f"{stage} {clock(seconds)}" for stage, seconds in expected)

    def _moment_of_forecast(self) -> tuple[str, float]:
        """The stage, and seconds in it. However many states a cluster goes through, to wait for it is one."""
        if self._stage.startswith(WAITING):
            return WAITING, self._waited + self._elapsed()
        return self._stage, self._in_stage()

    def say(self, text: str) -> None:
        """Show a line of its own."""
        if self._live is None:
            log.info("%s", text)
        else:  # above the display, which a line written around it would break
            self._live.console.print(text, markup=False, highlight=False)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """In here, others may write to stderr."""
        if self._live is None:
            yield
            return
        self._end_display()
        try:
            yield
        finally:
            self._begin_display()

    def _elapsed(self) -> float:
        return self._now() - self._began

    def _in_stage(self) -> float:
        return self._now() - self._stage_began

    def _render(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        assert self._spinner is not None
        times = f" {clock(self._in_stage())}, {clock(self._elapsed())} in all{self._left()}"
        header = Text.assemble((self._stage, "bold"), times)
        tail = [Text(f"  {line}", style="dim", no_wrap=True, overflow="ellipsis") for line in self._last_lines]
        self._spinner.update(text=header)
        return Group(self._spinner, *self._render_forecast(), *tail)

    def _render_forecast(self) -> list[RenderableType]:
        from rich.bar import Bar
        from rich.text import Text

        done = self._forecast.done(*self._moment_of_forecast()) if self._forecast else None
        bar = [] if done is None else [Bar(1.0, 0, done, width=_BAR_WIDTH, color="green", bgcolor="bright_black")]
        to_come = self._to_come()
        return [*bar, *([Text(f"to come: {to_come}", overflow="ellipsis", no_wrap=True)] if to_come else [])]


def tell_times(lines: Sequence[str]) -> None:
    """Say where the time of a run went: the lines of a table, the first of which has its columns' names."""
    if not log.isEnabledFor(logging.INFO):
        return
    if not sys.stderr.isatty():
        for line in lines:
            log.info("%s", line)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, soft_wrap=True, highlight=False)
    for number, line in enumerate(lines):
        console.print(Text(line, style="" if number else "bold"))
