"""EMR: what clusters it knows and what they are, launching and ending them."""

from __future__ import annotations

import enum
import logging
import random
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import cached_property, partial
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, SSLError
from botocore.validate import ParamValidator

from mrjob_pybundle.aws.clients import Credentials
from mrjob_pybundle.aws.errors import (
    INTERNAL,
    error_code,
    explain,
    explained,
    http_status,
    is_about_certificates,
    may_pass,
)
from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.errors import CacheError, OptionError

log = logging.getLogger("mrjob.pybundle")

#: EMR's words for the states of a cluster (ClusterState in the Amazon EMR API Reference).
_LIVING = ("STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING")
_ENDING = "TERMINATING"
_ENDED = (_ENDING, "TERMINATED", "TERMINATED_WITH_ERRORS")

#: What EMR answers, with either code, to a cluster id that it does not know.
_UNKNOWN = ("InvalidRequestException", "ValidationException")

#: So long after its end, EMR knows a cluster (ListClusters in the Amazon EMR API Reference).
KNOWN_AFTER_END = timedelta(days=60)

#: How often EMR is asked to launch before its refusal is passed on.
_LAUNCH_TRIES = 6

#: A cluster that was just launched need not be listed yet, nor a step that was just added. When that was not confirmed,
#: it is looked for after pauses of these many seconds.
_LISTING_PAUSES = (0, 1, 2, 4, 8, 15)

#: Two clocks, EMR's and a submitter's, need not be right to the minute.
_CLOCKS_DIFFER = timedelta(days=1)


class Life(enum.Enum):
    """Whether a cluster can still do anything."""

    LIVING = "living"
    ENDED = "ended"
    #: EMR does not know the cluster: it is another region's or account's, or it ended more than two months ago.
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Cluster:
    """What EMR says of a cluster."""

    id: str
    life: Life
    #: ``STARTING``, ``RUNNING``, …; ``unknown`` where EMR does not know it
    state: str
    #: EMR's reason for the state
    reason: str = ""
    name: str = ""

    @property
    def is_ending(self) -> bool:
        """Whether its instances are on their way out: EMR still copies what their logs have."""
        return self.state == _ENDING


@dataclass(frozen=True)
class Place:
    """Where a cluster lives. Only EMR there knows it, and only if the account asks."""

    region: str
    account: str

    @classmethod
    def of(cls, arn: str | None) -> Place | None:
        """The place that a cluster's ARN names (``arn:aws:elasticmapreduce:us-east-1:123456789012:cluster/j-…``)."""
        parts = (arn or "").split(":")
        return cls(parts[3], parts[4]) if len(parts) == 6 and parts[3] and parts[4] else None

    def __str__(self) -> str:
        return f"{self.region} of account {self.account}"


@dataclass(frozen=True)
class Launched:
    """A cluster that has just been launched. *place* is ``None`` if EMR did not say."""

    id: str
    place: Place | None


@dataclass(frozen=True)
class LivingCluster:
    """A cluster that lives, and what it was told to do."""

    id: str
    name: str
    #: of its bootstrap actions, their scripts' addresses included, and of its steps, all in one
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Machines:
    """What a cluster is made of, as far as it decides on the bundle."""

    #: such as ``emr-7.14.0``
    release_label: str
    #: id of a custom AMI, ``None`` without one
    image_id: str | None
    #: of all instances that it has or may get
    instance_types: tuple[str, ...]

    @classmethod
    def of(cls, release_label: str, image_id: str | None, kinds: Sequence[Mapping[str, Any]]) -> Machines:
        """*kinds* are groups of instances, as EMR has them: with ``InstanceType``, and ``CustomAmiId`` where a group
        has another one than the cluster's (*image_id*).

        :raises OptionError: their AMIs differ: one bundle is made for one. Or there are no instances.
        """
        types = tuple(kind["InstanceType"] for kind in kinds)
        strangers = [name for name in types if not isinstance(name, str)]
        if strangers:
            raise OptionError(f"{strangers[0]!r} is not an instance type such as m5.xlarge")
        if not types:
            raise OptionError("The job's cluster has no instances: no instance type is named.")
        images = {kind.get("CustomAmiId") or image_id for kind in kinds}
        if len(images) > 1:
            named = " and ".join(sorted(str(image or "the release's own") for image in images))
            raise OptionError(f"The job's instances have different AMIs: {named}. A bundle is made for one.")
        return cls(release_label, images.pop(), types)


@dataclass(frozen=True)
class ExistingCluster:
    """A cluster that can take a job's steps."""

    id: str
    machines: Machines
    #: of its bootstrap actions, without directories
    script_names: frozenset[str]


#: Gets the answer to a question to EMR.
Asking = Callable[[Callable[[], Launched | None]], Launched | None]


class LaunchUnclearError(CacheError):
    """Nobody knows whether EMR has launched the cluster. The text is what got in the way of the answer."""


