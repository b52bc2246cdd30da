"""What ``--cleanup`` and ``--cleanup-on-failure`` do where a job has come to no cluster yet: nothing that fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from mrjob.options import CLEANUP_CHOICES

from mrjob_pybundle.sandbox.api.faults import ACCESS_DENIED_BY_EMR, Rule
from tests.faults.conftest import Aws
from tests.tarballs import source_tarball

JOB = Path(__file__).parents[1] / "jobs" / "mr_line_lengths.py"


def _run(aws: Aws, tmp_path: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """A job whose build fails: nobody may launch a cluster."""
    source = tmp_path / "Python-3.13.99.tar.xz"
    source.write_bytes(source_tarball("3.13.99"))
    build = ["--pybundle-python-version", "3.13.99", "--pybundle-python-source", str(source)]
    with aws.faults.injected(Rule("RunJobFlow", ACCESS_DENIED_BY_EMR)):
        return subprocess.run(
            [sys.executable, JOB, "-r", "pybundle-emr", *build, *args],
            env=aws.sandbox.environment,
            input="x\n",
            capture_output=True,
            text=True,
        )


_MODES = [pytest.param(mode, marks=() if mode == "ALL" else pytest.mark.whole) for mode in CLEANUP_CHOICES]


@pytest.mark.parametrize("mode", _MODES)
def test_after_a_build_that_fails(aws: Aws, tmp_path: Path, mode: str) -> None:
    run = _run(aws, tmp_path, "--cleanup-on-failure", mode, "--cleanup", mode)
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    assert "No permission (launching a build cluster" in run.stderr.splitlines()[-1], run.stderr


def test_after_options_that_are_refused(aws: Aws, tmp_path: Path) -> None:
    run = _run(aws, tmp_path, "--cleanup-on-failure", "ALL", "--docker-image", "python:3.13")
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    assert "docker_image does not go with -r pybundle-emr" in run.stderr.splitlines()[-1]


def test_an_error_while_cleaning_up_does_not_hide_the_first_one(aws: Aws, tmp_path: Path) -> None:
    cluster_id = aws.emr.run_job_flow(
        Name="theirs",
        ReleaseLabel="emr-7.14.0",
        LogUri="s3://sandbox/logs/",
        Instances={
            "KeepJobFlowAliveWhenNoSteps": True,
            "InstanceGroups": [{"InstanceRole": "MASTER", "InstanceType": "m5.xlarge", "InstanceCount": 1}],
        },
    )["JobFlowId"]
    with aws.faults.injected(Rule("DescribeCluster", ACCESS_DENIED_BY_EMR, after=1)) as strikes:
        run = _run(aws, tmp_path, "--cluster-id", cluster_id, "--cleanup-on-failure", "LOGS")
    aws.emr.terminate_job_flows(JobFlowIds=[cluster_id])
    assert len(strikes) == 1
    assert "Traceback" not in run.stderr
    assert "No permission (cleaning up logs" in run.stderr
    assert "No permission (launching a build cluster" in run.stderr.splitlines()[-1], run.stderr
