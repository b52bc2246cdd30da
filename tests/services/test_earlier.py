"""Earlier builds that were like one: what is found of them in a team's cache, and what that costs."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.bundle.spec import BundleSpec
from mrjob_pybundle.cache.cache import Cache
from mrjob_pybundle.cache.earlier import Earlier, latest_like
from tests.team import Team

#: what the team's builds say of themselves
STAGES = {"compile": 125, "venv": 7}


@pytest.fixture
def team(bucket: S3Uri, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Team:
    return Team(bucket.bucket, tmp_path, capsys)


def _build_id(seconds_ago: float, digits: str = "0a1b2c3d") -> str:
    return time.strftime("%Y%m%d-%H%M%S", time.gmtime(time.time() - seconds_ago)) + f"-{digits}"


def _look(team: Team, spec: BundleSpec, *, rebuild: bool = False) -> tuple[Earlier, list[str]]:
    """What is found, and what S3 was asked for it."""
    client, asked = team.s3, []
    client.meta.events.register("before-call.s3", lambda model, **_: asked.append(model.name))
    cache = Cache(S3Uri(team.bucket, "the cache"), client)
    return latest_like(spec, cache, rebuild=rebuild), asked


def _edited(team: Team, *switches: str) -> BundleSpec:
    script = team.directory / "edited.sh"
    script.write_text("#!/bin/sh\npip install regex\n")
    return team.spec("--pybundle-venv-build", str(script), *switches)


def test_on_the_same_python(team: Team) -> None:
    """From what is best to know to what there is."""
    team.publish(team.spec(), _build_id(1000))
    wanted = _edited(team)
    found, asked = _look(team, wanted)
    assert (found.stages, found.compiles) == (STAGES, False)
    # the rest of the time from the build's beginning until it was published
    assert found.waited is not None
    assert found.waited >= 1000 - sum(STAGES.values()) - 1
    assert asked == ["ListObjectsV2", "GetObject"]

    found, _ = _look(team, wanted, rebuild=True)
    assert (found.stages, found.compiles) == (STAGES, True)

    team.let_pass(days=1)
    for key in ("ab" * 32, "cd" * 32):
        team.cache.store.write(f"venv/{key}/manifest.json", b"{}")
    found, asked = _look(team, wanted)
    assert (found.stages, found.compiles) == (STAGES, False), "the Python's own manifest tells"
    assert len(asked) == 5


def test_on_another_python_of_the_same_version(team: Team) -> None:
    other = team.spec("--pybundle-configure-arg=--with-x")
    for number in range(4):
        team.cache.store.write(f"venv/{number:064d}/manifest.json", b"{}")
    team.let_pass(days=1)
    team.publish(other, _build_id(-5000))
    found, asked = _look(team, _edited(team))
    assert found == Earlier(STAGES, None, compiles=True), "whose author's clock was wrong"
    assert len(asked) == 5
    for switches in (["--pybundle-python-version", "3.11.2"], ["--no-pybundle-optimize"]):
        assert _look(team, _edited(team, *switches))[0] == Earlier({}, None, compiles=True)
