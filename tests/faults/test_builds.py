"""Attempts to build whose claim gets lost, by real authors on a sandbox. The builds fail soon: their source is none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.cache.cache import Cache
from mrjob_pybundle.sandbox import BUCKET
from mrjob_pybundle.sandbox.api.faults import Do, Rule
from tests.faults.conftest import Aws
from tests.tarballs import source_tarball

FAILED = "Building the bundle failed in stage "


def _build(aws: Aws, tmp_path: Path, who: str) -> subprocess.Popen[str]:
    source = tmp_path / "Python-3.13.5.tar.xz"
    source.write_bytes(source_tarball(note=str(tmp_path)))
    switches = ["--pybundle-python-version", "3.13.5", "--pybundle-python-source", str(source)]
    return subprocess.Popen(
        [sys.executable, "-m", "mrjob_pybundle", "build", "--check-cluster-every", "0.2", "--owner", who, *switches],
        env={**aws.sandbox.environment, "AWS_ACCESS_KEY_ID": who},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )


def test_a_second_attempt_is_another_build(aws: Aws, tmp_path: Path) -> None:
    """Ada prepares a build. Her claim gets lost, Grace builds meanwhile, in vain; then Ada tries once more."""
    cache = Cache(S3Uri(BUCKET, "pybundle"), aws.s3)
    logs: list[str] = []

    def lose_claim_and_let_another_build(_: Any) -> None:
        for claim in cache.store.objects("claims/"):
            cache.store.delete(claim.name)
        logs.append(_build(aws, tmp_path, "grace").communicate()[1])

    before = {cluster["Id"] for cluster in aws.emr.list_clusters()["Clusters"]}
    lost = Rule("PutObject", Do(lose_claim_and_let_another_build), key="*/build-binaries.sh", who="ada", times=1)
    with aws.faults.injected(lost):
        logs.append(_build(aws, tmp_path, "ada").communicate()[1])
    assert all(FAILED in log for log in logs), logs
    inputs: dict[str, set[str]] = {}
    for stored in cache.store.objects("builds/"):
        _, build_id, name = stored.name.split("/")
        inputs.setdefault(build_id, set()).add(name)
    launched = {
        cluster["Name"].removeprefix("mrjob-pybundle build ")
        for cluster in aws.emr.list_clusters()["Clusters"]
        if cluster["Id"] not in before
    }
    (given_up,) = inputs.keys() - launched
    assert len(launched) == 2
    assert inputs[given_up] == {"inputs.tar.gz", "build-binaries.sh"}, "nobody has run it"
    for build_id in launched:
        assert {"log.txt", "status.json"} <= inputs[build_id]
        assert build_id.encode() in (cache.store.read(f"builds/{build_id}/build-binaries.sh") or b"")
        assert json.loads(cache.store.read(f"builds/{build_id}/status.json") or b"")["state"] == "FAILED"
    assert list(cache.store.objects("claims/")) == []
