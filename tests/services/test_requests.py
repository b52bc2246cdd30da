"""What EMR is asked for when options and ``extra_cluster_params`` disagree: of both clusters, and the key.

Jobs and commands ask over HTTP; RunJobFlow is refused, and what it was asked for is kept.
"""

from __future__ import annotations

import importlib
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from mrjob_pybundle.aws.requests import SHARED, SHARED_OF_INSTANCES
from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.errors import OptionError, PyBundleError
from mrjob_pybundle.sandbox.api.requests import describe
from mrjob_pybundle.sandbox.api.server import Server
from tests.options_table import DOCUMENT
from tests.services.test_clusters import launch_plain_cluster
from tests.tarballs import source_tarball
from tests.team import Output, Team

GRAVITON = [{"InstanceRole": "MASTER", "InstanceType": "m6g.xlarge", "InstanceCount": 1}]
X86 = [{**GRAVITON[0], "InstanceType": "m5.xlarge"}]


class Asked(Team):
    """A team whose EMR launches nothing, and what it was asked to launch."""

    requests: list[dict[str, Any]]
    version = "3.13.5"

    def switches_for(self, extra: dict[str, Any], *more: str) -> list[str]:
        source = self.directory / "Python-3.13.5.tar.xz"
        source.write_bytes(source_tarball(self.version))
        params = [f"--extra-cluster-param={name}={json.dumps(value)}" for name, value in extra.items()]
        version = ["--pybundle-python-version", self.version]
        return ["--pybundle-python-source", str(source), *version, *params, *more]

    def build(self, extra: dict[str, Any], *more: str) -> dict[str, Any]:
        """The request for the build cluster of a bundle that nobody has built."""
        built = self.run("build", *self.switches_for(extra, *more))
        assert "no cluster for a test" in built.err, built.err
        return self.requests.pop()

    def refused(self, extra: dict[str, Any], *more: str, command: str = "build") -> Output:
        ended = self.run(command, *self.switches_for(extra, *more))
        assert (ended.status, self.requests) == (2, []), ended.err
        return ended

    def python(self, extra: dict[str, Any], *more: str) -> dict[str, Any]:
        """What the python key is made of."""
        inputs: dict[str, Any] = json.loads(self.run("key", *self.switches_for(extra, *more)).out)["python"]["inputs"]
        return inputs

    def job(self, extra: dict[str, Any], *more: str) -> Any:
        """The runner of a job whose bundle is cached."""
        self.publish(self.spec(*self.switches_for(extra, *more)), "20261120-101112-0a1b2c3d")
        self.s3.put_object(Bucket=self.bucket, Key="input", Body=b"x\n")
        job_class = importlib.import_module("tests.jobs.mr_line_lengths").MRLineLengths
        switches = ["-r", "pybundle-emr", *self.switches, *self.switches_for(extra, *more)]
        return job_class([*switches, f"s3://{self.bucket}/input"]).make_runner()


