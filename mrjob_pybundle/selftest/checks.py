"""How each case is checked: through the doors that users use, with what must then be seen."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mrjob_pybundle.aws.releases import build_instance_type
from mrjob_pybundle.selftest.conf import bootstrap_facts
from mrjob_pybundle.selftest.doors import PROGRAMS, Doors, Ran
from mrjob_pybundle.selftest.roles import Roles

SPARK_PYTHON = "3.11.15"
AMAZON_LINUX_2 = "emr-6.15.0"
GRAVITON = "m6g.xlarge"
IDLE_MINUTES = 15
#: After so many seconds without a sign of a killed submitter, the cluster that waits for its steps ends.
_PATIENCE_SECONDS = 60
_POLL_SECONDS = 2.0
#: How long a build may take that compiles, and one that optimizes.
COMPILING_MINUTES = 20
OPTIMIZING_MINUTES = 50

#: A line of a venv-build.sh: what mr_words.py needs.
_PACKAGE = "pip install regex==2024.11.6\n"
_WORDS = PROGRAMS / "words.txt"

_BUILD_ID = re.compile(r"\bbuild (\d{8}-\d{6}-[0-9a-f]{8})")


class FailedError(Exception):
    """Something is not as it should be. The text says what."""


@dataclass
class Bench:
    """What a case works with."""

    doors: Doors
    #: state and steps (names and states, the first first) of a cluster, as EMR has them
    look: Callable[[str], tuple[str, list[tuple[str, str]]]]
    #: what cases leave for those that need them: the id of a cluster
    shared: dict[str, str]
    #: the run's own, if it may have some
    roles: Roles
    #: place → name → value, as the probe saw it
    facts: dict[str, dict[str, str]]
    #: what is worth a line in the report
    seen: list[str] = field(default_factory=list)


# what they have in common


def _to_compile(arch: str = "x86_64", minutes: int = COMPILING_MINUTES) -> tuple[str, ...]:
    """Switches for a build that compiles: on a large machine, and for longer."""
    machine = ("--pybundle-build-instance-type", build_instance_type(arch))
    return (*machine, "--pybundle-build-timeout-minutes", str(minutes))


def _venv_build(bench: Bench, name: str, commands: str = "") -> tuple[str, ...]:
    """Switches for a bundle with a ``venv-build.sh`` that no other case, and no other run, has."""
    text = f"#!/usr/bin/env bash\nset -eu\necho '{name}, run {bench.doors.names.id}'\n{commands}"
    return ("--pybundle-venv-build", str(bench.doors.file(f"{name}-venv-build.sh", text)))


def _shared_bundle(bench: Bench) -> tuple[str, ...]:
    """Switches for the bundle of the case ``build``: it has a package, and its build looks at its machine."""
    probe = ("--pybundle-build-file", str(PROGRAMS / "probe.sh"))
    return (*_venv_build(bench, "shared", f"sh probe.sh\n{_PACKAGE}"), *probe)


def _must(ran: Ran, status: int = 0) -> Ran:
    if ran.status != status:
        raise FailedError(f"{ran.words[0]} ended with exit status {ran.status}, not {status}:\n{ran.last_words}")
    return ran


def _must_say(ran: Ran, text: str) -> None:
    if text not in ran.err + ran.out:
        raise FailedError(f"{ran.words[0]} did not say {text!r}:\n{ran.last_words}")


def _must_count(ran: Ran) -> None:
    """The job's output must be the words of words.txt, as counted here."""
    _must(ran)
    lines = (line.split("\t") for line in ran.out.splitlines())
    found = {json.loads(word): json.loads(count) for word, count in lines}
    _must_be_the_words(found)


def _must_be_the_words(found: Mapping[str, int]) -> None:
    if found != Counter(_WORDS.read_text("utf-8").split()):
        raise FailedError(f"the words were counted wrongly: {found}")


def _words(bench: Bench, *switches: str, **kwargs: Any) -> Ran:
    ran = bench.doors.job("mr_words.py", str(_WORDS), *switches, **kwargs)
    _note_times(bench, ran)
    return ran


def _note_times(bench: Bench, ran: Ran) -> None:
    """Where the time went, as the run itself has said it in the end."""
    bench.seen.append(f"{ran.words[0]}: {ran.seconds:.0f} s")
    table = re.search(r"^build's cluster .*?^[^\n]* in all\.[^\n]*$", ran.err, re.DOTALL | re.MULTILINE)
    if table:
        bench.seen += table[0].splitlines()


