"""What jobs say of what is wrong with their files, before a cluster is launched."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mrjob_pybundle.aws.s3 import S3Uri
from tests.team import Team

JOB = Path(__file__).parents[1] / "jobs" / "mr_line_lengths.py"


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["s3://BUCKET/nope"], "Input path s3://BUCKET/nope does not exist!"),
        (["--output-dir", "s3://BUCKET/the cache/", "-"], "Output path s3://BUCKET/the cache/ already exists!"),
        (["--files", "nope", "-"], "No such file or directory: nope"),
        (["-q", "--setup", "sh nope.sh#", "-"], "No such file or directory: nope.sh"),
    ],
)
def test_paths_of_a_job_that_are_mistyped(
    bucket: S3Uri, tmp_path: Path, capsys: pytest.CaptureFixture[str], args: list[str], line: str
) -> None:
    team = Team(bucket.bucket, tmp_path, capsys)
    team.publish(team.spec(), "20261120-101112-0a1b2c3d")
    command: list[str | Path] = [
        sys.executable,
        JOB,
        "-r",
        "pybundle-emr",
        *team.switches,
        *(arg.replace("BUCKET", bucket.bucket) for arg in args),
    ]
    ran = subprocess.run(command, input="a\n", capture_output=True, text=True, env=dict(os.environ))
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr
    assert ran.stderr.splitlines()[-1] == line.replace("BUCKET", bucket.bucket)
    assert "-q" not in args or ran.stderr.count("\n") == 1
