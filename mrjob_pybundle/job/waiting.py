"""A job's cluster that starts ahead of its steps, while the bundle that they need is still being built.

It never saw the bundle, so the job brings it along; no node waits for anything. A cluster that ends by itself would end
as soon as it is up and has no step. So it is launched with one, which waits on the master (``nodes/await-steps.sh``)
until the submitter has added the job's own. Of a submitter that gives no sign of life, it stops waiting, which ends the
cluster.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mrjob_pybundle.aws.errors import explained
from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.errors import PyBundleError
from mrjob_pybundle.templates import read_template

log = logging.getLogger("mrjob.pybundle")

#: A cluster that somebody waits for costs as much as it has instances: of more than these only if told to.
MOST_INSTANCES = 10

#: The name of the waiting step. mrjob takes for its own those that begin with the job's key.
STEP_NAME = "wait for the steps"

_GO = b"go"

#: In each period after which a silent submitter counts as gone, it gives so many signs of life, and the step looks for
#: one so often: four requests a minute of both for ten minutes.
_SIGNS = 5
_LOOKS = 35

#: What decides on whether, and when, a cluster ends, and so does not go with one that waits.
_OWN_LIFE = ("AutoTerminationPolicy", "Steps")
_OWN_LIFE_OF_INSTANCES = ("KeepJobFlowAliveWhenNoSteps", "TerminationProtected")


@dataclass(frozen=True)
class Waiting:
    """How a cluster waits for its steps."""

    #: the submitter's word
    uri: S3Uri
    #: of the word's bucket, ``""`` if unknown
    region: str
    #: after so many seconds without a sign the submitter counts as gone
    silence: float
    #: so many seconds it waits at most
    limit: float

    def step(self) -> dict[str, Any]:
        """The waiting step, as RunJobFlow takes it."""
        looks = max(1, round(self.silence / _LOOKS))
        seconds = (str(looks), str(round(self.silence)), str(round(self.limit)))
        return {
            "Name": STEP_NAME,
            "ActionOnFailure": "TERMINATE_CLUSTER",
            "HadoopJarStep": {
                "Jar": "command-runner.jar",
                "Args": [
                    *("bash", "-c", read_template("nodes/await-steps.sh"), "await-steps"),
                    *(str(self.uri), *seconds, *([self.region] if self.region else [])),
                ],
            },
        }


class SignsOfLife:
    """Says to a waiting step that its submitter lives, from a thread of its own, until :meth:`go` or :meth:`stop`."""

    def __init__(self, waiting: Waiting, s3_client: Any) -> None:
        self._waiting = waiting
        self._s3 = s3_client
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._repeat, name="signs of life", daemon=True)
        self._said = 0
        #: when the last one was given, by a clock that goes on while the machine sleeps
        self._last = time.time()
        self._has_lapsed = False

    def start(self) -> None:
        """Give the first sign, and all others.

        :raises CacheError: the first could not be given.
        """
        self._give()
        self._thread.start()

    @property
    def may_have_lapsed(self) -> bool:
        """Whether the step may have given this submitter up: its machine slept, or was without a network."""
        self._notice_lapse()
        return self._has_lapsed

    def go(self) -> None:
        """Say that the steps have been added.

        :raises CacheError: S3 said no.
        """
        self.stop()
        if self._thread.is_alive():  # a sign that is on its way must not come after this word
            self._thread.join()
        self._write(_GO)

    def stop(self) -> None:
        """Say nothing more, but for a sign that is on its way."""
        self._done.set()

    def _repeat(self) -> None:
        while not self._done.wait(self._waiting.silence / _SIGNS):
            try:
                self._give()
            except (PyBundleError, RuntimeError) as error:
                # RuntimeError: botocore's word for credentials that cannot be refreshed.
                # The next sign may come through. If none does, the cluster ends, and that is noticed.
                log.debug("could not give a sign of life: %s", error)

    def _give(self) -> None:
        self._said += 1
        self._write(b"wait %d" % self._said)
        self._notice_lapse()
        self._last = time.time()

    def _notice_lapse(self) -> None:
        # Half of it: between a sign and when the step sees it, requests and clocks take their time.
        if time.time() - self._last > self._waiting.silence / 2:
            self._has_lapsed = True

    def _write(self, word: bytes) -> None:
        uri = self._waiting.uri
        with explained(f"writing {uri}"):
            self._s3.put_object(Bucket=uri.bucket, Key=uri.key, Body=word)


def obstacle(opts: Mapping[str, Any], request: Mapping[str, Any], commands: str) -> str | None:
    """What speaks against a cluster that waits for its steps; ``None``: nothing does.

    *opts* are mrjob's options, *request* is RunJobFlow's for that cluster, with ``extra_cluster_params`` in it.
    *commands* is all that the job has its cluster and its steps run, in whatever form.
    """
    instances = request.get("Instances") or {}
    own = [name for name in _OWN_LIFE if request.get(name)]
    own += [f"Instances.{name}" for name in _OWN_LIFE_OF_INSTANCES if instances.get(name)]
    if opts["cluster_id"] or opts["pool_clusters"]:
        return "it may be one that exists already"
    if steps_at_once(opts, request) > 1:
        return "it runs several steps at once"
    if own:
        return f"extra_cluster_params has {' and '.join(own)}"
    if request.get("SecurityConfiguration"):
        return "its SecurityConfiguration may have Hadoop read S3 as somebody else than bootstrap actions do"
    if "/opt/pybundle" in commands or "/mnt/pybundle" in commands:
        return "a command of the job names /opt/pybundle, which only a bootstrap action makes"
    return None


def steps_at_once(opts: Mapping[str, Any], request: Mapping[str, Any]) -> int:
    """How many steps a cluster runs at the same time, by mrjob's options and RunJobFlow's parameters, or a part."""
    level = request.get("StepConcurrencyLevel")
    at_once: int = opts["max_concurrent_steps"]
    return max(at_once, level) if isinstance(level, int) else at_once  # EMR refuses what is no number


def count_instances(request: Mapping[str, Any]) -> int:
    """How many instances a request for a cluster (RunJobFlow's) asks for; of fleets, how many units of capacity."""
    instances = request.get("Instances") or {}
    units = ("TargetOnDemandCapacity", "TargetSpotCapacity")
    counts: list[int] = [group.get("InstanceCount", 1) for group in instances.get("InstanceGroups") or ()]
    counts += [fleet.get(name) or 0 for fleet in instances.get("InstanceFleets") or () for name in units]
    return sum(counts, instances.get("InstanceCount") or 0)