@pytest.fixture(scope="module")
def asked() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The address of an AWS that launches nothing, and what its EMR was asked to launch."""
    requests: list[dict[str, Any]] = []

    def refusing(application: Any) -> Any:
        def answer(environ: dict[str, Any], start_response: Any) -> Any:
            if describe(environ).operation != "RunJobFlow":
                return application(environ, start_response)
            requests.append(json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))))
            body = json.dumps({"__type": "ValidationException", "message": "no cluster for a test"}).encode()
            start_response("400 Bad Request", [("Content-Length", str(len(body)))])
            return io.BytesIO(body)

        return answer

    server = Server(lambda: None, lambda action: None, [refusing])
    server.start()
    yield server.endpoint, requests
    server.stop()


@pytest.fixture
def cluster_id(aws_environment: dict[str, str]) -> str:
    """A cluster that was there before EMR launched nothing, and has never heard of us."""
    return launch_plain_cluster()


@pytest.fixture
def team(
    asked: tuple[str, list[dict[str, Any]]],
    bucket: S3Uri,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Asked:
    team = Asked(bucket.bucket, tmp_path, capsys)
    endpoint, team.requests = asked
    team.requests.clear()
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    return team


@pytest.mark.parametrize(
    ("extra", "switches", "os_family", "arch", "image_id", "label"),
    [
        ({}, [], "amzn2023", "x86_64", None, "emr-7.14.0"),
        ({"CustomAmiId": "ami-1"}, [], "ami-1", "x86_64", "ami-1", "emr-7.14.0"),
        ({"CustomAmiId": "ami-1"}, ["--image-id", "ami-2"], "ami-1", "x86_64", "ami-1", "emr-7.14.0"),
        ({"CustomAmiId": None}, ["--image-id", "ami-2"], "amzn2023", "x86_64", None, "emr-7.14.0"),
        (
            {"Instances.InstanceGroups": [{**X86[0], "CustomAmiId": "ami-1"}]},
            ["--image-id", "ami-2"],
            *("ami-1", "x86_64", "ami-1", "emr-7.14.0"),
        ),
        ({"ReleaseLabel": "emr-6.15.0"}, [], "amzn2", "x86_64", None, "emr-6.15.0"),
        ({"ReleaseLabel": "emr-7.1.0"}, ["--release-label", "emr-6.15.0"], "amzn2023", "x86_64", None, "emr-7.1.0"),
        ({"Instances.InstanceGroups": GRAVITON}, [], "amzn2023", "aarch64", None, "emr-7.14.0"),
        ({"Instances": {"InstanceGroups": GRAVITON}}, [], "amzn2023", "aarch64", None, "emr-7.14.0"),
        (
            {"Instances.InstanceGroups": None, "Instances.MasterInstanceType": "r8g.xlarge"},
            [],
            *("amzn2023", "aarch64", None, "emr-7.14.0"),
        ),
        (
            {
                "Instances": {"InstanceGroups": None},
                "Instances.InstanceFleets": [
                    {"InstanceFleetType": "MASTER", "InstanceTypeConfigs": [{"InstanceType": "m6g.xlarge"}]}
                ],
            },
            ["--instance-type", "m5.xlarge"],
            *("amzn2023", "aarch64", None, "emr-7.14.0"),
        ),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_the_key_is_that_of_the_cluster(
    team: Asked,
    extra: dict[str, Any],
    switches: list[str],
    os_family: str,
    arch: str,
    image_id: str | None,
    label: str,
) -> None:
    """What extra_cluster_params make of release, AMI and instances is in the key, and is what the build runs on."""
    team.version = "3.11.2"
    python = team.python(extra, *switches)
    assert (python["os_family"], python["arch"]) == (os_family, arch)
    request = team.build(extra, *switches)
    assert (request.get("CustomAmiId"), request["ReleaseLabel"]) == (image_id, label)
    (group,) = request["Instances"]["InstanceGroups"]
    assert group["InstanceType"] == {"x86_64": "c5.4xlarge", "aarch64": "c6g.4xlarge"}[arch]


@pytest.mark.parametrize(
    ("extra", "switches", "line"),
    [
        ({"ReleaseLabel": "emr-6.15.0"}, [], "CPython 3.13.5 cannot be compiled on Amazon Linux 2"),
        ({"ReleaseLabel": "emr-5.20.0"}, [], "EMR release emr-5.20.0 is too old"),
        ({"ReleaseLabel": None}, [], "A release label looks like emr-7.14.0"),
        ({"Instances.InstanceGroups": [*X86, *GRAVITON]}, [], "The job's instances mix CPU architectures"),
        (
            {"Instances.InstanceGroups": [{**X86[0], "CustomAmiId": "ami-1"}, *X86]},
            [],
            "have different AMIs: ami-1 and",
        ),
        ({"Instances.SlaveInstanceType": "m6g.large"}, [], "The job's instances mix CPU architectures"),
        ({"Instances.InstanceFleets": []}, [], "InstanceFleets and InstanceGroups, and EMR takes one of them"),
        ({"Instances": None}, [], "no instance type is named"),
        ({"Instances": "many"}, [], "Instances is 'many', and no mapping"),
        ({"Instances.InstanceGroups": 3}, [], "instance_groups: 3 is not what EMR's RunJobFlow takes"),
        ({"Steps.Name": "x"}, [], "is not what EMR's RunJobFlow takes (must be a dictionary)"),
        ({"CustomAMIId": "ami-1"}, [], 'Unknown parameter in input: "CustomAMIId"'),
        ({"Tags": {"a": "b"}}, [], "Invalid type for parameter Tags"),
        ({"JobFlowRole": 3}, [], "JobFlowRole is 3, and no text"),
        ({"ReleaseLabel": 7.14}, [], "ReleaseLabel is 7.14, and no text"),
        ({"CustomAmiId": ["ami-1"]}, [], "CustomAmiId is ['ami-1'], and no text"),
        ({"Instances.InstanceGroups": [{**X86[0], "CustomAmiId": 3}]}, [], "CustomAmiId is 3, and no text"),
        ({"Instances.Placement": "us-east-1a"}, [], "Invalid type for parameter Instances.Placement"),
        (
            {"Instances.InstanceGroups": GRAVITON},
            ["--pybundle-build-instance-type", "c5.large"],
            "pybundle_build_instance_type: c5.large has x86_64, and the job's instances have aarch64",
        ),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_what_cannot_work_is_said_before_anything_is_launched(
    team: Asked, extra: dict[str, Any], switches: list[str], line: str
) -> None:
    refused = team.refused(extra, *switches)
    assert line in refused.err.splitlines()[-1]
    assert "Traceback" not in refused.err


def test_builders_are_who_the_option_says(team: Asked) -> None:
    """Whoever builds may write the cache, which is not for a job's nodes."""
    extra = {"JobFlowRole": "Nodes", "ServiceRole": "Service"}
    request = team.build(extra, "--pybundle-build-iam-instance-profile", "Builders")
    assert (request["JobFlowRole"], request["ServiceRole"]) == ("Builders", "Service")
    assert team.build(extra)["JobFlowRole"] == "Nodes", "without the option, builders are the job's"


