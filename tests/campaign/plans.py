"""What goes wrong in a run of the campaign: drawn from the run's seed, so that it can be played again."""

from __future__ import annotations

import random
from dataclasses import dataclass

from mrjob_pybundle.sandbox.api.faults import (
    ACCESS_DENIED,
    ACCESS_DENIED_BY_EMR,
    CONFLICT,
    INTERNAL_ERROR,
    INTERNAL_SERVER_ERROR,
    SLOW_DOWN,
    THROTTLED,
    CutShort,
    Delay,
    Drip,
    Fault,
    FlipBits,
    HangUp,
    Hide,
    LoseAnswer,
    LoseNetwork,
    Refuse,
    Rule,
)
from tests.campaign.regions import ELSEWHERE, HOME

#: access key ids of authors and of nodes begin with these
AUTHORS, NODES = "author-*", "role-*"


@dataclass(frozen=True)
class Point:
    """A point of the line: requests that all mean the same. *key* is a pattern below the run's bucket."""

    name: str
    operation: str
    who: str
    key: str = "*"
    #: there are many of these: they ask for the state of something again and again
    is_polled: bool = False


@dataclass(frozen=True)
class Kill:
    """``kill -9`` of *victim* when the request number *after* + 1 of *point* has come in, or has been *done*."""

    victim: str
    point: Point
    after: int
    done: bool


@dataclass(frozen=True)
class Damage:
    """An archive that lies in the cache, with bits turned round. *kind*: ``python`` or ``venv``."""

    kind: str


@dataclass(frozen=True)
class Trouble:
    """A fault at a point: see :class:`mrjob_pybundle.sandbox.api.faults.Rule`."""

    fault: Fault
    point: Point
    after: int
    times: int | None

    def rule(self, bucket: str, authors: str) -> Rule:
        """The rule for a run with that bucket, whose authors' access key ids match *authors*."""
        return rule(self.point, self.fault, bucket, authors, self.after, self.times)


@dataclass(frozen=True)
class Outage:
    """From request number *after* + 1 on, each author's network is gone for so many *seconds*."""

    after: int
    seconds: float

    def rule(self, authors: str) -> Rule:
        """The rule for a run whose authors' access key ids match *authors*."""
        return Rule("*", LoseNetwork(self.seconds), who=authors, after=self.after)


@dataclass(frozen=True)
class Sleep:
    """At a point, the author's machine sleeps for so many *seconds*: a lid that is closed, and opened again."""

    point: Point
    after: int
    seconds: float


@dataclass(frozen=True)
class Edit:
    """At a point, somebody edits the build file that all authors have."""

    point: Point
    after: int


Befalling = Trouble | Kill | Damage | Outage | Sleep | Edit


@dataclass(frozen=True)
class Plan:
    """A run: authors who start so many seconds after its beginning, and what befalls them."""

    seed: int
    #: nothing has to be built
    is_cached: bool
    authors: tuple[float, ...]
    core_nodes: int
    faults: tuple[Befalling, ...]
    #: of each author
    regions: tuple[str, ...] = ()


def rule(point: Point, fault: Fault, bucket: str, authors: str, after: int, times: int | None) -> Rule:
    """A rule about *point* in one run."""
    who = authors if point.who == AUTHORS else point.who
    key = f"{bucket}/{point.key}" if point.key != "-" else "/"
    return Rule(point.operation, fault, key, who, after=after, times=times)


_EMR = "-"  # no object of S3

WARM = (
    Point("find: manifest", "GetObject", AUTHORS, "*/v1/venv/*/manifest.json"),
    Point("find: listing", "ListObjectsV2", AUTHORS, ""),
    Point("bootstrap script", "PutObject", AUTHORS, "*/pybundle/bootstrap-*"),
    Point("job's files", "PutObject", AUTHORS, "*/files/*"),
    Point("RunJobFlow", "RunJobFlow", AUTHORS, _EMR),
    Point("AddJobFlowSteps", "AddJobFlowSteps", AUTHORS, _EMR),
    Point("DescribeCluster", "DescribeCluster", AUTHORS, _EMR, is_polled=True),
    Point("DescribeStep", "DescribeStep", AUTHORS, _EMR, is_polled=True),
    Point("ListSteps", "ListSteps", AUTHORS, _EMR),
    Point("logs", "*Object*", AUTHORS, "*/logs/*"),
    Point("output", "GetObject", AUTHORS, "*/output/*"),
    Point("cleaning up", "Delete*", AUTHORS, "*"),
    Point("TerminateJobFlows", "TerminateJobFlows", AUTHORS, _EMR),
    Point("node: script", "[GH]*Object", NODES, "*/pybundle/bootstrap-*"),
    Point("node: python archive", "[GH]*Object", NODES, "*/v1/python/*.tar.gz"),
    Point("node: venv archive", "[GH]*Object", NODES, "*/v1/venv/*.tar.gz"),
)

