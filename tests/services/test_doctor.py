"""What the doctor says, through the command, against S3, EMR, IAM and STS over HTTP."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from mrjob_pybundle.aws.clients import Credentials
from mrjob_pybundle.aws.s3 import S3Uri
from tests.tarballs import source_tarball
from tests.team import Output, Team


@pytest.fixture
def team(bucket: S3Uri, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Team:
    return Team(bucket.bucket, tmp_path, capsys)


@pytest.fixture
def roles(team: Team) -> None:
    iam = Credentials("us-east-1").client("iam")
    names = [profile["InstanceProfileName"] for profile in iam.list_instance_profiles()["InstanceProfiles"]]
    if "EMR_EC2_DefaultRole" not in names:
        for role in ("EMR_DefaultRole", "EMR_EC2_DefaultRole"):
            iam.create_role(RoleName=role, AssumeRolePolicyDocument="{}")
        iam.create_instance_profile(InstanceProfileName="EMR_EC2_DefaultRole")
        iam.add_role_to_instance_profile(InstanceProfileName="EMR_EC2_DefaultRole", RoleName="EMR_EC2_DefaultRole")


def _lines(examined: Output) -> dict[str, tuple[str, str]]:
    """Check → verdict and text. Everything is one line each."""
    found = {}
    for line in examined.out.splitlines():
        verdict, (check, _, text) = line[:12].strip(), line[12:].partition(": ")
        assert verdict in ("ok", "note", "not checked", "FAILED"), line
        found[check] = verdict, text
    return found


@pytest.mark.usefixtures("roles")
def test_all_is_well(team: Team, tmp_path: Path) -> None:
    script, tarball = tmp_path / "venv-build.sh", tmp_path / "Python-3.13.5.tar.xz"
    script.write_text("pip install x\n")
    tarball.write_bytes(source_tarball())
    before, clusters_before = team.objects(), _cluster_ids(team)
    examined = team.run("doctor", "--pybundle-venv-build", str(script), "--pybundle-python-source", str(tarball))
    lines = _lines(examined)
    assert {check for check, (verdict, _) in lines.items() if verdict == "note"} == {
        "bucket owner",
        "build's profile",
        "bundle",
    }
    assert {verdict for verdict, _ in lines.values()} == {"ok", "note"}
    assert examined.status == 0
    assert lines["credentials"][1].endswith("(account 123456789012)")
    assert lines["write to the cache"] == ("ok", "with conditional writes, by which authors agree who builds")
    assert lines["venv-build.sh"][1] == f"{script}, run by bash, for it names no interpreter"
    assert lines["EMR release"][1] == "emr-7.14.0 (amzn2023); CPython 3.13.5; its Spark runs up to 3.11"
    assert lines["Python's source"] == ("ok", str(tarball))
    assert team.objects() == before, "the probe is gone"
    assert _cluster_ids(team) == clusters_before


def _cluster_ids(team: Team) -> list[str]:
    return sorted(cluster["Id"] for cluster in team.emr.list_clusters()["Clusters"])


@pytest.mark.usefixtures("roles")
def test_a_cached_bundle_needs_no_source(team: Team) -> None:
    spec = team.spec()
    team.publish(spec, "20261120-101112-0a1b2c3d")
    lines = _lines(team.run("doctor"))
    assert lines["bundle"] == ("ok", f"cached (key {spec.key[:12]})")
    assert lines["Python's source"] == ("ok", "not needed: this Python is compiled, and cached")
    openssl, day = ssl.OPENSSL_VERSION.split()[1], " ".join(ssl.OPENSSL_VERSION.split()[2:5])
    assert lines["OpenSSL"] == ("ok", f"{openssl} ({day}), compiled 0 days ago")
    team.let_pass(days=100)
    assert _lines(team.run("doctor"))["OpenSSL"] == (
        "note",
        f"{openssl} ({day}), compiled 100 days ago."
        " --pybundle-rebuild brings the one that the operating system has by now",
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"#!/bin/bash\r\nset -eu\r\n", "has Windows line ends, with which its #! line names nothing"),
        (b"#!/bin/bash\nif true; then\n", "line 3: syntax error: unexpected end of file"),
    ],
)
def test_a_venv_build_that_cannot_work(team: Team, tmp_path: Path, content: bytes, message: str) -> None:
    script = tmp_path / "venv-build.sh"
    script.write_bytes(content)
    examined = team.run("doctor", "--pybundle-venv-build", str(script))
    verdict, text = _lines(examined)["venv-build.sh"]
    assert (examined.status, verdict) == (1, "FAILED")
    assert message in text


@pytest.mark.parametrize(
    ("content", "verdict", "message"),
    [
        (b"set -eu\r\npip install x\r\n", "note", "has Windows line ends, which bash takes for a part of"),
        (b"#!/usr/bin/env python3\nprint()\r\n", "ok", "run by /usr/bin/env python3"),
        (b"#!/opt/venv/bin/python\n", "note", "Whether the build's machine has that is seen there"),
        (b"#!tools/bash\n", "note", "run by tools/bash"),
    ],
)
def test_a_venv_build_that_may_work(team: Team, tmp_path: Path, content: bytes, verdict: str, message: str) -> None:
    script, tools = tmp_path / "venv-build.sh", tmp_path / "tools"
    script.write_bytes(content)
    tools.mkdir()
    (tools / "bash").touch()
    switches = ["--pybundle-venv-build", str(script), "--pybundle-build-file", str(tools)]
    found, text = _lines(team.run("doctor", *switches))["venv-build.sh"]
    assert (found, message in text) == (verdict, True), text


@pytest.mark.parametrize(
    ("arguments", "check", "message"),
    [
        (["--core-instance-type", "m6g.xlarge", "--num-core-instances", "1"], "architecture", "mix CPU architectures"),
        (["--pybundle-build-instance-type", "c6g.large"], "architecture", "c6g.large has aarch64, and the job's"),
        (["--extra-cluster-param", "CustomAMIId=x"], "architecture", 'Unknown parameter in input: "CustomAMIId"'),
        (
            ["--extra-cluster-param", "JobFlowRole=none"],
            "instance profile",
            "there is no instance profile none. Create",
        ),
        (["--cloud-tmp-dir", "s3://a--use1-az4--x-s3/"], "configuration", "is a directory bucket"),
        (["--release-label", "emr-6.15.0"], "EMR release", "CPython 3.13.5"),
        (["--release-label", "emr-4.0.0"], "EMR release", "emr-4.0.0"),
        (["--iam-service-role", "nobody"], "service role", "there is no role nobody. Create it, or set"),
        (["--iam-instance-profile", "none"], "instance profile", "there is no instance profile none. Create it"),
        (["--pybundle-build-iam-instance-profile", "b"], "build's profile", "there is no instance profile b. Create"),
        (["--pybundle-cache-uri", "s3://no-such-bucket/x"], "bucket", "there is no bucket no-such-bucket. Create it"),
        (["--pybundle-build-instance-type", "c99.4xlarge"], "build's machine", "us-east-1 has no c99.4xlarge. Set"),
        (["--pybundle-venv-build", "/no/such/file"], "configuration", "there is no /no/such/file"),
        (["--pybundle-python-version", "3.99.1"], "Python's source", "cannot get https://www.python.org/"),
    ],
)
def test_what_fails_is_one_line_and_the_rest_is_checked(
    team: Team, roles: None, tmp_path: Path, arguments: list[str], check: str, message: str
) -> None:
    tarball = tmp_path / "Python-3.13.5.tar.xz"
    tarball.write_bytes(source_tarball())
    source = ["--pybundle-python-source", str(tarball)] if check != "Python's source" else []
    examined = team.run("doctor", *source, *arguments)
    lines = _lines(examined)
    assert examined.status == 1
    assert lines[check][0] == "FAILED"
    assert message in lines[check][1]
    assert [name for name, (verdict, _) in lines.items() if verdict == "FAILED"] == [check]


def test_a_bucket_that_mrjob_will_make(team: Team) -> None:
    tmp_dir = ["--cloud-tmp-dir", "s3://not-made-yet/tmp/"]
    lines = _lines(team.run("doctor", *tmp_dir, "--pybundle-cache-uri", ""))
    assert lines["bucket"] == ("not checked", "there is no not-made-yet yet: the first build makes it")
    assert lines["list the cache"] == ("not checked", "without bucket")