def _build(bench: Bench, *switches: str, **kwargs: Any) -> Ran:
    ran = bench.doors.command("build", *switches, **kwargs)
    _note_times(bench, ran)
    return ran


def _wait_until(bench: Bench, condition: Callable[[], bool], what: str) -> None:
    while not condition():
        bench.doors.patience.pause(what, _POLL_SECONDS)


# the cases


def doctor(bench: Bench) -> None:
    ran = bench.doors.command("doctor")
    bench.seen += ran.out.splitlines()
    if ran.status:
        raise FailedError("a job would not do here: see the lines that say FAILED" if ran.out else ran.last_words)


def plain_build(bench: Bench) -> None:
    ran = _must(_build(bench, *_shared_bundle(bench), *_to_compile()))
    _must_say(ran, "built, s3://")
    build_id = _BUILD_ID.search(ran.err)
    if build_id is None:
        raise FailedError("the build's id was not said")
    log = _must(bench.doors.command("watch", build_id[1]))
    bench.facts["build"] = facts_in(log.out.splitlines())


def cached(bench: Bench) -> None:
    ran = _words(bench, *_shared_bundle(bench))
    _must_count(ran)
    if "Building the bundle" in ran.err:
        raise FailedError("the bundle was built, though it was there")


def cold(bench: Bench) -> None:
    ran = _words(bench, *_venv_build(bench, "cold", _PACKAGE), "--no-pybundle-overlap")
    _must_count(ran)
    _must_say(ran, "No bundle of these inputs")


def edit(bench: Bench) -> None:
    ran = _words(bench, *_venv_build(bench, "edit", _PACKAGE), "--pybundle-overlap")
    _must_count(ran)
    _must_say(ran, "starts while the bundle is being built")
    cluster = re.search(r"The job's cluster (\S+) starts while", ran.err)
    if cluster:
        _, steps = bench.look(cluster[1])
        bench.seen.append("steps: " + ", ".join(f"{name} {state}" for name, state in steps))
        if [state for _, state in steps] != ["COMPLETED", "COMPLETED"]:
            raise FailedError(f"the steps of the job's cluster are {steps}")


def killed(bench: Bench) -> None:
    bundle = _venv_build(bench, "killed", "sleep 20\n")
    switches = (*bundle, "--pybundle-overlap", "--pybundle-overlap-patience-seconds", str(_PATIENCE_SECONDS))
    author = bench.doors.start_job("mr_words.py", str(_WORDS), *switches)
    author.wait_until_said("starts while the bundle is being built")
    author.kill()
    ran = author.wait()
    cluster = re.search(r"The job's cluster (\S+) starts while", ran.err)
    if cluster is None:
        raise FailedError(f"the job's cluster did not start beside the build:\n{ran.last_words}")
    _must(_build(bench, *bundle))
    _wait_until(bench, lambda: bench.look(cluster[1])[0].startswith("TERMINATED"), "the end of the dead job's cluster")
    state, steps = bench.look(cluster[1])
    bench.seen.append(f"the dead job's cluster: {state}, " + ", ".join(f"{name} {state}" for name, state in steps))


def failing(bench: Bench) -> None:
    ran = _must(_build(bench, *_venv_build(bench, "failing", "echo the last words\nexit 3\n")), 4)
    _must_say(ran, "venv-build.sh ended with exit status 3")
    _must_say(ran, "the last words")


def joined(bench: Bench) -> None:
    bundle = _venv_build(bench, "joined", "sleep 20\n")
    authors = [bench.doors.start_command("build", *bundle)]
    authors[0].wait_until_said("No bundle of these inputs")
    authors.append(bench.doors.start_command("build", *bundle))
    ended = [author.wait() for author in authors]
    for ran in ended:
        _must(ran)
        _note_times(bench, ran)
    if not any("is already building this bundle" in ran.err for ran in ended):
        raise FailedError("neither of the two authors waited for the other")


def _pool_switches(bench: Bench) -> tuple[str, ...]:
    # mrjob's own program ends the cluster when it is idle, and so does EMR itself, should that one fail.
    ends = ("--max-mins-idle", str(IDLE_MINUTES))
    policy = f'AutoTerminationPolicy={{"IdleTimeout": {IDLE_MINUTES * 60}}}'
    return ("--pool-clusters", "--pool-name", bench.doors.names.pool, *ends, "--extra-cluster-param", policy)


def pooled(bench: Bench) -> None:
    switches = (*_shared_bundle(bench), *_pool_switches(bench))
    created = _must(bench.doors.command("create-cluster", *switches))
    bench.shared["cluster"] = created.out.strip().splitlines()[-1]
    _wait_until(bench, lambda: bench.look(bench.shared["cluster"])[0] == "WAITING", "the cluster")
    ran = _words(bench, *switches)
    _must_count(ran)
    _must_say(ran, f"Adding our job to existing cluster {bench.shared['cluster']}")