BUILD = (
    Point("claim: read", "GetObject", AUTHORS, "*/v1/claims/*"),
    Point("claim: written", "PutObject", AUTHORS, "*/v1/claims/*"),
    Point("claim: given back", "DeleteObject", "*", "*/v1/claims/*"),
    Point("find: python manifest", "GetObject", AUTHORS, "*/v1/python/*/manifest.json"),
    Point("build's inputs", "PutObject", AUTHORS, "*/v1/builds/*"),
    Point("RunJobFlow", "RunJobFlow", AUTHORS, _EMR),
    Point("ListClusters", "ListClusters", AUTHORS, _EMR),
    Point("DescribeCluster", "DescribeCluster", AUTHORS, _EMR, is_polled=True),
    Point("watching: status", "GetObject", AUTHORS, "*/status.json", is_polled=True),
    Point("watching: log", "GetObject", AUTHORS, "*/log.txt", is_polled=True),
    Point("master: inputs", "[GH]*Object", NODES, "*/v1/builds/*/[ib]*"),
    Point("master: python archive", "[GH]*Object", NODES, "*/v1/python/*.tar.gz"),
    Point("master: report", "PutObject", NODES, "*/v1/builds/*"),
    Point("publishing: bucket", "HeadBucket", NODES, ""),
    Point("publishing: archive", "PutObject", NODES, "*/v1/venv/*.tar.gz"),
    Point("publishing: manifest", "PutObject", NODES, "*/v1/venv/*/manifest.json"),
)

#: Of a job's cluster that starts while its bundle is being built.
OVERLAP = (
    Point("sign of life", "PutObject", AUTHORS, "*/submitter", is_polled=True),
    Point("master: sign of life", "[GH]*Object", NODES, "*/submitter", is_polled=True),
    Point("carried scripts", "PutObject", AUTHORS, "*/pybundle/unpack-*"),
    Point("RunJobFlow", "RunJobFlow", AUTHORS, _EMR),
    Point("AddJobFlowSteps", "AddJobFlowSteps", AUTHORS, _EMR),
    Point("TerminateJobFlows", "TerminateJobFlows", AUTHORS, _EMR),
)

#: who can be killed, and at which points
_VICTIMS = {
    "the author": WARM[:9] + BUILD[:9],
    "a job node": WARM[13:],
    "a bootstrap action": WARM[13:],
    "the build master": BUILD[10:],
    "the build step": BUILD[10:],
}


def plan(seed: int, builds: float, more: bool = True) -> Plan:
    """What happens in run *seed*. *builds*: the share of runs in which the bundle must be built.

    With *more*, a network is lost, a laptop sleeps, or a file is edited besides, or authors are of two regions.
    """
    dice = random.Random(seed)
    is_cached = dice.random() >= builds
    count = dice.choices((1, 2, 3), (70, 30, 0) if is_cached else (40, 40, 20))[0]
    authors = tuple(sorted(round(dice.uniform(0, 2 if is_cached else 8), 1) for _ in range(count)))
    core_nodes = dice.choices((0, 1), (3, 1))[0]
    points = WARM if is_cached else BUILD + BUILD + WARM
    faults = tuple(_fault(dice, points, is_cached) for _ in range(dice.choices((1, 2, 3), (5, 3, 2))[0]))
    regions = (HOME,) * count
    # Drawn from another stack: without more, a seed means what it always has.
    dice = random.Random(f"overlap for {seed}")
    if more and not is_cached and dice.random() < 0.5:
        faults = (*faults[1:], _of_overlap(dice))
    dice = random.Random(f"more for {seed}")
    if more and dice.random() < 0.5:
        faults = (*faults[1:], _further(dice, points, is_cached))
    if more and dice.random() < 0.3:
        regions = tuple(dice.choice((HOME, ELSEWHERE)) for _ in authors)
    return Plan(seed, is_cached, authors, core_nodes, faults, regions)


def _of_overlap(dice: random.Random) -> Befalling:
    point = dice.choice(OVERLAP)
    # The first cluster of a run is its build's.
    after = 1 if point.operation == "RunJobFlow" else _after(point, dice)
    if point.who == AUTHORS and dice.random() < 0.4:
        if dice.random() < 0.5:
            return Kill("the author", point, after, done=dice.random() < 0.5)
        return Sleep(point, after, dice.choice((30, 75)))
    brief = dice.random() < 0.5
    return Trouble(dice.choice(_possible(point, dice)), point, after, dice.choice((1, 2, 3)) if brief else None)


