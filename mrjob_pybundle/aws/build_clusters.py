"""The EMR cluster that a build runs on: what is asked of EMR to launch it, to find it again, and to end it."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import cached_property
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, SSLError

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
from mrjob_pybundle.errors import CacheError
from mrjob_pybundle.templates import read_template

log = logging.getLogger("mrjob.pybundle")

#: How often EMR is asked to launch before its refusal is passed on.
_LAUNCH_TRIES = 6

#: A cluster that was just launched need not be listed yet. When its launch was not confirmed, it is looked for
#: after pauses of these many seconds.
_LISTING_PAUSES = (0, 1, 2, 4, 8, 15)


@dataclass(frozen=True)
class ClusterState:
    """``STARTING``, ``RUNNING``, …, and EMR's reason for it."""

    name: str
    reason: str = ""

    @property
    def has_ended(self) -> bool:
        return self.name in ("TERMINATING", "TERMINATED", "TERMINATED_WITH_ERRORS")


class LaunchUnclearError(CacheError):
    """Nobody knows whether EMR has launched the cluster."""


class BuildClusters:
    """EMR, as far as builds need it. Every method raises :class:`CacheError` when EMR says no."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    # Made when there is something to build: a warm start never asks EMR.

    @cached_property
    def _emr(self) -> Any:
        return self._credentials.emr_client()

    @cached_property
    def _emr_without_retries(self) -> Any:
        return self._credentials.emr_client(retries=False)

    def launch(self, request: Mapping[str, Any], build_id: str) -> str:
        """Launch the cluster of a build, once, and return its id.

        RunJobFlow has no idempotency token. It is sent again only where EMR cannot have heard of it or has
        refused it unread; after an answer that leaves that open, the cluster is looked for by its name.

        :raises LaunchUnclearError: and is not to be found.
        """
        doing = "launching a build cluster (RunJobFlow)"
        for attempt in range(1, _LAUNCH_TRIES + 1):
            try:
                return str(self._emr_without_retries.run_job_flow(**request)["JobFlowId"])
            except (BotoCoreError, ClientError) as error:
                if not _was_refused(error):
                    return self._find_launched(build_id, error)
                if not may_pass(error) or attempt == _LAUNCH_TRIES:
                    raise explain(error, doing) from error
            time.sleep(random.uniform(0.5, 1) * 2**attempt / 2)
        raise AssertionError("unreachable")

    def _find_launched(self, build_id: str, error: Exception) -> str:
        log.info("EMR's answer to RunJobFlow got lost: looking for the cluster of build %s", build_id)
        for pause in _LISTING_PAUSES:
            time.sleep(pause)
            cluster_id = self.find(build_id)
            if cluster_id is not None:
                return cluster_id
        raise LaunchUnclearError(
            f"EMR did not say whether it has launched the cluster of build {build_id}, and does not list it"
            f" ({' '.join(str(error).split())}). Run the job again in a few minutes: it joins that build if it runs by"
            " then, and starts one if not."
        ) from error

    def find(self, build_id: str) -> str | None:
        """The id of the cluster that was launched for a build, by the build id at the end of its name."""
        created = datetime.strptime(build_id[:15], "%Y%m%d-%H%M%S").replace(tzinfo=timezone.utc)
        # Build ids are made by submitters' clocks, which need not be right to the minute.
        since = created - timedelta(days=1)
        with explained("looking for a build's cluster (ListClusters)"):
            for page in self._emr.get_paginator("list_clusters").paginate(CreatedAfter=since):
                for cluster in page["Clusters"]:
                    if cluster["Name"].endswith(build_id):
                        return str(cluster["Id"])
        return None

    def state(self, cluster_id: str) -> ClusterState:
        """The state of a cluster. One that EMR does not know has ended long ago."""
        cluster = self._describe(cluster_id)
        if cluster is None:
            return ClusterState("TERMINATED", "EMR does not know it")
        status = cluster["Status"]
        return ClusterState(status["State"], status.get("StateChangeReason", {}).get("Message") or "")

    def is_of(self, cluster_id: str, build_id: str) -> bool:
        """Was the cluster launched for that build? (Or EMR does not know it any more.)"""
        cluster = self._describe(cluster_id)
        return cluster is None or str(cluster["Name"]).endswith(build_id)

    def _describe(self, cluster_id: str) -> Any:
        doing = f"asking for the state of cluster {cluster_id} (DescribeCluster)"
        with explained(doing):
            try:
                return self._emr.describe_cluster(ClusterId=cluster_id)["Cluster"]
            except ClientError as error:
                if error_code(error) == "InvalidRequestException":
                    return None
                raise

    def terminate(self, cluster_id: str) -> None:
        """End a cluster."""
        with explained(f"ending cluster {cluster_id} (TerminateJobFlows)"):
            self._emr.terminate_job_flows(JobFlowIds=[cluster_id])


def _was_refused(error: Exception) -> bool:
    """Is it certain that EMR has not done what it was asked for?"""
    if isinstance(error, ClientError):
        return 0 < http_status(error) < 500 and error_code(error) not in INTERNAL
    if isinstance(error, SSLError):
        return is_about_certificates(error)
    # Nothing was sent, for want of a connection, of credentials, of a parameter…
    return not isinstance(error, HTTPClientError)


def cluster_request(
    shared: Mapping[str, Any],
    build_id: str,
    step_args: list[str],
    *,
    instance_type: str,
    owner: str,
    tags: Mapping[str, str],
) -> dict[str, Any]:
    """RunJobFlow's parameters for a build: one master, one step, and it ends by itself.

    *shared* has what it shares with the job's cluster. (A person who sets ``extra_cluster_params`` may have
    anything in there, so what makes it a build cluster is set last.)
    """
    request = deepcopy(dict(shared))
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
                "InstanceTypeConfigs": [{"InstanceType": instance_type}],
            }
        ]
    else:
        instances["InstanceGroups"] = [
            {"InstanceRole": "MASTER", "InstanceType": instance_type, "InstanceCount": 1, "Market": "ON_DEMAND"}
        ]
    instances["KeepJobFlowAliveWhenNoSteps"] = False
    instances["TerminationProtected"] = False
    for name in ("AutoTerminationPolicy", "ManagedScalingPolicy", "AutoScalingRole", "StepConcurrencyLevel"):
        request.pop(name, None)
    all_tags = {tag["Key"]: tag["Value"] for tag in request.pop("Tags", ())}
    all_tags.update(tags, **{"mrjob-pybundle-build": build_id, "mrjob-pybundle-owner": owner})
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
                    "Args": ["bash", "-c", read_template("master/fetch-and-run.sh"), "build", *step_args],
                },
            }
        ],
        Tags=[{"Key": key, "Value": value} for key, value in sorted(all_tags.items())],
        VisibleToAllUsers=True,
    )
    return request
