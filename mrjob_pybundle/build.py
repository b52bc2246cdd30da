"""Build clusters: one author of many launches one, all watch it, and each gets its bundle or its failure.

A build belongs to its cluster: the master publishes the bundle, enforces the time limit, and the cluster ends by
itself, whether or not anyone is watching. What a submitter does here is launch and look.
"""

from __future__ import annotations

import hashlib
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

from botocore.exceptions import BotoCoreError, ClientError

import mrjob_pybundle
from mrjob_pybundle.aws import Credentials, error_code, explain, explained
from mrjob_pybundle.bundle import Bundle, BundleSpec, canonical_json
from mrjob_pybundle.cache import Cache, Claim, Status
from mrjob_pybundle.errors import BuildError
from mrjob_pybundle.inputs import pack
from mrjob_pybundle.progress import BuildProgress
from mrjob_pybundle.sources import Source, fetched
from mrjob_pybundle.templates import read_template, render

log = logging.getLogger("mrjob.pybundle")

#: RunJobFlow comes right after the claim. A claim without a cluster that is older belongs to nobody.
_CLAIM_GRACE_SECONDS = 120

_ENDED = ("TERMINATING", "TERMINATED", "TERMINATED_WITH_ERRORS")
_LOG_LINES_SHOWN = 20


@dataclass(frozen=True)
class Order:
    """What is to be built, and how."""

    spec: BundleSpec
    source: Source
    venv_build: Path | None
    #: name below ``files/`` → file
    build_files: Mapping[str, Path]
    owner: str
    timeout_minutes: int
    rebuild: bool
    #: gives RunJobFlow's parameters that a build cluster shares with the job's; called only for a build
    cluster: Callable[[], Mapping[str, Any]]
    instance_type: str
    #: of the cluster, in RunJobFlow itself
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Clients:
    """boto3 clients, and how often they may ask (seconds)."""

    credentials: Credentials
    s3: Any
    s3_poll_seconds: float
    emr_poll_seconds: float

    @cached_property
    def emr(self) -> Any:
        """Made when there is something to build: a warm start never asks EMR."""
        return self.credentials.emr_client()

    @cached_property
    def emr_without_retries(self) -> Any:
        """For RunJobFlow."""
        return self.credentials.emr_client(retries=False)

    @property
    def clusters(self) -> BuildClusters:
        """Build clusters, for who comes later."""
        return BuildClusters(self)


@dataclass(frozen=True)
class ClusterState:
    """``STARTING``, ``RUNNING``, …, and EMR's reason for it."""

    name: str
    reason: str = ""

    @property
    def has_ended(self) -> bool:
        return self.name in _ENDED


@dataclass(frozen=True)
class BuildClusters:
    """EMR, as far as watching and stopping builds needs it."""

    clients: Clients

    def find(self, build_id: str) -> str | None:
        """The id of the cluster that was launched for a build."""
        return _find_cluster(build_id, self.clients)

    def state(self, cluster_id: str) -> ClusterState:
        """The state of a cluster."""
        return ClusterState(*_cluster_state(cluster_id, self.clients))

    def terminate(self, cluster_id: str) -> None:
        """End a cluster."""
        with explained(f"ending cluster {cluster_id} (TerminateJobFlows)"):
            self.clients.emr.terminate_job_flows(JobFlowIds=[cluster_id])


@dataclass(frozen=True)
class _Gone:
    """The build's cluster has ended, and left no word of success or failure."""

    reason: str


def build_bundle(order: Order, cache: Cache, clients: Clients) -> Bundle:
    """The bundle of *order*, which was not in the cache: built by us, or by whoever is already building it.

    :raises BuildError: the build failed; the message has the stage and the end of the log.
    :raises CacheError: AWS said no.
    :raises OptionError: there is no such CPython source.
    """
    mine = Claim(build_id=_new_build_id(), owner=order.owner, since=time.time())
    # Looked at first: who may only use the cache can still wait for somebody else's build.
    claim = cache.read_claim(order.spec.key) or cache.claim(order.spec.key, mine)
    while claim.build_id != mine.build_id:
        bundle, claim = _join(claim, mine, order, cache, clients)
        if bundle is not None:
            return bundle
    return _build(claim, order, cache, clients)


def _new_build_id() -> str:
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:8]}"


# building


