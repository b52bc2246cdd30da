"""Clusters that are already there: what EMR says of them decides which bundle a job on them needs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from mrjob_pybundle.aws.errors import error_code, explained
from mrjob_pybundle.errors import OptionError

_ENDED = ("TERMINATING", "TERMINATED", "TERMINATED_WITH_ERRORS")


@dataclass(frozen=True)
class Machines:
    """What a cluster is made of, as far as it decides on the bundle."""

    #: such as ``emr-7.14.0``
    release_label: str
    #: id of a custom AMI, ``None`` without one
    image_id: str | None
    #: of all instances that it has or may get
    instance_types: tuple[str, ...]


@dataclass(frozen=True)
class ExistingCluster:
    """A cluster that can take a job's steps."""

    id: str
    machines: Machines
    #: of its bootstrap actions, without directories
    script_names: frozenset[str]


def read_cluster(cluster_id: str, emr_client: Any) -> ExistingCluster:
    """Ask EMR (DescribeCluster, ListInstanceGroups or ListInstanceFleets, ListBootstrapActions) about a cluster.

    :raises OptionError: there is none of that id, or it has ended.
    :raises CacheError: EMR did not say.
    """
    with explained(f"asking about cluster {cluster_id}"):
        try:
            cluster = emr_client.describe_cluster(ClusterId=cluster_id)["Cluster"]
        except ClientError as error:
            if error_code(error) not in ("InvalidRequestException", "ValidationException"):
                raise
            raise OptionError(f"There is no cluster {cluster_id} in {emr_client.meta.region_name}.") from error
        state = cluster["Status"]["State"]
        if state in _ENDED:
            raise OptionError(f"Cluster {cluster_id} takes no more jobs: it is {state}.")
        actions = _all(emr_client, "list_bootstrap_actions", "BootstrapActions", cluster_id)
        if cluster.get("InstanceCollectionType") == "INSTANCE_FLEET":
            instance_types = types_of_fleets(_all(emr_client, "list_instance_fleets", "InstanceFleets", cluster_id))
        else:
            groups = _all(emr_client, "list_instance_groups", "InstanceGroups", cluster_id)
            instance_types = tuple(group["InstanceType"] for group in groups)
    return ExistingCluster(
        cluster_id,
        Machines(
            # Clusters of before EMR 4 have the version of their AMI instead.
            cluster.get("ReleaseLabel") or f"ami-{cluster.get('RunningAmiVersion')}",
            cluster.get("CustomAmiId"),
            instance_types,
        ),
        frozenset(action["ScriptPath"].split("/")[-1] for action in actions),
    )


def types_of_fleets(fleets: Iterable[dict[str, Any]]) -> tuple[str, ...]:
    """The instance types that *fleets* (ListInstanceFleets' ``InstanceFleets``) may have."""
    return tuple(spec["InstanceType"] for fleet in fleets for spec in fleet["InstanceTypeSpecifications"])


def _all(emr_client: Any, operation: str, section: str, cluster_id: str) -> list[dict[str, Any]]:
    pages = emr_client.get_paginator(operation).paginate(ClusterId=cluster_id)
    return [item for page in pages for item in page[section]]