class Emr:
    """EMR in one region. Every method asks only when it is called, and, unless it says otherwise, raises
    :class:`CacheError` when EMR says no.
    """

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    @cached_property
    def _client(self) -> Any:
        return self._credentials.emr_client()

    @cached_property
    def _client_without_retries(self) -> Any:
        return self._credentials.emr_client(retries=False)

    @property
    def region(self) -> str:
        """Whose clusters these are."""
        return str(self._client.meta.region_name)

    # one cluster

    def cluster(self, cluster_id: str) -> Cluster:
        """What EMR says of a cluster. Not to know it is an answer, too."""
        found = self._describe(cluster_id)
        if found is None:
            return Cluster(cluster_id, Life.UNKNOWN, "unknown", f"EMR in {self.region} does not know it")
        status = found["Status"]
        life = Life.ENDED if status["State"] in _ENDED else Life.LIVING
        reason = status.get("StateChangeReason", {}).get("Message") or ""
        return Cluster(cluster_id, life, status["State"], reason, str(found["Name"]))

    def existing_cluster(self, cluster_id: str) -> ExistingCluster:
        """A cluster that is to run a job (DescribeCluster, ListInstanceGroups or …Fleets, ListBootstrapActions).

        :raises OptionError: there is none of that id, or it has ended.
        """
        cluster = self._describe(cluster_id)
        if cluster is None:
            raise OptionError(f"There is no cluster {cluster_id} in {self.region}.")
        state = cluster["Status"]["State"]
        if state in _ENDED:
            raise OptionError(f"Cluster {cluster_id} takes no more jobs: it is {state}.")
        with explained(f"asking about cluster {cluster_id}"):
            actions = self._pages("list_bootstrap_actions", "BootstrapActions", ClusterId=cluster_id)
            script_names = frozenset(action["ScriptPath"].split("/")[-1] for action in actions)
            if cluster.get("InstanceCollectionType") == "INSTANCE_FLEET":
                fleets = self._pages("list_instance_fleets", "InstanceFleets", ClusterId=cluster_id)
                kinds = kinds_of_fleets(fleets)
            else:
                kinds = list(self._pages("list_instance_groups", "InstanceGroups", ClusterId=cluster_id))
        # Clusters of before EMR 4 have the version of their AMI instead.
        label = cluster.get("ReleaseLabel") or f"ami-{cluster.get('RunningAmiVersion')}"
        return ExistingCluster(cluster_id, Machines.of(label, cluster.get("CustomAmiId"), kinds), script_names)

    def step_logs(self, cluster_id: str) -> S3Uri | None:
        """Where EMR keeps the logs of a cluster's first step (DescribeCluster, ListSteps).

        ``None`` if it keeps none, or does not know the cluster.

        :raises OptionError: the cluster's LogUri is no S3 URI.
        """
        cluster = self._describe(cluster_id)
        if cluster is None or not cluster.get("LogUri"):
            return None
        steps = self.steps(cluster_id)
        return S3Uri.parse(cluster["LogUri"]) / f"{cluster_id}/steps/{steps[-1]['Id']}" if steps else None

    def steps(self, cluster_id: str) -> list[dict[str, Any]]:
        """A cluster's steps (ListSteps' ``Steps``), the newest first."""
        with explained(f"asking for the steps of cluster {cluster_id} (ListSteps)"):
            return list(self._pages("list_steps", "Steps", ClusterId=cluster_id))

    def terminate(self, cluster_id: str) -> None:
        """End a cluster."""
        with explained(f"ending cluster {cluster_id} (TerminateJobFlows)"):
            self._client.terminate_job_flows(JobFlowIds=[cluster_id])

    def _describe(self, cluster_id: str) -> Any:
        """DescribeCluster's answer; ``None`` where EMR does not know the cluster."""
        with explained(f"asking for the state of cluster {cluster_id} (DescribeCluster)"):
            try:
                return self._client.describe_cluster(ClusterId=cluster_id)["Cluster"]
            except ClientError as error:
                if error_code(error) in _UNKNOWN:
                    return None
                raise

    # all clusters

    def find(self, name: str, since: datetime, other_than: Collection[str] = ()) -> Launched | None:
        """A cluster of that name, dead or alive, created *since* then or a day earlier; not one of these ids."""
        with explained("looking for a cluster by its name (ListClusters)"):
            for cluster in self._pages("list_clusters", "Clusters", CreatedAfter=since - _CLOCKS_DIFFER):
                if cluster["Name"] == name and cluster["Id"] not in other_than:
                    return Launched(str(cluster["Id"]), Place.of(cluster.get("ClusterArn")))
        return None

    def living_clusters(self) -> list[LivingCluster]:
        """All clusters of the region that live."""
        with explained("asking which clusters live, and with what (ListClusters, ListBootstrapActions, ListSteps)"):
            clusters = list(self._pages("list_clusters", "Clusters", ClusterStates=list(_LIVING)))
            return [LivingCluster(c["Id"], c["Name"], tuple(self._arguments(c["Id"]))) for c in clusters]

    def _arguments(self, cluster_id: str) -> Iterator[str]:
        for action in self._pages("list_bootstrap_actions", "BootstrapActions", ClusterId=cluster_id):
            yield from (action["ScriptPath"], *action.get("Args", ()))
        for step in self._pages("list_steps", "Steps", ClusterId=cluster_id):
            yield from step["Config"].get("Args", ())

    def _pages(self, operation: str, section: str, **request: Any) -> Iterator[dict[str, Any]]:
        for page in self._client.get_paginator(operation).paginate(**request):
            yield from page[section]

    # launching

    def check_request(self, request: Mapping[str, Any]) -> None:
        """Check that EMR knows the parameters of *request*, RunJobFlow's, without asking it.

        :raises OptionError: it doesn't.
        """
        shape = self._client.meta.service_model.operation_model("RunJobFlow").input_shape
        report = ParamValidator().validate(request, shape)
        if report.has_errors():
            said = "; ".join(report.generate_report().splitlines())
            raise OptionError(f"The job's cluster cannot be asked for (is extra_cluster_params right?): {said}")

    def prepare_to_launch(self) -> None:
        """Have ready what :meth:`launch` takes its time for."""
        _ = self._client_without_retries

    def launch(self, request: Mapping[str, Any], what: str) -> Launched:
        """Launch a cluster, once; *what* says for errors whose.

        RunJobFlow has no idempotency token. It is sent again only where EMR cannot have heard of it or has
        refused it unread.

        :raises LaunchUnclearError: EMR's answer, or that there was none, leaves it open.
        """
        for attempt in range(1, _LAUNCH_TRIES + 1):
            try:
                answer = self._client_without_retries.run_job_flow(**request)
                return Launched(str(answer["JobFlowId"]), Place.of(answer.get("ClusterArn")))
            except (BotoCoreError, ClientError) as error:
                if not was_refused(error):
                    raise LaunchUnclearError(" ".join(str(error).split())) from error
                if not may_pass(error) or attempt == _LAUNCH_TRIES:
                    raise explain(error, f"launching {what} (RunJobFlow)") from error
            time.sleep(random.uniform(0.5, 1) * 2**attempt / 2)
        raise AssertionError("unreachable")

    def find_launched(self, name: str, ask: Asking, other_than: Collection[str] = ()) -> Launched | None:
        """The cluster of that name, after a RunJobFlow of which nobody knows whether EMR has heard it.

        No other cluster may have that name, but those whose ids are in *other_than*. *ask* asks EMR, when it is time
        to, and may have patience, or none: its ``None`` leaves it as open as no cluster in the list.
        """
        log.info("EMR's answer to RunJobFlow got lost: looking for the cluster %s", name)
        for pause in _LISTING_PAUSES:
            time.sleep(pause)
            found = ask(partial(self.find, name, datetime.now(timezone.utc), other_than))
            if found is not None:
                return found
        return None

    # adding steps

    def add_steps(self, cluster_id: str, steps: Sequence[Mapping[str, Any]]) -> list[str]:
        """Add steps to a cluster, in one request (AddJobFlowSteps), and not again. The result is their ids.

        :raises BotoCoreError:
        :raises ClientError: as botocore has them; :func:`was_refused` says what they leave open.
        """
        answer = self._client_without_retries.add_job_flow_steps(JobFlowId=cluster_id, Steps=steps)
        return list(answer["StepIds"])

    def find_added(self, cluster_id: str, names: Sequence[str]) -> list[str]:
        """Ids of the steps that have these *names*, after an AddJobFlowSteps that EMR may have heard, or not.

        Names are of one step each. The result is empty if the cluster has none of them.

        :raises CacheError: EMR said no, or has some of them and not the others.
        """
        for pause in _LISTING_PAUSES:
            time.sleep(pause)
            ids = {step["Name"]: str(step["Id"]) for step in self.steps(cluster_id)}
            if all(name in ids for name in names):
                return [ids[name] for name in names]
        if any(name in ids for name in names):
            raise CacheError(f"EMR has added only some of the job's steps to cluster {cluster_id}.")
        return []


def is_known_to_have_emr(region: str) -> bool:
    """Whether the installed boto3 has heard of EMR in *region*, which may be newer. Sends no request."""
    import boto3

    session = boto3.session.Session()
    return any(region in session.get_available_regions("emr", name) for name in session.get_available_partitions())


def kinds_of_fleets(fleets: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """What instances *fleets* (ListInstanceFleets' ``InstanceFleets``) may have."""
    return [spec for fleet in fleets for spec in fleet["InstanceTypeSpecifications"]]


def was_refused(error: Exception) -> bool:
    """Is it certain that EMR has not done what it was asked for?"""
    if isinstance(error, ClientError):
        return 0 < http_status(error) < 500 and error_code(error) not in INTERNAL
    if isinstance(error, SSLError):
        return is_about_certificates(error)
    # Nothing was sent, for want of a connection, of credentials, of a parameter…
    return not isinstance(error, HTTPClientError)
