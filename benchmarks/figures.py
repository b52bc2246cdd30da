"""What was measured, and how a person gets to see it."""

from __future__ import annotations

import os
import platform
import re
import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass
class Measurement:
    """One thing that was measured: its alternatives, each with the values of all its runs, in order.

    Ratios are taken to the alternative *baseline*, which is what people have without mrjob-pybundle. *ours* is what
    they have with it.
    """

    name: str
    unit: str
    baseline: str
    ours: str
    values: dict[str, list[float]] = field(default_factory=dict)
    #: seconds of processors, where they were counted: those differ less when a machine has other work
    processor: dict[str, list[float]] = field(default_factory=dict)
    note: str = ""

    def add(self, alternative: str, value: float) -> None:
        self.values.setdefault(alternative, []).append(value)

    def median(self, alternative: str) -> float:
        return statistics.median(self.values[alternative])

    def times_as_fast(self, alternative: str) -> float:
        """How many times the median of *alternative* goes into that of the baseline: above 1 is faster."""
        return self.median(self.baseline) / self.median(alternative)

    def share(self, baseline: str | None = None) -> float:
        """Ours as a part of *baseline*: below 1 is faster."""
        return self.median(self.ours) / self.median(baseline or self.baseline)


@dataclass(frozen=True)
class Target:
    """A figure, and what the project wants of it."""

    name: str
    value: float
    unit: str
    relation: str
    wanted: float

    @property
    def is_met(self) -> bool:
        return self.value >= self.wanted if self.relation == ">=" else self.value <= self.wanted


@dataclass
class Results:
    """All of one run."""

    #: the day, ``2026-11-29``, and the time of day (UTC) when it began
    date: str
    machine: str
    load: list[float]
    #: what was measured: ``CPython 3.13.5, optimized``
    bundle: str
    measurements: list[Measurement] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    #: "s3:PutObject" → alternative → requests
    requests: dict[str, dict[str, int]] = field(default_factory=dict)
    #: what ours asks S3 for below the cache and for its bootstrap action: operation, seconds, path
    timeline: list[dict[str, Any]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "targets": [{**asdict(target), "is_met": target.is_met} for target in self.targets]}


def of_this_machine(bundle: str) -> Results:
    """Results without any, of the machine that this is."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    processor = model[1].strip() if model else platform.machine()
    description = f"{os.cpu_count()} x {processor}, Linux {platform.release()}, submitter: {platform.python_version()}"
    now = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M")
    return Results(now, description, list(os.getloadavg()), bundle)


def show(results: Results) -> None:
    """Print *results* as tables."""
    console = Console(width=140)
    console.print(f"{results.bundle}; {results.date} UTC; {results.machine}; load when it began: {results.load[0]:.1f}")
    console.print(_measurements_table(results.measurements))
    for measurement in results.measurements:
        if measurement.note:
            console.print(f"{measurement.name}: {measurement.note}", highlight=False)
    console.print(_requests_table(results.requests))
    console.print(_timeline_table(results.timeline))
    console.print(_targets_table(results.targets))


def _measurements_table(measurements: list[Measurement]) -> Table:
    table = Table("measured", "alternative", title="Medians, and the range of nine runs in ten")
    for column in ("median", "5 % to 95 %", "times as fast", "processors", "runs"):
        table.add_column(column, justify="right", no_wrap=True)
    for measurement in measurements:
        for row in _rows(measurement):
            table.add_row(*row)
        table.add_section()
    return table


def _rows(measurement: Measurement) -> Iterator[tuple[str, ...]]:
    name = measurement.name
    for alternative, values in measurement.values.items():
        low, high = _spread(values)
        yield (
            name,
            alternative,
            f"{statistics.median(values):.4g} {measurement.unit}",
            f"{low:.4g} to {high:.4g}" if len(values) > 1 else "",
            f"{measurement.times_as_fast(alternative):.2f}",
            _processors(measurement.processor.get(alternative)),
            str(len(values)),
        )
        name = ""


def _processors(seconds: list[float] | None) -> str:
    return f"{statistics.median(seconds):.3g} s" if seconds else ""


def _spread(values: list[float]) -> tuple[float, float]:
    ordered = sorted(values)
    cut = len(ordered) // 20
    return ordered[cut], ordered[-1 - cut]


def _requests_table(requests: dict[str, dict[str, int]]) -> Table:
    alternatives = list(next(iter(requests.values()), {}))
    table = Table("request until RunJobFlow", title="Requests")
    for column in [*alternatives, "added"]:
        table.add_column(column, justify="right")
    for operation, counts in requests.items():
        first, *_, last = counts.values()
        table.add_row(operation, *map(str, counts.values()), f"{last - first:+d}" if last != first else "")
    return table


def _timeline_table(timeline: list[dict[str, Any]]) -> Table:
    table = Table("asked for by mrjob-pybundle itself", title="One warm submission with -r pybundle-emr")
    for column in ("from (s)", "to (s)"):
        table.add_column(column, justify="right")
    for request in timeline:
        name = f"{request['operation']} {request['path']}"
        table.add_row(name, f"{request['began']:.3f}", f"{request['ended']:.3f}")
    return table


def _targets_table(targets: list[Target]) -> Table:
    table = Table("figure", title="Targets")
    for column in ("value", "wanted", ""):
        table.add_column(column, justify="right")
    for target in targets:
        unit = f" {target.unit}".rstrip()
        verdict = "[green]met[/green]" if target.is_met else "[red]missed[/red]"
        table.add_row(target.name, f"{target.value:.3g}{unit}", f"{target.relation} {target.wanted:g}{unit}", verdict)
    return table
