"""``selftest`` against moto's services: what it refuses, what it says, and what ``--clean`` takes away."""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.backends import get_backend
from mrjob.conf import load_opts_from_mrjob_confs
from mrjob.setup import parse_setup_cmd

from mrjob_pybundle.aws.clients import Credentials
from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.command.main import main
from mrjob_pybundle.errors import OptionError, PyBundleError
from mrjob_pybundle.selftest import cleaning, conf
from mrjob_pybundle.selftest.names import Names
from mrjob_pybundle.selftest.person import who_i_am
from mrjob_pybundle.selftest.roles import Roles
from tests.team import Output, Team

RUN = "20261122-101112-0a1b2c3d"
OTHER_RUN = "20261122-101112-0a1b2c3e"
BUILD, OTHER_BUILD = "20261122-101115-00000000", "20261122-101115-00000001"

CONF: dict[str, Any] = {
    "region": "us-east-1",
    "iam_service_role": "EMR_DefaultRole",
    "iam_instance_profile": "EMR_EC2_DefaultRole",
    "check_cluster_every": 0.1,
}


def _conf(team: Team, **changes: Any) -> str:
    said = {**CONF, "cloud_tmp_dir": f"s3://{team.bucket}/tmp/", **changes}
    path = team.directory / "mrjob.conf"
    path.write_text(json.dumps({"runners": {"emr": said}}))
    return str(path)


def _selftest(team: Team, *args: str, **changes: Any) -> Output:
    team.capsys.readouterr()
    status = main(["selftest", "-c", _conf(team, **changes), *args])
    return Output(status, *team.capsys.readouterr())


def _launch(team: Team, name: str) -> str:
    instances = {"MasterInstanceType": "m5.xlarge", "InstanceCount": 1, "KeepJobFlowAliveWhenNoSteps": True}
    request = {"Name": name, "ReleaseLabel": "emr-7.14.0", "Instances": instances}
    return str(team.emr.run_job_flow(**request, JobFlowRole="r", ServiceRole="s")["JobFlowId"])


def _put(team: Team, *keys: str) -> None:
    for key in keys:
        team.s3.put_object(Bucket=team.bucket, Key=key, Body=b"x")


def _keys(team: Team) -> set[str]:
    return {found["Key"] for found in team.s3.list_objects_v2(Bucket=team.bucket).get("Contents", ())}


def _living(team: Team) -> set[str]:
    clusters = team.emr.list_clusters()["Clusters"]
    return {cluster["Name"] for cluster in clusters if not cluster["Status"]["State"].startswith("TERMINATED")}


THEIR_CLUSTERS = {
    "mr_job.ada.20261122.101113.000001",
    f"selftest-{OTHER_RUN}-cold.selftest.20261122.101113.000001",
    f"mrjob-pybundle build {OTHER_BUILD}",
    f"about selftest-{RUN}-cold.",
}
OUR_CLUSTERS = {f"selftest-{RUN}-cold.selftest.20261122.101113.000001", f"mrjob-pybundle build {BUILD}"}
THEIR_OBJECTS = {
    "tmp/mr_job.ada.20261122.101113.000001/files/x",
    f"tmp/selftest-{OTHER_RUN}/intents/cold-00.json",
    f"tmp/selftest-{RUN}",
    f"tmp/selftest-{RUN}0/x",
    f"pybundle/v1/builds/{OTHER_BUILD}/inputs.tar.gz",
    f"selftest-{RUN}/x",
}
OUR_OBJECTS = {
    f"tmp/selftest-{RUN}/intents/cold-00.json",
    f"tmp/selftest-{RUN}/cache/v1/builds/{BUILD}/inputs.tar.gz",
    f"tmp/selftest-{RUN}/tmp/job/files/it's a file",
}


@pytest.fixture
def left_behind(team: Team) -> Team:
    """What a run has left that did not get to its end, among what is others'."""
    for name in sorted(THEIR_CLUSTERS | OUR_CLUSTERS):
        _launch(team, name)
    _put(team, *THEIR_OBJECTS, *OUR_OBJECTS)
    return team