def _further(dice: random.Random, points: tuple[Point, ...], is_cached: bool) -> Befalling:
    # What is cached was made of no build file.
    kind = dice.choices(("outage", "sleep", "edit"), (5, 3, 0 if is_cached else 5))[0]
    if kind == "outage":
        return Outage(dice.randrange(60), dice.choice((0.5, 3, 20, 90)))
    point = dice.choice([point for point in points if point.who == AUTHORS])
    after = _after(point, dice)
    return Edit(point, after) if kind == "edit" else Sleep(point, after, dice.choice((5, 30, 60)))


def _fault(dice: random.Random, points: tuple[Point, ...], is_cached: bool) -> Befalling:
    kind = dice.choices(("trouble", "kill", "damage"), (75, 17, 8))[0]
    if kind == "damage":
        # A venv archive that is still to be built cannot be damaged yet.
        return Damage(dice.choice(("python", "venv")) if is_cached else "python")
    if kind == "kill":
        victims = [name for name, at in _VICTIMS.items() if set(at) & set(points)]
        victim = dice.choice(victims)
        at = [point for point in _VICTIMS[victim] if point in points]
        point = dice.choice(at)
        return Kill(victim, point, _after(point, dice), done=dice.random() < 0.5)
    point = dice.choice(points)
    fault = dice.choice(_possible(point, dice))
    # mrjob tries again for a day when EMR throttles it: botocore's own attempts must be enough.
    brief = dice.random() < 0.7 or fault is THROTTLED
    return Trouble(fault, point, _after(point, dice), dice.choice((1, 2, 3)) if brief else None)


def _after(point: Point, dice: random.Random) -> int:
    return dice.randrange(6) if point.is_polled else dice.choice((0, 0, 0, 1))


def _possible(point: Point, dice: random.Random) -> list[Fault]:
    anywhere: list[Fault] = [HangUp(), LoseAnswer(), Delay(round(dice.uniform(0.5, 3), 1))]
    if point.operation == "ListClusters":
        return [Hide(), THROTTLED, INTERNAL_SERVER_ERROR, ACCESS_DENIED_BY_EMR, *anywhere]
    if point.key == _EMR:
        return [THROTTLED, INTERNAL_SERVER_ERROR, ACCESS_DENIED_BY_EMR, CutShort(), *anywhere]
    refusals: list[Fault] = [SLOW_DOWN, INTERNAL_ERROR, ACCESS_DENIED]
    if "claims" in point.key or "publishing" in point.name:
        refusals.append(CONFLICT)
    if point.operation in ("GetObject", "[GH]*Object", "*Object*"):
        return [*refusals, *anywhere, CutShort(), FlipBits(), Drip(round(dice.uniform(0.5, 3), 1))]
    return [*refusals, *anywhere]


def kind_of(fault: Befalling) -> str:
    """What to count a fault under."""
    if isinstance(fault, Outage):
        return f"no network for {fault.seconds} s"
    if isinstance(fault, Sleep):
        return "a laptop sleeps"
    if isinstance(fault, Edit):
        return "a file is edited"
    if isinstance(fault, Kill):
        return f"killed: {fault.victim}"
    if isinstance(fault, Damage):
        return f"damaged: {fault.kind} archive"
    name = fault.fault.code if isinstance(fault.fault, Refuse) else type(fault.fault).__name__
    return f"{name}, {'brief' if fault.times else 'lasting'}"


def describe(fault: Befalling) -> str:
    """*fault* as a line for people."""
    if isinstance(fault, Outage):
        return f"the network is gone for {fault.seconds} s from the authors' request {fault.after + 1}"
    if isinstance(fault, Damage):
        return f"the {fault.kind} archive in the cache is damaged"
    where = f"{fault.point.name}, request {fault.after + 1}"
    if isinstance(fault, Sleep):
        return f"the author's machine sleeps for {fault.seconds} s at {where}"
    if isinstance(fault, Edit):
        return f"the build file is edited at {where}"
    if isinstance(fault, Kill):
        return f"{fault.victim} is killed {'after' if fault.done else 'at'} {where}"
    detail = fault.fault.code if isinstance(fault.fault, Refuse) else repr(fault.fault)
    return f"{detail} at {where}{f' and so on, {fault.times} in all' if fault.times else ' and for ever'}"
