"""Who builds and who waits, as authors meet it: the command, against S3 and EMR over HTTP. No master runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from mrjob_pybundle.build import follow
from mrjob_pybundle.cache.claims import Claim
from mrjob_pybundle.context import Context
from mrjob_pybundle.errors import TransientError
from mrjob_pybundle.sandbox.api.faults import Faults, Refuse, Rule
from mrjob_pybundle.sandbox.api.server import Server
from tests.plug import Plug
from tests.tarballs import source_tarball
from tests.team import Team

BUILD = "20261120-101112-0a1b2c3d"


class Author:
    """Somebody's ``mrjob-pybundle build``, in a process of its own."""

    def __init__(self, team: Team, *command: str, **environment: str) -> None:
        source = team.directory / "Python-3.13.5.tar.xz"
        source.write_bytes(source_tarball())
        switches = [*team.switches, "--pybundle-python-source", str(source), "--check-cluster-every", "0.1"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mrjob_pybundle", *(command or ["build"]), *switches],
            env={**os.environ, **environment},
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

    def start(*command: str, **environment: str) -> Author:
        authors.append(Author(team, *command, **environment))
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


def test_a_master_is_told_which_glibc_the_oldest_nodes_have(team: Team, author: Any) -> None:
    build_id = author().reads(r"Build (\S+): launched cluster j-")[1]
    script = team.cache.store.read(f"builds/{build_id}/build-binaries.sh") or b""
    assert b"\nreadonly OLDEST_GLIBC=2.34\n" in script


def test_an_instance_type_that_a_zone_does_not_have(team: Team, author: Any) -> None:
    """EMR says so when it has begun; which option that is about, it does not know."""
    from moto.backends import get_backend

    building = author()
    cluster_id = building.reads(r"launched cluster (j-\w+)")[1]
    cluster: Any = get_backend("emr")["123456789012"]["us-east-1"].clusters[cluster_id]
    cluster.last_state_change_reason = (
        "The requested instance type c5.4xlarge is not supported in the requested availability zone."
    )
    cluster.state = "TERMINATED_WITH_ERRORS"
    said = building.ends()
    assert f"its cluster {cluster_id} ended: The requested instance type c5.4xlarge is not supported" in said
    assert "zone. pybundle_build_instance_type names another type of the build's machine" in said


def test_an_instance_type_that_a_region_does_not_have(team: Team, author: Any) -> None:
    """That EMR says at once."""
    faults = Faults()
    server = Server(lambda: None, lambda action: None, [faults])
    server.start()
    refusal = Refuse(400, "ValidationException", "Instance type 'c5.4xlarge' is not supported.")
    try:
        with faults.injected(Rule("RunJobFlow", refusal)):
            said = author(AWS_ENDPOINT_URL=server.endpoint).ends()
    finally:
        server.stop()
    assert "Instance type 'c5.4xlarge' is not supported" in said
    assert said.endswith("pybundle_build_instance_type names another type of the build's machine.\n")
    assert claims(team) == []


def test_a_rebuild_waits_for_an_ordinary_build_and_then_builds(team: Team, author: Any) -> None:
    """What that one found may be older than what is wanted."""
    ordinary = author()
    build_id = ordinary.reads(r"Build (\S+): launched cluster j-")[1]
    anew = author("build", "--pybundle-rebuild")
    anew.reads(rf"already building this bundle \(build {build_id}\): waiting for it")
    says(team, build_id, "FAILED", message="boom")
    rebuild_id = anew.reads(r"Build (\S+): launched cluster j-")[1]
    assert "boom" in ordinary.ends()
    another = author("build", "--pybundle-rebuild")
    another.reads(rf"already building this bundle \(build {rebuild_id}\): waiting for it")
    says(team, rebuild_id, "FAILED", message="bang")
    assert "bang" in anew.ends()
    assert "bang" in another.ends(), "it has joined a rebuild"
    assert len(team.emr.list_clusters()["Clusters"]) == 2


# a network that is gone for a while

SILENCE = "no answer from S3 for 0:.*, trying again"


@pytest.fixture
def plug(s3_endpoint: str) -> Iterator[Plug]:
    with Plug(s3_endpoint) as plug:
        yield plug


def _lose_the_network(plug: Plug, *authors: Author) -> None:
    """For longer than botocore tries."""
    plug.pull()
    for one in authors:
        one.reads(SILENCE)
    plug.put_back()
    for one in authors:
        one.reads("S3 answers again, after 0:")


@pytest.mark.whole
def test_all_who_follow_a_build_lose_the_network(team: Team, author: Any, plug: Plug) -> None:
    leading = author(AWS_ENDPOINT_URL=plug.endpoint)
    build_id = leading.reads(r"Build (\S+): launched cluster j-")[1]
    joining = author(AWS_ENDPOINT_URL=plug.endpoint)
    watching = author("watch", build_id, AWS_ENDPOINT_URL=plug.endpoint)
    everybody = (leading, joining, watching)
    for one in everybody:
        one.reads("Building the bundle")
    _lose_the_network(plug, *everybody)
    says(team, build_id, "FAILED", message="boom")
    for one in (leading, joining):
        assert "failed in stage venv-build: boom" in one.ends()
    assert f"Build {build_id}: it failed in stage venv-build: boom" in watching.ends()
    assert claims(team) == []
    assert len(team.emr.list_clusters()["Clusters"]) == 1


@pytest.mark.whole
def test_who_waits_for_a_build_that_is_being_prepared_loses_the_network(team: Team, author: Any, plug: Plug) -> None:
    claim = team.cache.claims.stake(_key(team), Claim(BUILD, "grace", 0.0))
    joining = author(AWS_ENDPOINT_URL=plug.endpoint)
    joining.reads("waiting for it")
    _lose_the_network(plug, joining)
    assert team.cache.claims.replace(_key(team), claim, replace(claim, cluster_id="j-UNKNOWN"))
    says(team, BUILD, "FAILED", message="boom")
    assert "failed in stage venv-build: boom" in joining.ends()


def test_who_waited_long_enough_is_told_what_goes_on(team: Team, plug: Plug) -> None:
    claim = Claim(BUILD, "grace", 0.0, "j-1", region="us-east-1")
    context = Context.of(team.runner("--s3-endpoint", plug.endpoint)._opts)
    plug.pull()
    with pytest.raises(TransientError) as caught:
        follow(claim, context, longest=1)
    message = str(caught.value)
    assert message.startswith(f"No connection to AWS (reading s3://{team.bucket}/")
    assert "The build goes on in cluster j-1. Run the job again to join it." in message
    assert f"mrjob-pybundle watch {BUILD}" in message
    assert f"mrjob-pybundle stop {BUILD}" in message


def test_who_may_not_read_does_not_wait(team: Team, author: Any) -> None:
    """Nobody's patience changes what S3 allows."""
    team.cache.claims.stake(_key(team), Claim(BUILD, "grace", 0.0, "j-1"))
    joining = author()
    joining.reads("Building the bundle")
    team.s3.put_bucket_policy(Bucket=team.bucket, Policy=json.dumps(_DENIED))
    said = joining.ends()
    assert "No permission (reading s3://" in said
    assert "The build goes on in cluster j-1. Run the job again to join it." in said
    assert "trying again" not in said


_DENIED = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::*/*"}],
}


def _key(team: Team) -> str:
    """The key that authors' options lead to."""
    source = team.directory / "Python-3.13.5.tar.xz"
    source.write_bytes(source_tarball())
    return team.spec("--pybundle-python-source", str(source)).key