def _build(claim: Claim, order: Order, cache: Cache, clients: Clients) -> Bundle:
    launched = False
    try:
        # Whoever had the claim before us may have published since we looked.
        bundle = None if order.rebuild else cache.find(order.spec)
        if bundle is not None:
            return bundle
        request = _prepare(claim.build_id, order, cache, clients)
        cluster_id = _run_job_flow(request, claim.build_id, clients)
        launched = True
    finally:
        if not launched:
            cache.release_claim(order.spec.key, claim.build_id)
    log.info("Build %s: launched cluster %s (one %s)", claim.build_id, cluster_id, order.instance_type)
    claim = cache.replace_claim(order.spec.key, claim, replace(claim, cluster_id=cluster_id)) or replace(
        claim, cluster_id=cluster_id
    )
    outcome = _follow(claim, cache, clients)
    cache.release_claim(order.spec.key, claim.build_id)
    return _bundle_of(outcome, claim, order, cache)


def _prepare(build_id: str, order: Order, cache: Cache, clients: Clients) -> dict[str, Any]:
    """Put all that the build needs into S3, and say what cluster to launch."""
    python = None if order.rebuild else cache.find_python(order.spec.python)
    source_uri, source_sha256 = ("", "")
    if python is None:
        source_uri, source_sha256 = _stage_source(order.source, cache, clients)
    inputs = pack(order.venv_build, order.build_files)
    script = render(
        "build-binaries.sh.tmpl",
        {
            "BUILD_ID": build_id,
            "INPUTS_SHA256": hashlib.sha256(inputs).hexdigest(),
            "OWNER": order.owner,
            "PYBUNDLE_VERSION": mrjob_pybundle.__version__,
            "BUILD_URI": str(cache.build_dir(build_id)),
            "CACHE_URI": str(cache.root),
            "PYTHON_KEY": order.spec.python.key,
            "VENV_KEY": order.spec.key,
            "PYTHON_VERSION": order.spec.python.version,
            "SOURCE_URI": source_uri,
            "SOURCE_SHA256": source_sha256,
            "CONFIGURE_ARGS": order.spec.python.configure_args,
            "OPTIMIZE": "yes" if order.spec.python.optimize else "no",
            "OS_FAMILY": order.spec.python.os_family,
            "ARCH": order.spec.python.arch,
            "PYTHON_ARCHIVE_URI": str(cache.archive_uri("python", python)) if python else "",
            "PYTHON_ARCHIVE_SHA256": python.sha256 if python else "",
            "PYTHON_ARCHIVE_SIZE": str(python.size) if python else "",
            "TIMEOUT_MINUTES": str(order.timeout_minutes),
            "ACCELERATORS": order.spec.accelerators,
            "PYTHON_INPUTS": canonical_json(order.spec.python.inputs()),
            "VENV_INPUTS": canonical_json(order.spec.inputs()),
            "REBUILD": "yes" if order.rebuild else "no",
            "BUCKET_OWNER": cache.bucket_owner or "",
        },
    )
    content = script.encode("utf-8")
    cache.put_build_file(build_id, "inputs.tar.gz", inputs)
    script_uri = cache.put_build_file(build_id, "build-binaries.sh", content)
    return cluster_request(order, build_id, [str(script_uri), hashlib.sha256(content).hexdigest()])


def _stage_source(source: Source, cache: Cache, clients: Clients) -> tuple[str, str]:
    if source.sha256:
        staged = cache.find_source(source.sha256, source.file_name)
        if staged is not None:
            return str(staged), source.sha256
    log.info("Getting %s", source.location)
    with fetched(source, clients.s3) as (path, sha256):
        return str(cache.stage_source(path, sha256, source.file_name)), sha256