def test_a_build_has_bootstrap_actions_of_its_own(team: Asked) -> None:
    """A file of one's own is put where builders may read, and comes with its arguments. In no key is any of it."""
    script = team.directory / "to the proxy.sh"
    script.write_text("#!/bin/sh\n")
    switch = "--pybundle-build-bootstrap-action"
    theirs = {"BootstrapActions": [{"Name": "mine", "ScriptBootstrapAction": {"Path": "s3://b/mine.sh"}}]}
    request = team.build(theirs, switch, f"'{script}' 'to here' -v", switch, "s3://b/a")
    one, two = (action["ScriptBootstrapAction"] for action in request["BootstrapActions"])
    assert (one["Args"], two) == (["to here", "-v"], {"Path": "s3://b/a", "Args": []})
    build_id = request["Name"].rpartition(" ")[2]
    assert one["Path"].endswith(f"/v1/builds/{build_id}/bootstrap-action-1")
    uri = S3Uri.parse(one["Path"])
    assert team.s3.get_object(Bucket=uri.bucket, Key=uri.key)["Body"].read() == script.read_bytes()
    keys = [team.run("key", *team.switches_for({}, *more)).out for more in ((), (switch, f"'{script}'"))]
    assert keys[0] == keys[1]


#: Of RunJobFlow, what a cluster shares with nobody, with values that EMR's API takes.
OF_THE_JOB: dict[str, Any] = {
    "Name": "mine",
    "Steps": [{"Name": "mine", "HadoopJarStep": {"Jar": "mine.jar"}}],
    "StepExecutionRoleArn": "arn:aws:iam::123456789012:role/mine",
    "BootstrapActions": [{"Name": "mine", "ScriptBootstrapAction": {"Path": "s3://b/mine.sh"}}],
    "SupportedProducts": ["mine"],
    "NewSupportedProducts": [{"Name": "mine"}],
    "Applications": [{"Name": "Spark"}],
    "Configurations": [{"Classification": "mine"}],
    "VisibleToAllUsers": False,
    "AutoScalingRole": "mine",
    "ScaleDownBehavior": "TERMINATE_AT_TASK_COMPLETION",
    "StepConcurrencyLevel": 7,
    "ManagedScalingPolicy": {},
    "PlacementGroupConfigs": [{"InstanceRole": "MASTER"}],
    "AutoTerminationPolicy": {"IdleTimeout": 3600},
    "MonitoringConfiguration": {},
    "SessionEnabled": True,
}
INSTANCES_OF_THE_JOB: dict[str, Any] = {
    "MasterInstanceType": "m5.large",
    "SlaveInstanceType": "m5.large",
    "InstanceCount": 20,
    "InstanceGroups": [{**X86[0], "InstanceCount": 3}],
    "KeepJobFlowAliveWhenNoSteps": True,
    "TerminationProtected": True,
    "UnhealthyNodeReplacement": True,
    "HadoopVersion": "3",
}
SHARED_ONES: dict[str, Any] = {
    "LogUri": "s3://logs/mine/",
    "LogEncryptionKmsKeyId": "arn:aws:kms:us-east-1:123456789012:key/mine",
    "AdditionalInfo": "{}",
    "ServiceRole": "mine",
    "OSReleaseLabel": "2023.5.20240708.0",
    "RepoUpgradeOnBoot": "NONE",
    "ExtendedSupport": True,
    "EbsRootVolumeSize": 80,
    "EbsRootVolumeIops": 3000,
    "EbsRootVolumeThroughput": 125,
    "SecurityConfiguration": "mine",
    "KerberosAttributes": {"Realm": "EC2.INTERNAL", "KdcAdminPassword": "x"},
}
SHARED_INSTANCES: dict[str, Any] = {
    "Ec2KeyName": "mine",
    "Ec2SubnetId": "subnet-1",
    "Placement": {"AvailabilityZone": "us-east-1a"},
    "EmrManagedMasterSecurityGroup": "sg-1",
    "EmrManagedSlaveSecurityGroup": "sg-2",
    "ServiceAccessSecurityGroup": "sg-3",
    "AdditionalMasterSecurityGroups": ["sg-4"],
    "AdditionalSlaveSecurityGroups": ["sg-5"],
}