def test_clean_takes_away_what_carries_the_runs_id_and_nothing_else(left_behind: Team) -> None:
    cleaned = _selftest(left_behind, "--clean", RUN)
    assert cleaned.status == 0, cleaned.err
    assert _living(left_behind) == THEIR_CLUSTERS
    assert _keys(left_behind) == THEIR_OBJECTS
    for name in OUR_CLUSTERS:
        assert f"({name})" in cleaned.out
    assert "deleted 3 objects below" in cleaned.out

    again = _selftest(left_behind, "--clean", RUN)
    assert (again.status, again.out) == (0, f"nothing of run {RUN} is left\n")


def test_clean_does_not_choose_among_runs(left_behind: Team) -> None:
    asked = _selftest(left_behind, "--clean")
    assert asked.status == 2
    assert f"--clean {RUN} (or {OTHER_RUN})" in asked.err
    assert _keys(left_behind) == THEIR_OBJECTS | OUR_OBJECTS


def _begin(team: Team, who: str) -> None:
    _put(team, *OUR_OBJECTS)
    intent = json.dumps({"begun by": who}).encode()
    team.s3.put_object(Bucket=team.bucket, Key=f"tmp/selftest-{RUN}/intents/cold-00.json", Body=intent)


def test_clean_finds_the_only_run(team: Team) -> None:
    _begin(team, who_i_am())
    assert _selftest(team, "--clean").status == 0
    assert _keys(team) == set()
    assert "nothing of any run is left" in _selftest(team, "--clean").out


def test_clean_does_not_choose_what_somebody_else_has_begun(team: Team) -> None:
    """It may be going on: what tells that lies on their machine."""
    _begin(team, "bob on elsewhere")
    asked = _selftest(team, "--clean")
    assert asked.status == 2
    assert f"{RUN}, which bob on elsewhere has begun. If it is not going on any more: --clean {RUN}" in asked.err
    assert _keys(team) == OUR_OBJECTS
    assert _selftest(team, "--clean", RUN).status == 0
    assert _keys(team) == set()


def test_without_permission_for_roles_all_else_is_removed(team: Team) -> None:
    """IAM says no before it looks whether there is such a role."""

    class NoIam:
        def __getattr__(self, operation: str) -> Any:
            def refuse(**_: Any) -> None:
                raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, operation)

            return refuse

    intent = f"tmp/selftest-{RUN}/intents/iam-00.json"
    _put(team, *OUR_OBJECTS, intent)
    names = Names(RUN, S3Uri(team.bucket, "tmp"))
    with pytest.raises(PyBundleError, match="All else is removed; left may be roles named mrjob-pybundle-selftest-"):
        cleaning.clean(names, cleaning.Aws(team.s3, team.emr, NoIam(), 0.1), print)
    assert _keys(team) == {intent}, "it says what is left to be done"


def test_a_user_without_a_name_gets_a_report(team: Team, monkeypatch: Any) -> None:
    """As in containers that run as any user id."""

    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 54321")

    monkeypatch.setattr("getpass.getuser", nobody)
    directory = team.directory / "report"
    run = _selftest(team, "--yes", "--dir", str(directory), "doctor", owner="ada")
    assert "| doctor |" in (directory / "report.md").read_text("utf-8"), run.err