def cluster_request(order: Order, build_id: str, step_args: list[str]) -> dict[str, Any]:
    """RunJobFlow's parameters for a build: one master, one step, and it ends by itself.

    *order.cluster* has what it shares with the job's cluster. (A person who sets ``extra_cluster_params`` may have
    anything in there, so what makes it a build cluster is set last.)
    """
    request = deepcopy(dict(order.cluster()))
    instances = request.setdefault("Instances", {})
    for name in (
        "InstanceGroups",
        "InstanceFleets",
        "MasterInstanceType",
        "SlaveInstanceType",
        "InstanceCount",
    ):
        instances.pop(name, None)
    if "Ec2SubnetIds" in instances:  # only instance fleets take several subnets
        instances["InstanceFleets"] = [
            {
                "InstanceFleetType": "MASTER",
                "TargetOnDemandCapacity": 1,
                "InstanceTypeConfigs": [{"InstanceType": order.instance_type}],
            }
        ]
    else:
        instances["InstanceGroups"] = [
            {
                "InstanceRole": "MASTER",
                "InstanceType": order.instance_type,
                "InstanceCount": 1,
                "Market": "ON_DEMAND",
            }
        ]
    instances["KeepJobFlowAliveWhenNoSteps"] = False
    instances["TerminationProtected"] = False
    for name in ("AutoTerminationPolicy", "ManagedScalingPolicy", "AutoScalingRole", "StepConcurrencyLevel"):
        request.pop(name, None)
    tags = {tag["Key"]: tag["Value"] for tag in request.pop("Tags", ())}
    tags.update(order.tags, **{"mrjob-pybundle-build": build_id, "mrjob-pybundle-owner": order.owner})
    request.update(
        Name=f"mrjob-pybundle build {build_id}",
        Applications=[{"Name": "Hadoop"}],
        BootstrapActions=[],
        Steps=[
            {
                "Name": "build-binaries.sh",
                "ActionOnFailure": "TERMINATE_CLUSTER",
                "HadoopJarStep": {
                    "Jar": "command-runner.jar",
                    "Args": ["bash", "-c", read_template("fetch-and-run.sh"), "build", *step_args],
                },
            }
        ],
        Tags=[{"Key": key, "Value": value} for key, value in sorted(tags.items())],
        VisibleToAllUsers=True,
    )
    return request


def _run_job_flow(request: Mapping[str, Any], build_id: str, clients: Clients) -> str:
    """Launch, once. After an answer that leaves it open whether we have, look for the cluster by its name."""
    doing = "launching a build cluster (RunJobFlow)"
    try:
        return str(clients.emr_without_retries.run_job_flow(**request)["JobFlowId"])
    except ClientError as error:
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500) < 500:
            raise explain(error, doing) from error
        ambiguous: Exception = error
    except BotoCoreError as error:
        ambiguous = error
    cluster_id = _find_cluster(build_id, clients)
    if cluster_id is None:
        raise explain(ambiguous, doing) from ambiguous
    return cluster_id


def _find_cluster(build_id: str, clients: Clients) -> str | None:
    """The cluster that was launched for a build. Build ids begin with when they were made."""
    with explained("looking for a build's cluster (ListClusters)"):
        for page in clients.emr.get_paginator("list_clusters").paginate():
            for cluster in page["Clusters"]:
                if cluster["Name"].endswith(build_id):
                    return str(cluster["Id"])
    return None


# watching


def _join(claim: Claim, mine: Claim, order: Order, cache: Cache, clients: Clients) -> tuple[Bundle | None, Claim]:
    """Wait for another author's build, or take its claim over if there is nothing to wait for."""
    if not _is_over(claim, cache, clients):
        log.info("%s is already building this bundle (build %s): waiting for it", claim.owner, claim.build_id)
        followed = _with_cluster(claim, order.spec.key, cache, clients)
        if followed is not None:
            outcome = _follow(followed, cache, clients)
            if not isinstance(outcome, _Gone):
                return _bundle_of(outcome, followed, order, cache), followed
    bundle = None if order.rebuild else cache.find(order.spec)
    if bundle is not None:
        return bundle, claim
    current = cache.read_claim(order.spec.key)
    if current is None or current.build_id != claim.build_id:
        return None, cache.claim(order.spec.key, mine)
    log.info("Build %s of %s has ended without a bundle: starting another", claim.build_id, claim.owner)
    taken = cache.replace_claim(order.spec.key, current, replace(mine, since=time.time()))
    return None, taken or cache.claim(order.spec.key, mine)


def _is_over(claim: Claim, cache: Cache, clients: Clients) -> bool:
    """Had that build ended before we came? Then its outcome is not ours, and we try again."""
    status = cache.status(claim.build_id)
    if status is not None and status.state != "RUNNING":
        return True
    return claim.cluster_id is not None and _cluster_state(claim.cluster_id, clients)[0] in _ENDED


