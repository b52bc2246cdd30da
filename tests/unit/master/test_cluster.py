"""The request for a build cluster: whatever the job's cluster is like, one master that ends by itself."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from mrjob_pybundle.master.cluster import cluster_request
from mrjob_pybundle.templates import read_template

JOBS_CLUSTER: dict[str, Any] = {
    "LogUri": "s3://my-bucket/logs/",
    "ReleaseLabel": "emr-7.14.0",
    "JobFlowRole": "builders",
    "ServiceRole": "EMR_DefaultRole",
    "Instances": {"Ec2KeyName": "mine", "Ec2SubnetId": "subnet-1"},
    "SecurityConfiguration": "encrypted",
    "Tags": [{"Key": "team", "Value": "data"}],
}


def _request(cluster: dict[str, Any]) -> dict[str, Any]:
    request = cluster_request(
        cluster,
        "20261122-101112-abcdef12",
        ["s3://my-bucket/build.sh", "00" * 32],
        instance_type="c5.4xlarge",
        owner="ada",
        tags={"cost-center": "42"},
    )
    shape = botocore.session.get_session().get_service_model("emr").operation_model("RunJobFlow").input_shape
    report = ParamValidator().validate(request, shape)
    assert not report.has_errors(), report.generate_report()
    return request


def test_it_takes_after_the_jobs_cluster() -> None:
    request = _request(JOBS_CLUSTER)
    for name in ("LogUri", "ReleaseLabel", "JobFlowRole", "ServiceRole", "SecurityConfiguration"):
        assert request[name] == JOBS_CLUSTER[name]
    assert request["Instances"]["Ec2SubnetId"] == "subnet-1"
    assert request["Instances"]["Ec2KeyName"] == "mine"


def test_it_is_one_on_demand_master_with_one_step_and_ends_by_itself() -> None:
    request = _request(JOBS_CLUSTER)
    (group,) = request["Instances"]["InstanceGroups"]
    assert (group["InstanceRole"], group["InstanceCount"], group["Market"]) == ("MASTER", 1, "ON_DEMAND")
    assert group["InstanceType"] == "c5.4xlarge"
    (step,) = request["Steps"]
    assert step["ActionOnFailure"] == "TERMINATE_CLUSTER"
    assert request["Instances"]["KeepJobFlowAliveWhenNoSteps"] is False
    assert request["BootstrapActions"] == []
    assert sum(map(len, step["HadoopJarStep"]["Args"])) < 10_240


def test_it_is_found_by_name_and_tags() -> None:
    request = _request(JOBS_CLUSTER)
    assert request["Name"] == "mrjob-pybundle build 20261122-101112-abcdef12"
    assert {tag["Key"]: tag["Value"] for tag in request["Tags"]} == {
        "team": "data",
        "cost-center": "42",
        "mrjob-pybundle-build": "20261122-101112-abcdef12",
        "mrjob-pybundle-owner": "ada",
    }


def test_several_subnets_make_an_instance_fleet() -> None:
    request = _request({**JOBS_CLUSTER, "Instances": {"Ec2SubnetIds": ["subnet-1", "subnet-2"]}})
    (fleet,) = request["Instances"]["InstanceFleets"]
    assert fleet["InstanceFleetType"] == "MASTER"
    assert fleet["TargetOnDemandCapacity"] == 1
    assert "InstanceGroups" not in request["Instances"]


@pytest.mark.parametrize(
    "instances",
    [
        {"KeepJobFlowAliveWhenNoSteps": True},
        {"TerminationProtected": True},
        {"InstanceCount": 20, "MasterInstanceType": "m5.xlarge", "SlaveInstanceType": "m5.xlarge"},
        {"InstanceFleets": [{"InstanceFleetType": "CORE", "TargetOnDemandCapacity": 9}]},
    ],
    ids=lambda instances: next(iter(instances)),
)
def test_no_parameter_of_the_jobs_makes_it_larger_or_live_longer(instances: dict[str, Any]) -> None:
    """People put anything into extra_cluster_params."""
    request = _request(
        {
            **JOBS_CLUSTER,
            "Instances": instances,
            "AutoTerminationPolicy": {"IdleTimeout": 60},
            "StepConcurrencyLevel": 10,
            "Steps": [],
            "BootstrapActions": [{"Name": "x", "ScriptBootstrapAction": {"Path": "s3://x/y"}}],
        }
    )
    assert request == _request({**JOBS_CLUSTER, "Instances": {}})


def test_what_the_job_asked_for_is_not_changed() -> None:
    cluster = {**JOBS_CLUSTER, "Instances": {"InstanceCount": 3}}
    _request(cluster)
    assert cluster["Instances"] == {"InstanceCount": 3}


def test_the_step_runs_only_the_script_that_was_put_there(tmp_path: Path) -> None:
    """An ``aws`` that copies local files stands in for the AWS CLI; the digest is the real thing."""
    aws = tmp_path / "bin" / "aws"
    aws.parent.mkdir()
    aws.write_text('#!/bin/sh\ncp "$4" "$5"\n')
    aws.chmod(0o755)
    script = tmp_path / "a script.sh"
    script.write_text("echo ran\n")
    digest = subprocess.run(["sha256sum", script], capture_output=True, text=True, check=True).stdout.split()[0]

    def step(sha256: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", read_template("master/fetch-and-run.sh"), "build", script, sha256],
            env={"PATH": f"{aws.parent}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
        )

    assert step(digest).stdout == "ran\n"
    swapped = step("0" * 64)
    assert swapped.returncode != 0
    assert swapped.stdout.count("ran") == 0