def _known(parameters: dict[str, Any], shape: Any) -> dict[str, Any]:
    """Those that the installed botocore has heard of."""
    return {name: value for name, value in parameters.items() if name in shape.members}


def test_a_build_has_of_the_jobs_cluster_what_it_needs_and_no_more(team: Asked) -> None:
    shape = botocore.session.get_session().get_service_model("emr").operation_model("RunJobFlow").input_shape
    of_instances = shape.members["Instances"]
    dotted = {f"Instances.{name}": value for name, value in _known(SHARED_INSTANCES, of_instances).items()}
    shared = _known(SHARED_ONES, shape)
    own = team.build({**shared, **dotted})
    assert {name: own[name] for name in shared} == shared
    assert {name: own["Instances"][name] for name in SHARED_INSTANCES} == SHARED_INSTANCES

    jobs = {f"Instances.{name}": value for name, value in _known(INSTANCES_OF_THE_JOB, of_instances).items()}
    tags = [{"Key": "team", "Value": "data"}]
    request = team.build({**shared, **dotted, **jobs, **_known(OF_THE_JOB, shape), "Tags": tags})
    assert tags[0] in request.pop("Tags")
    changing = ("Name", "Tags", "Steps")  # build id and address of the script
    assert request["Name"].startswith("mrjob-pybundle build ")
    assert [step["Name"] for step in request["Steps"]] == ["build-binaries.sh"]
    assert {name: value for name, value in request.items() if name not in changing} == {
        name: value for name, value in own.items() if name not in changing
    }


def test_of_each_parameter_it_was_decided_whether_builds_share_it() -> None:
    """A newer botocore may know more: then decide, and say so in aws/requests.py or here."""
    shape = botocore.session.get_session().get_service_model("emr").operation_model("RunJobFlow").input_shape
    assert {*SHARED_ONES, "Tags"} == SHARED
    assert {*SHARED_INSTANCES, "Ec2SubnetIds"} == SHARED_OF_INSTANCES
    ours = {"Instances", "JobFlowRole", "ReleaseLabel", "CustomAmiId", "AmiVersion"}
    assert set(shape.members) <= SHARED | set(OF_THE_JOB) | ours
    of_instances = set(shape.members["Instances"].members)
    assert of_instances <= SHARED_OF_INSTANCES | set(INSTANCES_OF_THE_JOB) | {"InstanceFleets"}
    _, _, table = DOCUMENT.read_text("utf-8").partition("| | RunJobFlow's parameters |")
    documented = set(re.findall(r"`([A-Z]\w+)`", table.partition("\n\n")[0]))
    assert documented == SHARED | SHARED_OF_INSTANCES | {"Instances", "JobFlowRole", "ReleaseLabel", "CustomAmiId"}


def test_several_subnets_and_zones(team: Asked) -> None:
    request = team.build({"Instances.Ec2SubnetIds": ["subnet-1", "subnet-2"]})
    (fleet,) = request["Instances"]["InstanceFleets"]
    assert (fleet["InstanceFleetType"], fleet["TargetOnDemandCapacity"]) == ("MASTER", 1)
    request = team.build({"Instances.Placement": {"AvailabilityZones": ["us-east-1a", "us-east-1b"]}})
    assert request["Instances"]["Placement"] == {"AvailabilityZone": "us-east-1a"}


