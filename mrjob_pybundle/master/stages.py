"""A build's stages, in their order, and how long those that are to come will take.

The order is that of ``work`` in build-binaries.sh. How long they take, a build that was like it tells.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

#: Not a stage of the master's: what everybody waits for before it says its first word.
WAITING = "waiting for the cluster"

_BEGINNING = ("prepare", "packages")
PYTHON = ("source", "configure", "compile", "install", "check", "python-archive")
CACHED_PYTHON = ("fetch-python",)
_ENVIRONMENT = ("inputs", "venv", "venv-build", "finish-venv", "venv-archive")
_END = ("publish",)

#: What a person wants to know of a build → the stages in it.
PARTS = {
    "packages": _BEGINNING,
    "compile": PYTHON,
    "cached Python": CACHED_PYTHON,
    "environment": _ENVIRONMENT,
    "publishing": _END,
}

#: These take seconds, so that not knowing how many does no harm.
_SHORT = ("prepare", *CACHED_PYTHON, "inputs", *_END)


def in_order(stages: Iterable[str]) -> list[str]:
    """*stages* as builds go through them; those that are none of ours come last."""
    order = {stage: number for number, stage in enumerate(stage for part in PARTS.values() for stage in part)}
    return sorted(stages, key=lambda stage: order.get(stage, len(order)))


@dataclass(frozen=True)
class Forecast:
    """How long a build will still take, by the stages of one that was like it."""

    #: stage → seconds that it took there; :data:`WAITING` among them
    seconds: Mapping[str, float]
    #: does it compile Python, or is one cached?
    compiles: bool

    def after(self, stages: Collection[str]) -> Forecast:
        """The forecast for a build that has been seen in *stages*, which tell whether it compiles."""
        if any(stage in PYTHON for stage in stages):
            return replace(self, compiles=True)
        return replace(self, compiles=False) if any(stage in CACHED_PYTHON for stage in stages) else self

    @property
    def stages(self) -> tuple[str, ...]:
        """All that such a build goes through."""
        return (WAITING, *_BEGINNING, *(PYTHON if self.compiles else CACHED_PYTHON), *_ENVIRONMENT, *_END)

    def to_come(self, stage: str) -> tuple[str, ...]:
        """The stages after *stage*; none if that is no stage of ours."""
        return self.stages[self.stages.index(stage) + 1 :] if stage in self.stages else ()

    def expected(self, stage: str) -> float | None:
        """Seconds that *stage* will take, ``None`` if that is not known."""
        return self.seconds.get(stage)

    def left(self, stage: str, seconds_in_it: float = 0.0) -> float | None:
        """Seconds until the bundle is there, *seconds_in_it* after *stage* began.

        ``None`` if a stage may be long of which nothing is known. One that takes longer than it did is as good as over.
        """
        if stage not in self.stages:
            return None
        here, *ahead = (self._seconds_of(name) for name in (stage, *self.to_come(stage)))
        known = [seconds for seconds in ahead if seconds is not None]
        if here is None or len(known) < len(ahead):
            return None
        return max(here - seconds_in_it, 0.0) + sum(known)

    def done(self, stage: str, seconds_in_it: float = 0.0) -> float | None:
        """How much of the way is behind, from 0 to 1; ``None`` where :meth:`left` is."""
        left, whole = self.left(stage, seconds_in_it), self.left(WAITING)
        if left is None or not whole:
            return None
        return max(1 - left / whole, 0.0)

    def _seconds_of(self, stage: str) -> float | None:
        return self.seconds.get(stage, 0.0 if stage in _SHORT else None)
