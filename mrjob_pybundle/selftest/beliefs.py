"""What docs/emr.md believes of EMR, each with the question that settles it, and what was found.

``words`` stand in docs/emr.md (a test compares them). A belief that was wrong is the most useful line of a report.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

#: place (``build``, ``bootstrap``, ``container``) → name → value
Facts = Mapping[str, Mapping[str, str]]

PLACES = {
    "build": "the build cluster's step",
    "bootstrap": "a node's bootstrap action",
    "container": "a task's container",
}


@dataclass(frozen=True)
class Seen:
    """What a run has seen by its end."""

    facts: Facts
    #: names of cases that are green
    green: frozenset[str]
    #: release label of the run's jobs, such as ``emr-7.14.0``
    release: str


@dataclass(frozen=True)
class Found:
    """What a belief came to: ``is_so`` is ``None`` where nothing was found."""

    is_so: bool | None
    what: str


@dataclass(frozen=True)
class Belief:
    """A sentence of docs/emr.md, and the question that settles it."""

    words: str
    question: str
    find: Callable[[Seen], Found]


def _values(seen: Seen, name: str, places: tuple[str, ...] = ("build", "bootstrap", "container")) -> dict[str, str]:
    """Place → value, where the probe ran and found one."""
    return {place: seen.facts[place][name] for place in places if seen.facts.get(place, {}).get(name)}


def _told(values: Mapping[str, str]) -> str:
    if len(set(values.values())) == 1:
        return next(iter(values.values()))
    return "; ".join(f"{place}: {value}" for place, value in values.items())


def _matching(name: str, expected: Callable[[Seen], str], *places: str) -> Callable[[Seen], Found]:
    """Whether all that was found of *name* matches the pattern that *expected* gives."""

    def find(seen: Seen) -> Found:
        values = _values(seen, name, places or tuple(PLACES))
        if not values:
            return Found(None, "nothing was seen of it")
        return Found(all(re.search(expected(seen), value) for value in values.values()), _told(values))

    return find


def _case(*names: str) -> Callable[[Seen], Found]:
    """Whether these cases are green. One that is not need not have failed of this."""

    def find(seen: Seen) -> Found:
        missing = [name for name in names if name not in seen.green]
        if missing:
            return Found(None, f"not settled: {', '.join(missing)} not green")
        return Found(True, f"{' and '.join(names)}: green")

    return find


def _is_seven(seen: Seen) -> bool:
    return seen.release.startswith("emr-7")


def _by_release(seven: str, older: str) -> Callable[[Seen], str]:
    return lambda seen: seven if _is_seven(seen) else older


def _region(seen: Seen) -> Found:
    if not seen.facts:
        return Found(None, "nothing was seen of it")
    values = {
        f"{name} in {PLACES[place]}": facts[name]
        for place, facts in seen.facts.items()
        for name in ("env.AWS_REGION", "env.AWS_DEFAULT_REGION")
        if name in facts
    }
    return Found(not values, _told(values) if values else "neither AWS_REGION nor AWS_DEFAULT_REGION is set")


def _job_history(seen: Seen) -> Found:
    value = seen.facts.get("container", {}).get("job_history_format")
    if "container" not in seen.facts:
        return Found(None, "nothing was seen of it")
    return Found(bool(value), value or "mapred-site.xml does not say")


def _old_programs(seen: Seen) -> Found:
    values = [_told(_values(seen, name)) for name in ("bash", "tar", "coreutils") if _values(seen, name)]
    if _is_seven(seen) or not values:
        return Found(None, "; ".join(values) or "nothing was seen of it")
    return Found(all(map(re.search, (r"version 4\.2", r"1\.26", r"8\.22"), values)), "; ".join(values))


def _tmp(seen: Seen) -> Found:
    values = _values(seen, "tmp_options")
    if not values:
        return Found(None, "neither /tmp nor /mnt is a file system of its own")
    return Found(not any("noexec" in value for value in values.values()), _told(values))


BELIEFS: tuple[Belief, ...] = (
    Belief("That EMR sets no region on masters and nodes", "is AWS_REGION or AWS_DEFAULT_REGION set there?", _region),
    Belief(
        "that EMR 5 and 6 have version 1 of the AWS CLI and EMR 7 version 2",
        "what does aws --version say?",
        _matching("aws", _by_release(r"^aws-cli/2", r"^aws-cli/1")),
    ),
    Belief(
        "| 7.0 and later | Amazon Linux 2023 |",
        "what does /etc/os-release say?",
        _matching("os", _by_release("^Amazon Linux 2023", "^Amazon Linux 2$")),
    ),
    Belief(
        "(2.26 on Amazon Linux 2, 2.34 on Amazon Linux 2023)",
        "which glibc is there?",
        _matching("glibc", _by_release(r"2\.34", r"2\.26")),
    ),
    Belief(
        "Its OpenSSL was 3.0.8, then 3.2.2 (2023.7), then 3.5.5 (2023.10)",
        "which OpenSSL is there?",
        _matching("openssl", _by_release(r"^OpenSSL 3\.(0\.8|2\.2|5\.5)\b", r"^OpenSSL 1\.")),
    ),
    Belief(
        "that it has Hadoop 3.4.2",
        "which hadoop-common is there?",
        _matching("hadoop", lambda _: r"hadoop-common-3\.4\.2", "container"),
    ),
    Belief(
        "that 7.14 still has Spark 3.5",
        "what does /usr/lib/spark/RELEASE say, if Spark is installed?",
        _matching("spark", lambda _: r"^Spark 3\.5", "container"),
    ),
    Belief(
        "Amazon Linux 2 and 2023: that these packages exist and suffice, that CPython compiles",
        "do builds that compile end well, on both?",
        _case("build", "amazon-linux-2"),
    ),
    Belief(
        "That EMR takes such a step in RunJobFlow",
        "do the waiting step and the job's own both complete?",
        _case("edit"),
    ),
    Belief(
        "Whether EMR sets the format itself, we don't know",
        "does mapred-site.xml name mapreduce.jobhistory.jhist.format?",
        _job_history,
    ),
    Belief(
        "| Spark steps | Spark 3.5.6 on that YARN, with CPython 3.11.2",
        "does a Spark step run on EMR's own Spark and YARN?",
        _case("spark"),
    ),
    Belief(
        "| nodes with bash 4.2, make 3.82, tar 1.26 and coreutils 8.22, as Amazon Linux 2 has them |",
        "which bash, tar and coreutils are there, on Amazon Linux 2?",
        _old_programs,
    ),
    Belief(
        "a `/tmp` or a disk that is full, read-only, or runs no programs",
        "may programs run in /tmp and /mnt?",
        _tmp,
    ),
    Belief(
        "Graviton: an `aarch64` CPython, compiled by the build script",
        "does a build end well on a Graviton instance?",
        _case("graviton"),
    ),
)