def test_the_jobs_cluster_is_as_with_r_emr(team: Asked) -> None:
    """Which also has its tags in the request itself."""
    extra = {"JobFlowRole": "Nodes", "CustomAmiId": "ami-1", "Instances.InstanceGroups": GRAVITON}
    with pytest.raises(PyBundleError, match="no cluster for a test"):
        team.job(extra, "--tag", "team=data").run()
    (request,) = team.requests
    assert request["Tags"] == [{"Key": "team", "Value": "data"}]
    assert (request["JobFlowRole"], request["CustomAmiId"]) == ("Nodes", "ami-1")
    assert request["Instances"]["InstanceGroups"] == GRAVITON


@pytest.mark.parametrize("theirs", [None, [{"Name": "theirs", "ScriptBootstrapAction": {"Path": "s3://b/theirs.sh"}}]])
def test_bootstrap_actions_are_added_to_the_bundles(team: Asked, theirs: list[dict[str, Any]] | None) -> None:
    with pytest.raises(PyBundleError, match="no cluster for a test"):
        team.job({"BootstrapActions": theirs}, "--bootstrap-action", "s3://b/mine.sh").run()
    ours, mine, *others = (action["ScriptBootstrapAction"]["Path"] for action in team.requests[0]["BootstrapActions"])
    assert "/pybundle/bootstrap-" in ours
    assert (mine, others) == ("s3://b/mine.sh", ["s3://b/theirs.sh"] if theirs else [])


def test_where_roles_are_looked_for(team: Asked) -> None:
    """iam_endpoint, where none is named."""
    nobody = ["--iam-instance-profile", "", "--iam-endpoint", "http://127.0.0.1:9"]
    built = team.run("build", *team.switches_for({}, *nobody))
    assert "http://127.0.0.1:9" in built.err
    assert team.requests == []
    assert team.build({"JobFlowRole": "Nodes"}, *nobody)["JobFlowRole"] == "Nodes"


@pytest.mark.parametrize("persistent", [False, True])
def test_a_cluster_that_the_bundle_is_not_for_is_not_launched(team: Asked, persistent: bool) -> None:
    """Somebody has changed options of a runner after its bundle's key was made."""
    runner = team.job({"CustomAmiId": "ami-1"})
    assert runner.bundle_spec.python.os_family == "ami-1"
    runner._opts["extra_cluster_params"]["CustomAmiId"] = "ami-2"
    with pytest.raises(OptionError, match=r"\(AMI: 'ami-2', not 'ami-1'\)\. Nothing was launched"):
        runner.make_persistent_cluster() if persistent else runner.run()
    assert team.requests == []


@pytest.mark.parametrize(
    ("characters", "on_cluster", "is_built"),
    [(11_000, False, False), (8_800, False, True), (8_800, True, False)],
    ids=["too long", "it fits", "it would fit without the bundle"],
)
def test_nothing_is_built_for_a_step_that_is_too_long(
    cluster_id: str,
    team: Asked,
    caplog: pytest.LogCaptureFixture,
    characters: int,
    on_cluster: bool,
    is_built: bool,
) -> None:
    """The bundle's files have addresses of one length. What there is to say of the steps is said when they are sent."""
    team.s3.put_object(Bucket=team.bucket, Key="input", Body=b"x\n")
    settings = [f"-D=a={'x' * characters}", "-D=mapred.job.name=b"]  # of the old name, mrjob warns
    cluster = ["--cluster-id", cluster_id] if on_cluster else []
    cache = ["--pybundle-cache-uri", f"s3://{team.bucket}/cache"]  # an address that Hadoop takes
    switches = [*team.switches_for({}, *settings, *cluster), *cache]
    job_class = importlib.import_module("tests.jobs.mr_line_lengths").MRLineLengths
    job = job_class(["-r", "pybundle-emr", *team.switches, *switches, f"s3://{team.bucket}/input"])
    with pytest.raises(PyBundleError, match="no cluster for a test" if is_built else "and EMR takes 10,240"):
        job.make_runner().run()
    assert len(team.requests) == is_built
    assert "Detected hadoop configuration property names" not in caplog.text


def test_pools_are_of_one_release_and_ami(team: Asked) -> None:
    """The bundle is in a pool's hash; of a custom AMI it says nothing of the release."""

    def pool(label: str) -> str:
        extra = {"CustomAmiId": "ami-1", "ReleaseLabel": label}
        with pytest.raises(PyBundleError, match="no cluster for a test"):
            team.job(extra, "--pool-clusters").run()
        return str(team.requests.pop()["Name"]).rpartition(",")[2]

    assert pool("emr-7.1.0") == pool("emr-7.1.0")
    assert pool("emr-7.1.0") != pool("emr-7.2.0")
