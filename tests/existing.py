"""Clusters that never saw a bundle, and what jobs that bring one along make them do."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.line.conftest import Line


@contextmanager
def cluster_without_bundle(
    line: Line, instance_types: tuple[str, str] = ("m5.xlarge", "m5.xlarge"), **params: Any
) -> Iterator[str]:
    """A cluster of a master and two core nodes that waits for steps and has run no bootstrap action."""
    groups = [
        {"InstanceRole": role, "InstanceType": instance_type, "InstanceCount": count}
        for role, instance_type, count in zip(("MASTER", "CORE"), instance_types, (1, 2), strict=True)
    ]
    emr = line.client("emr")
    cluster_id = emr.run_job_flow(
        **{"Name": "theirs", "ReleaseLabel": "emr-7.14.0", "LogUri": "s3://the-team/logs/", **params},
        Instances={"KeepJobFlowAliveWhenNoSteps": True, "InstanceGroups": groups},
    )["JobFlowId"]
    try:
        yield cluster_id
    finally:
        emr.terminate_job_flows(JobFlowIds=[cluster_id])


def fetched_archives(line: Line, since: int) -> list[str]:
    """Keys of the archives that clusters of jobs have fetched (no build cluster), in order."""
    return [
        request.key
        for request in line.requests[since:]
        if request.operation == "GetObject"
        and request.key.endswith(".tar.gz")
        and request.access_key_id.startswith("role-")
        and "BundleBuilder" not in request.access_key_id
    ]


def unpackings(line: Line, cluster_id: str) -> list[str]:
    """What tasks have said of unpacking, in all of a cluster's containers."""
    said = []
    for key in line.objects():
        if key.startswith(f"logs/{cluster_id}/containers/") and key.endswith("stderr.gz"):
            text = gzip.decompress(line.read(key)).decode()
            said += [words for words in text.splitlines() if "unpacked the bundle" in words]
    return said
