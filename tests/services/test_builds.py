"""Who builds and who waits, as authors meet it: the command, against S3 and EMR over HTTP. No master runs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.cache.claims import Claim
from tests.team import Team

BUILD = "20261120-101112-0a1b2c3d"


@pytest.fixture
def team(bucket: S3Uri, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Team:
    from moto.backends import get_backend

    get_backend("emr")["123456789012"]["us-east-1"].clusters.clear()  # none of them ends by itself
    return Team(bucket.bucket, tmp_path, capsys)


class Author:
    """Somebody's ``mrjob-pybundle build``, in a process of its own."""

    def __init__(self, team: Team) -> None:
        source = team.directory / "Python-3.13.5.tar.xz"
        source.write_bytes(b"never unpacked here")
        switches = [*team.switches, "--pybundle-python-source", str(source), "--check-cluster-every", "0.1"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mrjob_pybundle", "build", *switches],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log: list[str] = []

    def reads(self, pattern: str) -> re.Match[str]:
        """Wait until that is in the log."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line)
            match = re.search(pattern, line)
            if match:
                return match
        raise AssertionError(f"no {pattern}: {''.join(self.log)}")

    def ends(self) -> str:
        """Wait for its end; the rest of the log."""
        return self.process.communicate()[1]


@pytest.fixture
def author(team: Team) -> Iterator[Any]:
    authors: list[Author] = []

    def start() -> Author:
        authors.append(Author(team))
        return authors[-1]

    yield start
    for one in authors:
        one.process.kill()
        one.process.communicate()


def says(team: Team, build_id: str, state: str, **more: Any) -> None:
    """The master of a build speaks."""
    status = {"state": state, "stage": "venv-build", "started": 0, "stage_started": 0, "log_size": 0, "stages": {}}
    body = {**status, "exit_status": None, "message": None, **more}
    team.cache.builds.put(build_id, "status.json", json.dumps(body).encode())


def claims(team: Team) -> list[Claim]:
    keys = [name.removeprefix("claims/").removesuffix(".json") for name in team.objects() if name.startswith("claims/")]
    return [claim for claim in map(team.cache.claims.read, keys) if claim]


def test_a_build_elsewhere_is_joined(team: Team, author: Any) -> None:
    """EMR here does not know its cluster, and so cannot say that it has ended."""
    key = _key(team)
    team.cache.claims.stake(key, Claim(BUILD, "grace", 0.0, "j-UNKNOWN"))
    joining = author()
    joining.reads(rf"grace is already building this bundle \(build {BUILD}\): waiting for it")
    says(team, BUILD, "FAILED", message="boom")
    assert "failed in stage venv-build: boom" in joining.ends()
    assert team.emr.list_clusters()["Clusters"] == []


def test_a_build_of_which_nobody_has_heard_for_long_is_taken_over(team: Team, author: Any) -> None:
    key = _key(team)
    team.cache.claims.stake(key, Claim(BUILD, "grace", 0.0, "j-UNKNOWN"))
    team.let_pass(days=1)
    taking_over = author()
    taking_over.reads(rf"Build {BUILD} of grace has ended without a bundle: starting another")
    build_id = taking_over.reads(r"Build (\S+): launched cluster j-")[1]
    says(team, build_id, "FAILED", message="boom")
    assert "failed in stage venv-build: boom" in taking_over.ends()
    assert [cluster["Name"] for cluster in team.emr.list_clusters()["Clusters"]] == [f"mrjob-pybundle build {build_id}"]
    assert claims(team) == []


def _key(team: Team) -> str:
    """The key that authors' options lead to."""
    source = team.directory / "Python-3.13.5.tar.xz"
    source.write_bytes(b"never unpacked here")
    return team.spec("--pybundle-python-source", str(source)).key