def existing(bench: Bench) -> None:
    ran = _words(bench, *_venv_build(bench, "existing", _PACKAGE), "--cluster-id", bench.shared["cluster"])
    _must_count(ran)
    _must_say(ran, "the job brings it along")


def nodes(bench: Bench) -> None:
    left = ("--bootstrap-facts", bootstrap_facts(bench.doors.names))
    ran = bench.doors.job(
        "mr_nodes.py", str(_WORDS), *_shared_bundle(bench), "--cluster-id", bench.shared["cluster"], *left
    )
    _note_times(bench, ran)
    for line in _must(ran).out.splitlines():
        place, lines = map(json.loads, line.split("\t"))
        bench.facts.setdefault(place, facts_in(lines))
    missing = {"bootstrap", "container"} - bench.facts.keys()
    if missing:
        raise FailedError(f"nothing was seen in {' and '.join(sorted(missing))}")


def spark(bench: Bench) -> None:
    switches = ("--pybundle-python-version", SPARK_PYTHON, *_to_compile())
    ran = _must(bench.doors.job("mr_spark_words.py", str(_WORDS), *switches, conf=bench.doors.conf.other_python))
    _note_times(bench, ran)
    found = dict(tuple(map(json.loads, line.split("\t"))) for line in ran.out.splitlines())
    version, executable = found.pop("python")
    bench.seen.append(f"an executor's Python: {version}, {executable}")
    if version != SPARK_PYTHON:
        raise FailedError(f"an executor had Python {version}")
    _must_be_the_words(found)


def gc(bench: Bench) -> None:
    listed = _must(bench.doors.command("ls"))
    bench.seen += listed.out.splitlines()
    collected = _must(bench.doors.command("gc"))
    bench.seen += collected.out.splitlines()
    _must_say(_must(_build(bench, *_shared_bundle(bench))), "cached already")


def optimized(bench: Bench) -> None:
    limit = _to_compile(minutes=OPTIMIZING_MINUTES)
    _must(_build(bench, "--pybundle-optimize", *limit, *_venv_build(bench, "optimized")))


def graviton(bench: Bench) -> None:
    machines = (
        *("--master-instance-type", GRAVITON, "--core-instance-type", GRAVITON),
        *_to_compile("aarch64"),
    )
    conf = bench.doors.conf.other_python
    _must_count(_words(bench, *machines, *_venv_build(bench, "graviton", _PACKAGE), conf=conf))


def amazon_linux_2(bench: Bench) -> None:
    release = ("--release-label", AMAZON_LINUX_2, "--pybundle-python-version", SPARK_PYTHON, *_to_compile())
    conf = bench.doors.conf.other_python
    _must_count(_words(bench, *release, *_venv_build(bench, "amazon-linux-2", _PACKAGE), conf=conf))


def policies(bench: Bench) -> None:
    roles, own = bench.roles, bench.doors.names.directory
    bench.doors.intend(f"create the IAM roles {bench.doors.names.role('…')}")
    account = roles.create()
    builder, submitter = (roles.environment(whose, account) for whose in ("builder", "submitter"))
    switches = (
        *_venv_build(bench, "iam", _PACKAGE),
        *("--iam-instance-profile", bench.doors.names.role("job-node")),
        *("--pybundle-build-iam-instance-profile", bench.doors.names.role("build-master")),
        *("--cloud-log-dir", f"{own}/tmp/logs/"),
    )
    conf = bench.doors.conf.as_role
    forbidden = f"{bench.doors.names.cache}/v1/python/forbidden"
    _must(_build(bench, *switches, conf=conf, environment=builder))
    _must_count(_words(bench, *switches, conf=conf, environment=submitter))
    wrote = ("mr_writes.py", str(_WORDS), *switches, "--forbidden", forbidden)
    ran = _must(bench.doors.job(*wrote, conf=conf, environment=submitter))
    if "AccessDenied" not in ran.out:
        raise FailedError(f"a mapper may write into the cache, or something else kept it from that:\n{ran.out}")
    bench.seen.append("a mapper that wrote into the cache was refused")


def facts_in(lines: list[str]) -> dict[str, str]:
    """Name → value of what the probe said somewhere in *lines*."""
    found = (re.search(r"probe:([\w.]+)=(.*)", line) for line in lines)
    return {match[1]: match[2].strip() for match in found if match}
