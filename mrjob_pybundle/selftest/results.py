"""What came of a run."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mrjob_pybundle.selftest.beliefs import BELIEFS, Belief, Facts, Found, Seen
from mrjob_pybundle.selftest.prices import PRICES, Cluster, dollars


class Outcome(enum.Enum):
    """What came of a case."""

    GREEN = "green"
    NOT_CHECKED = "not checked"
    FAILED = "FAILED"


@dataclass(frozen=True)
class Result:
    """Of one case."""

    name: str
    shows: str
    outcome: Outcome
    #: why it failed, or was not checked
    text: str = ""
    seconds: float = 0.0
    seen: Sequence[str] = ()
    #: it could not be checked here, as was said before
    was_announced: bool = False

    @property
    def is_fine(self) -> bool:
        """Whether the run may end well with it."""
        return self.outcome is Outcome.GREEN or (self.outcome is Outcome.NOT_CHECKED and self.was_announced)


@dataclass(frozen=True)
class Lived:
    """A cluster of the run, as EMR told of it in the end."""

    is_build: bool
    release: str
    #: of the AMI, where EMR says
    os_release: str
    instance_type: str
    instances: int
    state: str
    #: seconds from its creation until it could take steps, and until its end; ``None``: it did not get there by then
    started_in: float | None
    lived: float | None

    def dollars(self, region: str) -> float:
        """What it has cost, at list price."""
        if self.instance_type not in PRICES or self.lived is None:
            return 0.0
        minutes = max(1, -(-int(self.lived) // 60))
        return dollars([Cluster(self.instance_type, self.instances, minutes)], region)


@dataclass(frozen=True)
class Results:
    """Of a whole run."""

    run_id: str
    version: str
    region: str
    stand_in: bool
    #: when it began, in UTC
    began: str
    seconds: float
    cases: Sequence[Result]
    facts: Facts
    clusters: Sequence[Lived]
    dollars_at_most: float
    #: what was removed in the end, and what was not
    removed: Sequence[str]
    is_clean: bool

    @property
    def status(self) -> int:
        """The command's exit status."""
        return 0 if self.is_clean and all(result.is_fine for result in self.cases) else 1

    @property
    def dollars(self) -> float:
        """What its clusters have cost, at list price."""
        return sum(cluster.dollars(self.region) for cluster in self.clusters)

    def beliefs(self) -> list[tuple[Belief, Found]]:
        """What docs/emr.md believes, and what was found."""
        if self.stand_in:
            return [(belief, Found(None, "this is not EMR")) for belief in BELIEFS]
        green = frozenset(result.name for result in self.cases if result.outcome is Outcome.GREEN)
        release = next((cluster.release for cluster in self.clusters if not cluster.is_build), "")
        seen = Seen(self.facts, green, release)
        return [(belief, belief.find(seen)) for belief in BELIEFS]

    def counts(self) -> Mapping[Outcome, int]:
        """How many cases came to what."""
        return {outcome: sum(result.outcome is outcome for result in self.cases) for outcome in Outcome}
