"""Commands that need the cache alone: whatever else the conf says, and with one line for what they do need."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.cache.claims import Claim
from tests.team import Output, Team

BUILD = "20261120-101112-0a1b2c3d"

#: Each of these keeps a job from starting.
WRONG = """\
    pybundle_venv_build: no/such/venv-build.sh
    pybundle_build_files: [/no/such]
    pybundle_python_source: no/such/Python.tgz
    pybundle_python_sha256: abc
    pybundle_python_version: 3.1
    pybundle_optimize: perhaps
    pybundle_build_timeout_minutes: soon
    cluster_id: j-UNKNOWN
    release_label: emr-spark-8.0.0
    image_version: latest
    instance_type: m99.huge
    instance_groups: none
    emr_configurations: [5]
    max_concurrent_steps: 0
    cleanup: [NONE, ALL]
    docker_image: python:3.13
"""


class TeamWithConf(Team):
    """A team whose options are in a conf file."""

    def conf(self, more: str, cache_uri: bool = True) -> None:
        place = f"    pybundle_cache_uri: s3://{self.bucket}/the cache\n" if cache_uri else ""
        self._conf.write_text(f"runners:\n  pybundle-emr:\n    region: us-east-1\n    owner: ada\n{place}{more}")

    def command(self, *args: str) -> Output:
        from mrjob_pybundle.command.main import main

        self.capsys.readouterr()
        status = main([args[0], "-c", str(self._conf), *args[1:]])
        return Output(status, *self.capsys.readouterr())

    @property
    def _conf(self) -> Path:
        return self.directory / "mrjob.conf"


@pytest.fixture
def team(bucket: S3Uri, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> TeamWithConf:
    return TeamWithConf(bucket.bucket, tmp_path, capsys)


def _started(team: Team) -> str:
    """A build that runs; its cluster's id."""
    cluster = team.emr.run_job_flow(
        Name=f"mrjob-pybundle build {BUILD}",
        Instances={"MasterInstanceType": "m5.xlarge", "InstanceCount": 1, "KeepJobFlowAliveWhenNoSteps": True},
        JobFlowRole="x",
        ServiceRole="x",
    )
    team.cache.claims.stake("ab" * 32, Claim(BUILD, "ada", 1.0, cluster["JobFlowId"]))
    return str(cluster["JobFlowId"])


def test_stop_ends_spending_whatever_the_conf_says(team: TeamWithConf) -> None:
    team.conf(WRONG)
    cluster_id = _started(team)
    stopped = team.command("stop", BUILD)
    assert stopped.status == 0, stopped.err
    state = team.emr.describe_cluster(ClusterId=cluster_id)["Cluster"]["Status"]["State"]
    assert state.startswith("TERMINAT")


def test_all_that_look_after_the_cache(team: TeamWithConf) -> None:
    team.conf(WRONG)
    spec = team.spec()
    team.publish(spec, BUILD)
    log = b"==> venv-build\n"
    status = {"state": "SUCCEEDED", "stage": "done", "started": 0, "stage_started": 0, "log_size": len(log)}
    body = {**status, "stages": {"prepare": 60}, "exit_status": None, "message": None}
    team.cache.builds.put(BUILD, "log.txt", log)
    team.cache.builds.put(BUILD, "status.json", json.dumps(body).encode())
    for args, expected in (
        (["ls"], "1 bundle on 1 Python"),
        (["show", spec.key[:12]], spec.key),
        (["watch", BUILD], "==> venv-build"),
        (["rm", spec.key[:12]], "removed bundle"),
        (["gc", "--dry-run"], "Nothing to delete"),
    ):
        run = team.command(*args)
        assert (run.status, expected in run.out) == (0, True), (args, run)


def test_the_cache_in_mrjobs_own_bucket(team: TeamWithConf) -> None:
    """S3 is asked which that is only where the cache's place depends on it."""
    team.s3.create_bucket(Bucket=f"mrjob-{team.bucket}")
    team.conf("", cache_uri=False)
    listed = team.command("ls")
    assert listed.status == 0, listed.err
    assert listed.out.startswith("s3://mrjob-team-")
    assert "/pybundle: 0 bundles" in listed.out


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ("    pybundle_cache_uri: /tmp/x\n", "'/tmp/x' is not an S3 URI"),
        ("    pybundle_bucket_owner: 12\n", "pybundle_bucket_owner: 12 is not an AWS account id"),
        ("    check_cluster_every: often\n", "'often' is not a number"),
        ("    region: us east 1\n", "Provided region_name 'us east 1' doesn't match a supported format. Set region"),
        ("    s3_endpoint: 'http://'\n", "A setting for AWS cannot work (preparing to ask s3): Invalid endpoint"),
    ],
)
def test_what_matters_is_checked(team: TeamWithConf, more: str, line: str) -> None:
    team.conf(more, cache_uri="cache_uri" not in more)
    refused = team.command("ls")
    assert refused.status == 2
    assert line in refused.err
    assert refused.err.count("\n") == 1