def test_where_nothing_can_be_locked(team: Team, monkeypatch: Any) -> None:
    (team.directory / "a file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(team.directory / "a file"))
    refused = _selftest(team, "--yes", "--dir", str(team.directory / "report"), "doctor")
    assert refused.status == 2
    assert "Set XDG_CACHE_HOME" in refused.err.splitlines()[-1]
    assert _keys(team) == set()


def test_clean_refuses_what_is_no_run(team: Team) -> None:
    refused = _selftest(team, "--clean", "../..")
    assert refused.status == 2
    assert "../.. is not a run's id" in refused.err


def test_clean_of_a_run_that_is_still_going_on(left_behind: Team, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("mrjob_pybundle.selftest.run_lock._PATIENCE_SECONDS", 0)
    path = tmp_path / "cache" / "mrjob-pybundle" / "selftest" / f"{RUN}.lock"
    path.parent.mkdir(parents=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused = _selftest(left_behind, "--clean", RUN)
    assert refused.status == 1
    assert f"Run {RUN} is still going on, on this machine" in refused.err
    assert _keys(left_behind) == THEIR_OBJECTS | OUR_OBJECTS


def test_more_objects_than_a_page_has(team: Team) -> None:
    names = Names(RUN, S3Uri(team.bucket, "tmp"))
    backend = get_backend("s3")["123456789012"]["aws"]  # over HTTP, that would take a minute
    for number in range(1001):
        backend.put_object(team.bucket, f"{names.directory.key}/{number}", b"")
    said: list[str] = []
    assert cleaning.clean(names, cleaning.Aws(team.s3, team.emr, None, 0.1), said.append)
    assert said == [f"deleted 1001 objects below {names.directory}/"]
    assert _keys(team) == set()


def test_roles_are_made_with_their_policies_and_taken_away(left_behind: Team) -> None:
    team = left_behind
    names = Names(RUN, S3Uri(team.bucket, "tmp"))
    iam, sts = (Credentials("us-east-1").client(service) for service in ("iam", "sts"))
    theirs = f"mrjob-pybundle-selftest-{OTHER_RUN}-job-node"
    iam.create_role(RoleName=theirs, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": []}))
    iam.create_instance_profile(InstanceProfileName=theirs)
    made = Roles(names, iam, sts, "us-east-1", "EMR_DefaultRole", settling_seconds=0)
    account = made.create()

    policy = iam.get_role_policy(RoleName=names.role("job-node"), PolicyName="policy-0")["PolicyDocument"]
    allowed = [statement for statement in policy["Statement"] if statement["Sid"] == "JobsFilesAndData"]
    own = f"arn:aws:s3:::{team.bucket}/tmp/selftest-{RUN}"
    assert allowed[0]["Resource"] == [f"{own}/tmp/*", f"{own}/data/*"]
    assert re.findall(r"[A-Z]+-[A-Z-]+|REGION|ACCOUNT", json.dumps(policy)) == []
    assert made.environment("submitter", account)["AWS_SESSION_TOKEN"]

    _put(team, f"tmp/selftest-{RUN}/intents/iam-00.json")
    cleaned = _selftest(team, "--clean", RUN)
    assert cleaned.status == 0, cleaned.err
    assert cleaned.out.count("removed role") == 4
    assert [role["RoleName"] for role in iam.list_roles(PathPrefix="/")["Roles"] if RUN in role["RoleName"]] == []
    profiles = {profile["InstanceProfileName"] for profile in iam.list_instance_profiles()["InstanceProfiles"]}
    assert not any(RUN in name for name in profiles)
    assert theirs in profiles
    assert iam.get_role(RoleName=theirs)


@pytest.mark.parametrize("said", ["of/EmrRole", "arn:aws:iam::123456789012:role/of/EmrRole"])
def test_a_service_role_with_a_path(said: str) -> None:
    documents = Roles(Names(RUN, S3Uri("bucket", "tmp")), None, None, "us-east-1", said).documents("123456789012")
    assert '"arn:aws:iam::123456789012:role/of/EmrRole"' in "".join(documents["builder"])


def test_a_path_with_a_blank(team: Team, monkeypatch: Any) -> None:
    """What is installed below such a path finds its way into ``bootstrap`` all the same."""
    programs = team.directory / "my jobs (old)" / "it's"
    monkeypatch.setattr("mrjob_pybundle.selftest.conf.PROGRAMS", programs)
    written = conf.write(Names(RUN, S3Uri(team.bucket, "tmp")), [], team.directory)
    ((_, opts),) = load_opts_from_mrjob_confs("pybundle-emr", [str(written.own)])
    bootstrap = opts["bootstrap"]  # what is tagged !clear
    (file,) = [word for word in parse_setup_cmd(getattr(bootstrap, "value", bootstrap)[0]) if isinstance(word, dict)]
    assert file["path"] == str(programs / "probe.sh")


def test_a_terminal_without_all_letters(team: Team) -> None:
    command = [sys.executable, "-m", "mrjob_pybundle", "selftest", "-c", _conf(team), "--iam", "--dry-run"]
    said = subprocess.run(command, env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    assert "\\u2026" in said.stdout


def test_ctrl_d_is_no(team: Team, monkeypatch: Any) -> None:
    leader, follower = os.openpty()
    os.write(leader, b"\x04")
    with open(follower) as terminal:
        monkeypatch.setattr("sys.stdin", terminal)
        assert _selftest(team).status == 0
    os.close(leader)
    assert _keys(team) == set()


def test_roles_are_made_only_if_asked_for(team: Team) -> None:
    assert "IAM roles" not in _selftest(team, "--all", "--dry-run").out
    refused = _selftest(team, "--dry-run", "iam")
    assert refused.status == 2
    assert "say --iam instead" in refused.err


@pytest.mark.parametrize("missing", ["cloud_tmp_dir", "iam_service_role", "iam_instance_profile"])
def test_it_runs_only_where_mrjob_would_create_nothing(team: Team, missing: str) -> None:
    refused = _selftest(team, "--yes", **{missing: None})
    assert refused.status == 2
    (line,) = [line for line in refused.err.splitlines() if line.startswith("mrjob-pybundle: ")]
    assert f"must name {missing} " in line
    assert _keys(team) == set()


def test_without_credentials_nothing_is_said_but_that(team: Team, monkeypatch: Any) -> None:
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)  # which may have some
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    refused = _selftest(team, "--dry-run")
    assert (refused.status, refused.out) == (3, "")
    assert "credentials" in refused.err.splitlines()[-1]


def test_a_dry_run_says_all_and_does_nothing(team: Team) -> None:
    said = _selftest(team, "--all", "--dry-run")
    assert said.status == 0
    assert "At most $" in said.out
    assert "graviton" in said.out
    assert _keys(team) == set()
    assert _living(team) == set()


def test_what_cannot_be_asked_before_is_said(team: Team, monkeypatch: Any) -> None:
    assert "Instance types: us-east-1 has all that are needed." in _selftest(team, "--dry-run").out
    monkeypatch.setenv("AWS_ENDPOINT_URL_EC2", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    said = _selftest(team, "--dry-run").out
    assert "Instance types: not checked (DescribeInstanceTypeOfferings: EndpointConnectionError)." in said


def test_policies_are_for_where_things_are_called_so(team: Team) -> None:
    iam, sts = (Credentials("us-gov-west-1").client(service) for service in ("iam", "sts"))
    roles = Roles(Names(RUN, S3Uri(team.bucket, "tmp")), iam, sts, "us-gov-west-1", "EMR_DefaultRole")
    with pytest.raises(OptionError, match="GovCloud"):
        roles.create()
    assert not any(RUN in role["RoleName"] for role in iam.list_roles()["Roles"])


@pytest.mark.parametrize("args", [["--dry-run"], ["--yes", "doctor"], ["--clean"]])
def test_a_bucket_that_there_is_not(team: Team, args: list[str]) -> None:
    refused = _selftest(team, *args, cloud_tmp_dir="s3://nobodys-bucket/tmp/")
    assert (refused.status, refused.out) == (3, "")
    assert "There is no such bucket (looking for runs below s3://nobodys-bucket/tmp)" in refused.err.splitlines()[-1]


@pytest.mark.parametrize("place", ["a file", "a file/below"])
def test_a_place_for_the_report_that_cannot_be_written(team: Team, place: str) -> None:
    (team.directory / "a file").touch()
    refused = _selftest(team, "--yes", "--dir", str(team.directory / place), "doctor")
    assert refused.status == 2
    assert f"Cannot write to {team.directory / place}: " in refused.err.splitlines()[-1]
    assert _keys(team) == set()


def test_nobody_is_there_to_be_asked(team: Team, monkeypatch: Any) -> None:
    with open(os.devnull) as nobody:
        monkeypatch.setattr("sys.stdin", nobody)
        refused = _selftest(team)
    assert refused.status == 2
    assert "--yes says yes" in refused.err
    assert _keys(team) == set()


def test_a_case_whose_command_fails(team: Team) -> None:
    """The report has the case, its last words and nothing of the account; what was made is gone."""
    directory = team.directory / "report"
    run = _selftest(
        team, "--yes", "--dir", str(directory), "doctor", iam_service_role="arn:aws:iam::123456789012:role/of/nobody"
    )
    assert run.status == 1, run.err
    report = (directory / "report.md").read_text("utf-8")
    assert "| doctor | FAILED |" in report
    assert "there is no role [role]" in report
    assert "nobody" not in report
    assert team.bucket not in report
    assert "123456789012" not in report
    written = json.loads((directory / "report.json").read_text("utf-8"))
    assert written["status"] == 1
    assert [case["outcome"] for case in written["cases"]] == ["FAILED"]
    assert written["is_clean"] is True
    assert _keys(team) == set()
