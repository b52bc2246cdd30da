"""A team whose clusters are none of another test's, and an author's machine that is none of ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from mrjob_pybundle.aws.s3 import S3Uri
from tests.team import Team


@pytest.fixture(autouse=True)
def _machine_of_the_author(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What jobs keep on their author's machine is kept in a directory of the test's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def team(bucket: S3Uri, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Team:
    from moto.backends import get_backend

    get_backend("emr")["123456789012"]["us-east-1"].clusters.clear()  # none of them ends by itself
    return Team(bucket.bucket, tmp_path, capsys)
