"""What jobs say of what is wrong with their files, before a cluster is launched."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mrjob_pybundle.aws.s3 import S3Uri
from tests.tarballs import source_tarball
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


def _job(team: Team, venv_build: Path, *args: str) -> list[str | Path]:
    tarball = team.directory / "Python-3.13.5.tar.xz"
    tarball.write_bytes(source_tarball())
    switches = [*team.switches, "--pybundle-python-source", str(tarball), "--pybundle-venv-build", str(venv_build)]
    return [sys.executable, JOB, "-r", "pybundle-emr", *switches, *args, "-"]


@pytest.mark.parametrize(
    ("script", "line"),
    [
        (b"#!/bin/bash\r\nset -eu\r\n", "{} has Windows line ends, with which its #! line names nothing. Run dos2unix"),
        (b"if true\r\nthen\r\n  pip install x\r\nfi\r\n", "{} has Windows line ends, on which bash fails (line "),
        (b"#!/bin/bash\nif true; then\n", "{}: line 3: syntax error: unexpected end of file"),
    ],
)
def test_a_venv_build_that_cannot_work_is_told_before_a_build(
    bucket: S3Uri, tmp_path: Path, capsys: pytest.CaptureFixture[str], script: bytes, line: str
) -> None:
    team = Team(bucket.bucket, tmp_path, capsys)
    path = tmp_path / "venv-build.sh"
    path.write_bytes(script)
    clusters = team.emr.list_clusters()["Clusters"]
    ran = subprocess.run(_job(team, path), input="a\n", capture_output=True, text=True, env=dict(os.environ))
    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1].startswith(line.format(path))
    assert "Traceback" not in ran.stderr
    assert team.objects() == set()
    assert team.emr.list_clusters()["Clusters"] == clusters


def test_nobody_looks_at_the_venv_build_of_a_cached_bundle(
    bucket: S3Uri, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    team = Team(bucket.bucket, tmp_path, capsys)
    script = tmp_path / "venv-build.sh"
    script.write_bytes(b"#!/no/such/interpreter\r\n")
    team.publish(team.spec("--pybundle-venv-build", str(script)), "20261120-101112-0a1b2c3d")
    found = team.run("build", "--pybundle-venv-build", str(script))
    assert (found.status, "dos2unix" in found.err) == (0, False)


def test_a_build_says_what_is_odd_and_begins(bucket: S3Uri, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    team = Team(bucket.bucket, tmp_path, capsys)
    script = tmp_path / "venv-build.sh"
    script.write_bytes(b"set -eu\r\n")
    command = _job(team, script, "--region", "eu-nowhere-1", "--check-cluster-every", "0.1")
    said = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as job:
        assert job.stdin is not None
        assert job.stderr is not None
        job.stdin.close()
        for line in job.stderr:
            said.append(line)
            if "launched cluster" in line:
                break
        job.kill()
    assert f"{script} has Windows line ends, which bash takes for a part of each line's last word." in "".join(said)
    assert "the installed boto3 does not know eu-nowhere-1 to have EMR" in "".join(said)
    assert "launched cluster" in said[-1]
