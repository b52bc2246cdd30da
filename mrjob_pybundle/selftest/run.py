"""A run: its cases, several at a time; then what it has made is taken away, and told of."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

import mrjob_pybundle
from mrjob_pybundle.aws.errors import explained
from mrjob_pybundle.cache.builds import build_id_of
from mrjob_pybundle.errors import PyBundleError
from mrjob_pybundle.selftest import conf
from mrjob_pybundle.selftest.cases import Case
from mrjob_pybundle.selftest.checks import Bench, FailedError
from mrjob_pybundle.selftest.cleaning import Aws, OfRun, Say, clean, clusters_of, end_clusters
from mrjob_pybundle.selftest.doors import Conf, Doors, Patience, StoppedError, TooLongError
from mrjob_pybundle.selftest.plan import Plan
from mrjob_pybundle.selftest.results import Lived, Outcome, Result, Results
from mrjob_pybundle.selftest.roles import Roles


@dataclass
class Run:
    """A plan that is carried out."""

    plan: Plan
    aws: Aws
    #: for its files on this machine
    directory: Path
    #: to be inherited by all that it starts
    lock: int
    roles: Roles
    say: Say
    stopped: threading.Event = field(default_factory=threading.Event)
    shared: dict[str, str] = field(default_factory=dict)
    facts: dict[str, dict[str, str]] = field(default_factory=dict)
    _futures: dict[str, Future[Result]] = field(default_factory=dict)

    def carry_out(self, user_confs: Sequence[str]) -> Results:
        """Check all cases, and remove what was made, whatever happens meanwhile."""
        since, began = time.monotonic(), time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
        removed: list[str] = []
        try:
            results = self._check_all(conf.write(self.plan.names, user_confs, self.directory))
        finally:
            clusters, is_clean = self._clean(removed)
        return Results(
            run_id=self.plan.names.id,
            version=mrjob_pybundle.__version__,
            region=self.plan.region,
            stand_in=self.plan.stand_in is not None,
            began=began,
            seconds=time.monotonic() - since,
            cases=results,
            facts=self.facts,
            clusters=list(self._what_is_told_of(clusters)),
            dollars_at_most=self.plan.dollars,
            removed=removed,
            is_clean=is_clean,
        )

    def _clean(self, removed: list[str]) -> tuple[list[OfRun], bool]:
        """Remove all, and note what. The result: which clusters there were, and whether nothing is left."""

        def note(text: str) -> None:
            removed.append(text)
            self.say(f"  {text}")

        self.say("Removing what was made:")
        clusters: list[OfRun] = []
        try:
            clusters = clusters_of(self.plan.names, self.aws)
            clean(self.plan.names, self.aws, note)
        except PyBundleError as error:
            note(str(error))
            return clusters, False
        return clusters, True

    def _what_is_told_of(self, clusters: Sequence[OfRun]) -> Iterator[Lived]:
        for cluster in clusters:
            try:
                yield self._lived(cluster)
            except PyBundleError as error:  # no reason to have no report
                self.say(str(error))

    def _lived(self, of_run: OfRun) -> Lived:
        """What EMR tells of a cluster, in full when it has ended."""
        with explained(f"asking about cluster {of_run.id}"):
            cluster = self.aws.emr.describe_cluster(ClusterId=of_run.id)["Cluster"]
            groups = _groups(self.aws.emr, of_run.id)
        timeline = cluster["Status"].get("Timeline", {})
        created = timeline.get("CreationDateTime")

        def since_creation(event: str) -> float | None:
            moment = timeline.get(event)
            return (moment - created).total_seconds() if moment and created else None

        return Lived(
            is_build=build_id_of(of_run.name) is not None,
            release=cluster.get("ReleaseLabel", ""),
            os_release=cluster.get("OSReleaseLabel", ""),
            instance_type=groups[0][0] if groups else "unknown",
            instances=sum(count for _, count in groups),
            state=cluster["Status"]["State"],
            started_in=since_creation("ReadyDateTime"),
            lived=since_creation("EndDateTime"),
        )

    # cases

    def _check_all(self, confs: Conf) -> list[Result]:
        with ThreadPoolExecutor(self.plan.at_once) as threads:
            try:
                for case in (case for case in self.plan.cases if not case.is_last):
                    self._futures[case.name] = threads.submit(self._check, case, confs)
                wait(self._futures.values())
                self._end_clusters(self.plan.names.label)
                for case in (case for case in self.plan.cases if case.is_last):
                    self._futures[case.name] = threads.submit(self._check, case, confs)
                return [future.result() for future in self._futures.values()]
            except BaseException:  # Ctrl-C: what runs is killed, and nothing else begins
                self.stopped.set()
                threads.shutdown(wait=False, cancel_futures=True)
                raise

    def _check(self, case: Case, confs: Conf) -> Result:
        result = self._result(case, confs)
        first = f": {result.text.splitlines()[0]}" if result.text else ""
        self.say(f"{result.outcome.value:<12} {case.name}{first}")
        return result

    def _result(self, case: Case, confs: Conf) -> Result:
        why_not = self.plan.why_not(case)
        if why_not:
            return Result(case.name, case.shows, Outcome.NOT_CHECKED, why_not, was_announced=True)
        # Those that are needed stand before those that need them, so they have begun by now.
        missing = [name for name in case.needs if self._futures[name].result().outcome is not Outcome.GREEN]
        if missing:
            return Result(
                case.name, case.shows, Outcome.NOT_CHECKED, f"without {' and '.join(missing)}, which is not green"
            )
        self.say(f"{'begins':<12} {case.name}")
        since = time.monotonic()
        bench = Bench(self._doors(case, confs, since), self._look, self.shared, self.roles, self.facts)
        outcome, text = _outcome(lambda: case.run(bench))
        if not case.is_shared:
            self._end_clusters(f"{self.plan.names.label_of(case.name)}.")
        return Result(case.name, case.shows, outcome, text, time.monotonic() - since, tuple(bench.seen))

    def _end_clusters(self, beginning: str) -> None:
        """What a case leaves alive costs money, though it would end by itself."""
        try:
            end_clusters(self.plan.names, self.aws, self.say, beginning)
        except PyBundleError as error:  # they are ended in the end, too
            self.say(str(error))

    def _doors(self, case: Case, confs: Conf, since: float) -> Doors:
        patience = Patience(since + 60 * case.minutes, self.stopped)
        return Doors(case.name, self.plan.names, confs, self.directory, self.aws.s3, self.lock, patience)

    def _look(self, cluster_id: str) -> tuple[str, list[tuple[str, str]]]:
        with explained(f"asking about cluster {cluster_id}"):
            state = self.aws.emr.describe_cluster(ClusterId=cluster_id)["Cluster"]["Status"]["State"]
            steps = self.aws.emr.list_steps(ClusterId=cluster_id)["Steps"]
        return state, [(step["Name"].split(": ")[-1], step["Status"]["State"]) for step in reversed(steps)]


def _outcome(check: Callable[[], None]) -> tuple[Outcome, str]:
    try:
        check()
    except StoppedError as error:
        return Outcome.NOT_CHECKED, str(error)
    except (FailedError, TooLongError, PyBundleError, OSError) as error:
        return Outcome.FAILED, str(error)
    except (ValueError, KeyError, IndexError, TypeError) as error:  # output of a form that no case expects
        return Outcome.FAILED, f"its output could not be read: {error!r}"
    return Outcome.GREEN, ""


def _groups(emr: Any, cluster_id: str) -> list[tuple[str, int]]:
    """Instance types and counts. A cluster of fleets has no groups: EMR refuses the question."""
    try:
        groups = emr.list_instance_groups(ClusterId=cluster_id)["InstanceGroups"]
    except ClientError:
        return []
    return [(group["InstanceType"], group["RequestedInstanceCount"]) for group in groups]
