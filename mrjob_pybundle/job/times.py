"""Where the time of a run went that had to wait for a build: on the build's cluster, and on the job's beside it.

:class:`Times` is the clock of one run. It asks nobody: it hears what AWS says to the run in any case, and tells times
by AWS's clock, from which this machine's may differ.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from itertools import zip_longest
from typing import Any

from mrjob_pybundle.cache.builds import Status, began
from mrjob_pybundle.cache.claims import Claim
from mrjob_pybundle.master import stages

#: An edit of venv-build.sh costs all parts of a build but these.
_NOT_BY_AN_EDIT = "compile"


@dataclass(frozen=True)
class Row:
    """Something that took time."""

    what: str
    #: seconds since the epoch, by AWS's clock
    begins: float
    seconds: float


class Times:
    """Learns when what began and ended in one run, which begins with it. *now*: seconds since the epoch."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._began = now()
        #: seconds by which AWS's clock is ahead, as one answer told
        self._ahead: float | None = None
        #: id of a build → when we launched its cluster
        self._launched: dict[str, float] = {}
        self._build: tuple[Claim, Status] | None = None
        self._cluster_id: str | None = None
        self._cluster: Mapping[str, Any] = {}
        self._bootstrapping: float | None = None
        self._steps: dict[str, Mapping[str, Any]] = {}

    # what the run tells

    def build_launched(self, build_id: str) -> None:
        """The cluster of that build is launched, now and by us."""
        self._launched[build_id] = self._now()

    def launched(self, cluster_id: str) -> None:
        """The job's cluster is launched, in the place of another, perhaps."""
        self._cluster_id, self._cluster, self._bootstrapping = cluster_id, {}, None

    def built(self, claim: Claim, status: Status) -> None:
        """The build of *claim*, ours or another author's, has ended with the bundle: *status* is its last word."""
        self._build = claim, status
        if status.read_at is not None:
            self._ahead = status.ahead

    def heard(self, answer: Mapping[str, Any]) -> None:
        """EMR has answered the job: *answer*, as boto3 has it, may be about its cluster or one of its steps."""
        date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        if date and self._ahead is None:
            self._ahead = parsedate_to_datetime(date).timestamp() - self._now()
        cluster, step = answer.get("Cluster"), answer.get("Step")
        if cluster and cluster["Id"] == self._cluster_id:
            self._cluster = cluster
            if self._bootstrapping is None and cluster["Status"]["State"] == "BOOTSTRAPPING":
                self._bootstrapping = self._at_aws(self._now())
        if step:
            self._steps[step["Id"]] = step["Status"].get("Timeline", {})

    def _at_aws(self, moment: float) -> float:
        return moment + (self._ahead or 0.0)

    # what became of it

    @property
    def waited_for_build(self) -> bool:
        """Whether the run has waited for a build, and got its bundle."""
        return self._build is not None

    def table(self, step_ids: Collection[str] = (), *, is_carried: bool = False) -> list[str]:
        """Lines for a person: the two clusters side by side, what the run took in all, what the next edit will cost.

        *step_ids* are the job's own steps; *is_carried*: nodes got the bundle in them.
        """
        assert self._build is not None
        claim, status = self._build
        launched = self._launched.get(claim.build_id)
        of_build = build_rows(claim, status, None if launched is None else self._at_aws(launched))
        of_job = self._job_rows(step_ids, "steps, with unpacking" if is_carried else "steps")
        start, now = self._at_aws(self._began), self._at_aws(self._now())
        edit = sum(row.seconds for row in of_build if row.what != _NOT_BY_AN_EDIT)
        return [
            *side_by_side(
                start,
                (f"build's cluster {claim.cluster_id or ''}".rstrip(), of_build),
                (f"job's cluster {self._cluster_id or ''}".rstrip(), of_job),
            ),
            f"{clock(now - start)} in all. The next edit of venv-build.sh takes about {clock(edit)} to build.",
        ]

    def _job_rows(self, step_ids: Collection[str], steps: str) -> list[Row]:
        timelines = [timeline for step_id, timeline in self._steps.items() if step_id in step_ids]
        begins = min((moment["StartDateTime"] for moment in timelines if "StartDateTime" in moment), default=None)
        ends = max((moment["EndDateTime"] for moment in timelines if "EndDateTime" in moment), default=begins)
        rows = self._cluster_rows(begins)
        if begins is not None and ends is not None:
            rows.append(Row(steps, begins.timestamp(), (ends - begins).total_seconds()))
        return rows

    def _cluster_rows(self, steps_begin: datetime | None) -> list[Row]:
        """Those of before its steps. None if the job had no cluster of its own."""
        timeline = self._cluster.get("Status", {}).get("Timeline", {})
        created, is_ready = timeline.get("CreationDateTime"), timeline.get("ReadyDateTime", steps_begin)
        if created is None or is_ready is None:
            return []
        ready = is_ready.timestamp()
        rows = cluster_rows(created.timestamp(), self._bootstrapping, ready)
        assert self._build is not None
        bundle_there = min(self._build[1].ended, steps_begin.timestamp() if steps_begin else ready)
        if bundle_there > ready:
            rows.append(Row("waiting for the bundle", ready, bundle_there - ready))
        return rows


def build_rows(claim: Claim, status: Status, launched: float | None) -> list[Row]:
    """What took time on a build's cluster.

    *launched* is when that was, by AWS's clock; ``None`` where another author did it: the build's id tells, by theirs.
    """
    if launched is None:
        launched = began(claim.build_id).timestamp()
    rows = [Row(stages.WAITING, launched, max(status.started - launched, 0.0))]
    moment = status.started
    for part, names in stages.PARTS.items():
        seconds = [status.stages[name] for name in names if name in status.stages]
        if seconds:
            rows.append(Row(part, moment, sum(seconds)))
            moment += sum(seconds)
    return rows


def cluster_rows(created: float, bootstrapping: float | None, ready: float) -> list[Row]:
    """What took time before a cluster took steps: *bootstrapping* is when it was first seen to be, if it was.

    Its nodes get the bundle then; EMR installs Hadoop in the same state.
    """
    if bootstrapping is None or not created <= bootstrapping <= ready:
        return [Row(stages.WAITING, created, max(ready - created, 0.0))]
    return [
        Row("waiting for machines", created, bootstrapping - created),
        Row("bootstrapping: bundle, Hadoop", bootstrapping, ready - bootstrapping),
    ]


def side_by_side(start: float, *halves: tuple[str, Sequence[Row]]) -> list[str]:
    """The lines of a table with a title and rows of its own for each half that has rows; times are since *start*."""
    columns = [
        [(title, "from", "took"), *((row.what, clock(row.begins - start), clock(row.seconds)) for row in rows)]
        for title, rows in halves
        if rows
    ]
    cells = [[cell for half in line for cell in half] for line in zip_longest(*columns, fillvalue=("", "", ""))]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    aligned = [
        # Every third column has words, the others have times.
        [cell.rjust(width) if number % 3 else cell.ljust(width) for number, (cell, width) in enumerate(pairs)]
        for pairs in (list(zip(line, widths, strict=True)) for line in cells)
    ]
    return ["   ".join(line).rstrip() for line in aligned]


def clock(seconds: float) -> str:
    """``1:02:03`` or ``2:03``; ``-0:10`` of what was before."""
    minutes, rest = divmod(int(abs(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    sign = "-" if seconds <= -1 else ""
    return f"{sign}{hours}:{minutes:02d}:{rest:02d}" if hours else f"{sign}{minutes}:{rest:02d}"
