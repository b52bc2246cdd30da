"""Which jobs' clusters may wait for their steps, and how."""

from __future__ import annotations

from typing import Any

import pytest

from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.job import last_build
from mrjob_pybundle.job.waiting import Waiting, count_instances, obstacle

PLAIN: dict[str, Any] = {
    "cluster_id": None,
    "pool_clusters": False,
    "max_concurrent_steps": 1,
}


@pytest.mark.parametrize(
    ("opts", "asked", "commands", "says"),
    [
        ({}, {}, "python mr_job.py", None),
        ({}, {"Instances": {"Ec2SubnetId": "subnet-1"}, "Steps": []}, "", None),
        ({"cluster_id": "j-1"}, {}, "", "exists already"),
        ({"pool_clusters": True}, {}, "", "exists already"),
        ({"max_concurrent_steps": 2}, {}, "", "several steps at once"),
        ({}, {"StepConcurrencyLevel": 3}, "", "several steps at once"),
        ({}, {"Steps": [{"Name": "theirs"}]}, "", "Steps"),
        ({}, {"AutoTerminationPolicy": {"IdleTimeout": 60}}, "", "AutoTerminationPolicy"),
        ({}, {"Instances": {"TerminationProtected": True}}, "", "Instances.TerminationProtected"),
        ({}, {"Instances": {"KeepJobFlowAliveWhenNoSteps": True}}, "", "Instances.KeepJobFlowAliveWhenNoSteps"),
        ({}, {"SecurityConfiguration": "ours"}, "", "SecurityConfiguration"),
        ({}, {}, "sudo cp -r /opt/pybundle/*/venv /home", "/opt/pybundle"),
    ],
)
def test_obstacles(opts: dict[str, Any], asked: dict[str, Any], commands: str, says: str | None) -> None:
    found = obstacle({**PLAIN, **opts}, asked, commands)
    assert (found is None) == (says is None)
    assert says is None or says in str(found)


@pytest.mark.parametrize(
    ("instances", "count"),
    [
        ({"InstanceGroups": [{"InstanceRole": "MASTER", "InstanceCount": 1}, {"InstanceCount": 9}]}, 10),
        ({"InstanceFleets": [{"TargetOnDemandCapacity": 1}, {"TargetSpotCapacity": 2}]}, 3),
        ({"MasterInstanceType": "m5.xlarge", "InstanceCount": 3}, 3),
        ({}, 0),
    ],
)  # fmt: skip
def test_counting_instances(instances: dict[str, Any], count: int) -> None:
    assert count_instances({"Instances": instances}) == count


def test_four_requests_a_minute() -> None:
    """A sign of life every two minutes, a look for it every 17 seconds, where nobody has set another patience."""
    step = Waiting(S3Uri("bucket", "tmp/job/submitter"), "eu-south-1", silence=600, limit=7200).step()
    assert step["ActionOnFailure"] == "TERMINATE_CLUSTER"
    arguments = step["HadoopJarStep"]["Args"]
    assert arguments[-5:] == ["s3://bucket/tmp/job/submitter", "17", "600", "7200", "eu-south-1"]


def test_a_failed_build_is_remembered(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    here, elsewhere = S3Uri("bucket", "a"), S3Uri("bucket", "b")
    assert not last_build.has_failed(here)
    last_build.note_failure(here)
    assert last_build.has_failed(here)
    assert not last_build.has_failed(elsewhere)
    last_build.note_success(here)
    last_build.note_success(here)
    assert not last_build.has_failed(here)


@pytest.mark.parametrize("has_home", [True, False])
def test_where_nothing_can_be_remembered(monkeypatch: pytest.MonkeyPatch, tmp_path: Any, has_home: bool) -> None:
    (tmp_path / "file").touch()
    if has_home:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file" / "cache"))
    else:
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.delenv("HOME")
        monkeypatch.setattr("os.getuid", lambda: 54321)
    last_build.note_failure(S3Uri("bucket", "a"))
    last_build.note_success(S3Uri("bucket", "a"))
    assert not last_build.has_failed(S3Uri("bucket", "a"))
