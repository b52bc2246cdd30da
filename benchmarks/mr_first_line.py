"""Says when its first mapper began with its own code: seconds since the epoch. The other steps pass that on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from mrjob.job import MRJob
from mrjob.step import MRStep


class MRFirstLine(MRJob):
    """A job of one line, and of ``--steps-in-all`` steps."""

    def configure_args(self) -> None:
        super().configure_args()
        self.add_passthru_arg("--steps-in-all", type=int, default=1)

    def steps(self) -> list[MRStep]:
        return [MRStep(mapper=self.say_when)] + [MRStep(mapper=self.pass_on)] * (self.options.steps_in_all - 1)

    def say_when(self, _: None, line: str) -> Iterator[tuple[str, float]]:
        yield line, time.time()

    def pass_on(self, key: Any, value: Any) -> Iterator[tuple[Any, Any]]:
        yield key, value


if __name__ == "__main__":
    MRFirstLine.run()
