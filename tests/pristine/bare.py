"""Nodes that no bundle has come to yet, and the bundles that their bootstrap actions bring."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.bundle.spec import Archive, Bundle
from mrjob_pybundle.cache.cache import Cache
from mrjob_pybundle.nodes.bootstrap import bootstrap_arguments, bootstrap_script
from tests.line.conftest import Line


@contextmanager
def bare_cluster(line: Line, image_id: str | None = None) -> Iterator[str]:
    """A cluster of one node, without bootstrap actions, that waits for steps."""
    emr = line.client("emr")
    cluster = emr.run_job_flow(
        Name="bare",
        ReleaseLabel="emr-7.14.0",
        **({"CustomAmiId": image_id} if image_id else {}),
        Instances={"InstanceCount": 1, "MasterInstanceType": "m5.xlarge", "KeepJobFlowAliveWhenNoSteps": True},
    )["JobFlowId"]
    try:
        emr.get_waiter("cluster_running").wait(ClusterId=cluster, WaiterConfig={"Delay": 1})
        yield cluster
    finally:
        emr.terminate_job_flows(JobFlowIds=[cluster])


def bundle_in_cache(line: Line, cache: S3Uri, *switches: object) -> Bundle:
    """The bundle that jobs with these switches have, as its manifest in the *cache* describes it."""
    keys = line.run("-m", "mrjob_pybundle", "key", *switches)
    described = json.loads(keys.stdout)
    key, arch = described["venv"]["key"], described["python"]["inputs"]["arch"]
    manifest = json.loads(line.read(f"{cache.key}/v1/venv/{key}/manifest.json", cache.bucket))

    def archive(key: str, described: dict[str, Any]) -> Archive:
        sizes = described["size"], described["unpacked_size"]
        return Archive(key, described["sha256"], *sizes, tuple(described["needs"]))

    return Bundle(archive(manifest["python"]["key"], manifest["python"]), archive(key, manifest["archive"]), arch)


def bootstrap(node: Any, bundle: Bundle, cache: S3Uri) -> subprocess.CompletedProcess[str]:
    """Run the bundle's bootstrap action on a node."""
    arguments = bootstrap_arguments(bundle, Cache(cache, None), "us-east-1")
    command = ["bash", "-c", bootstrap_script(bundle), "bootstrap", *arguments]
    process = node.popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate()
    return subprocess.CompletedProcess(command, process.returncode, out.decode(), err.decode())