def _with_cluster(claim: Claim, key: str, cache: Cache, clients: Clients) -> Claim | None:
    """*claim*, once it has a cluster. ``None`` if it never gets one: its author died right after claiming."""
    while claim.cluster_id is None:
        if time.time() - claim.since > _CLAIM_GRACE_SECONDS:
            cluster_id = _find_cluster(claim.build_id, clients)
            return replace(claim, cluster_id=cluster_id) if cluster_id else None
        time.sleep(clients.s3_poll_seconds)
        current = cache.read_claim(key)
        if current is None or current.build_id != claim.build_id:
            return None
        claim = current
    return claim


def _follow(claim: Claim, cache: Cache, clients: Clients) -> Status | _Gone:
    """Show what the master says until the build has ended."""
    assert claim.cluster_id is not None
    shown = 0
    cluster_state, reason = "STARTING", ""
    asked_emr = time.monotonic()
    try:
        with BuildProgress(claim.build_id, claim.cluster_id) as progress:
            while True:
                status = cache.status(claim.build_id)
                if status is not None:
                    news = cache.read_log(claim.build_id, shown, status.log_size)
                    shown += len(news)
                    progress.show(status, news)
                    if status.state != "RUNNING":
                        return status
                else:
                    progress.waiting_for_cluster(cluster_state)
                if cluster_state in _ENDED:
                    return _Gone(reason)
                if time.monotonic() - asked_emr >= clients.emr_poll_seconds:
                    # Looked at before the next status is read: a cluster that has ended says nothing more.
                    cluster_state, reason = _cluster_state(claim.cluster_id, clients)
                    asked_emr = time.monotonic()
                else:
                    time.sleep(clients.s3_poll_seconds)
    except KeyboardInterrupt:
        log.warning(
            "The build goes on in cluster %s. Run the job again to join it; to stop it:"
            " aws emr terminate-clusters --cluster-ids %s",
            claim.cluster_id,
            claim.cluster_id,
        )
        raise


def _cluster_state(cluster_id: str, clients: Clients) -> tuple[str, str]:
    """State of a cluster, and EMR's reason for it. A cluster that EMR doesn't know has ended long ago."""
    doing = f"asking for the state of cluster {cluster_id} (DescribeCluster)"
    try:
        cluster_status = clients.emr.describe_cluster(ClusterId=cluster_id)["Cluster"]["Status"]
    except ClientError as error:
        if error_code(error) == "InvalidRequestException":
            return "TERMINATED", "EMR does not know it"
        raise explain(error, doing) from error
    except BotoCoreError as error:
        raise explain(error, doing) from error
    return cluster_status["State"], cluster_status.get("StateChangeReason", {}).get("Message") or ""


def _bundle_of(outcome: Status | _Gone, claim: Claim, order: Order, cache: Cache) -> Bundle:
    if isinstance(outcome, _Gone):
        raise BuildError(
            f"Build cluster {claim.cluster_id} ended without a word of success or failure:"
            f" {outcome.reason or 'EMR gives no reason'}. Its log, as far as it got:"
            f" {cache.build_dir(claim.build_id) / 'log.txt'}"
        )
    if outcome.state != "SUCCEEDED":
        _fail(outcome, claim, cache)
    bundle = cache.find(order.spec)
    if bundle is None:
        raise BuildError(f"Build {claim.build_id} succeeded, but its bundle is not in {cache.root}. Was it deleted?")
    return bundle


def _fail(status: Status, claim: Claim, cache: Cache) -> NoReturn:
    tail = cache.read_log(claim.build_id, max(0, status.log_size - 16384), status.log_size)
    lines = tail.decode("utf-8", "replace").splitlines()[-_LOG_LINES_SHOWN:]
    shown = "\n".join(f"    {line}" for line in lines)
    raise BuildError(
        f"Building the bundle failed in stage {status.stage}: {status.message or 'no message'}"
        f" (exit status {status.exit_status}). The end of its log:\n{shown}\n"
        f"The whole log: {cache.build_dir(claim.build_id) / 'log.txt'}"
    )


def follow(claim: Claim, cache: Cache, clients: Clients) -> Status:
    """Show what the master says until the build has ended, and return its last word."""
    outcome = _follow(claim, cache, clients)
    if isinstance(outcome, Status):
        return outcome
    now = time.time()
    message = f"its cluster {claim.cluster_id} ended: {outcome.reason or 'EMR gives no reason'}"
    last = cache.status(claim.build_id) or Status("FAILED", "start of the cluster", now, now, 0, {}, None, None)
    return replace(last, state="FAILED", message=message)
