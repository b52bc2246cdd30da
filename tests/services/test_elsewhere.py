"""One cache, two regions, two accounts: who waits for whose build, who ends it, and what gc leaves to whom."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.cache.claims import Claim
from mrjob_pybundle.cache.layout import SCRIPT
from mrjob_pybundle.sandbox.api.faults import ACCESS_DENIED_BY_EMR, Faults, Rule
from mrjob_pybundle.sandbox.api.requests import Request
from mrjob_pybundle.sandbox.api.server import Server
from tests.elsewhere import regions_and_accounts
from tests.services.test_builds import claims, says
from tests.tarballs import source_tarball
from tests.team import Team

BUILD = "20261120-101112-0a1b2c3d"
OURS, THEIRS = "123456789012", "222222222222"
NEAR, FAR = "us-east-1", "eu-west-1"

Requests = list[tuple[str, Request]]


@pytest.fixture
def requests() -> Requests:
    return []


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def endpoint(
    aws_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, requests: Requests, faults: Faults
) -> Iterator[str]:
    """AWS where ``barbara`` has an account of her own. Of EMR's clusters, none is left from other tests."""
    from moto.backends import get_backend

    for account in (OURS, THEIRS):
        for region in (NEAR, FAR):
            get_backend("emr")[account][region].clusters.clear()
    server = Server(lambda: None, lambda _: None, [faults, regions_and_accounts({"barbara": THEIRS}, requests)])
    server.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
    yield server.endpoint
    server.stop()


@pytest.fixture
def team(endpoint: str, bucket: S3Uri, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Team:
    (tmp_path / "Python-3.13.5.tar.xz").write_bytes(source_tarball())
    return Team(bucket.bucket, tmp_path, capsys)


@dataclass
class Somebody:
    """One of the team: where their clusters are, and whose credentials they have."""

    team: Team
    region: str
    key_id: str = "test"

    def command(self, *args: str) -> subprocess.Popen[str]:
        """Start ``mrjob-pybundle ARGS``."""
        source = ["--pybundle-python-source", str(self.team.directory / "Python-3.13.5.tar.xz")]
        switches = [*self.team.switches, *source, "--check-cluster-every", "0.1", "--region", self.region]
        return subprocess.Popen(
            [sys.executable, "-m", "mrjob_pybundle", args[0], *switches, *args[1:]],
            env={**os.environ, "AWS_ACCESS_KEY_ID": self.key_id},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *args: str) -> tuple[int, str]:
        """Exit status and all that ``mrjob-pybundle ARGS`` prints."""
        process = self.command(*args)
        out, err = process.communicate()
        return process.returncode, out + err

    @property
    def emr(self) -> Any:
        import boto3

        return boto3.session.Session(self.key_id, "secret").client("emr", region_name=self.region)

    def clusters(self) -> list[str]:
        return [cluster["Name"] for cluster in self.emr.list_clusters()["Clusters"]]


@pytest.fixture
def people(team: Team) -> list[Somebody]:
    """Ada, her colleague in another region, Barbara of another account, and Barbara in another region."""
    return [Somebody(team, NEAR), Somebody(team, FAR), Somebody(team, NEAR, "barbara"), Somebody(team, FAR, "barbara")]


def _reads(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    assert process.stderr is not None
    log = []
    for line in process.stderr:
        log.append(line)
        match = re.search(pattern, line)
        if match:
            return match
    raise AssertionError(f"no {pattern}: {''.join(log)}")


def _falls_silent(team: Team, build_id: str, minutes: float) -> None:
    team._stored(f"builds/{build_id}/status.json").last_modified -= timedelta(minutes=minutes)


@pytest.mark.whole
def test_an_author_of_each_waits_for_the_others_build(team: Team, people: list[Somebody]) -> None:
    """Two bundles: Ada builds one, Barbara in another region the other; everybody wants both."""
    builders = {"one": people[0], "two": people[3]}
    started: list[subprocess.Popen[str]] = []
    try:
        for name, builder in builders.items():
            script = team.directory / f"{name}.sh"
            script.write_text(f"echo {name}\n")
            arguments = ["build", "--pybundle-venv-build", str(script)]
            leading = builder.command(*arguments)
            started.append(leading)
            build_id = _reads(leading, r"Build (\S+): launched cluster j-")[1]
            _reads(leading, "Building the bundle")
            (claim,) = claims(team)
            account = THEIRS if builder.key_id == "barbara" else OURS
            assert (claim.region, claim.account) == (builder.region, account)
            others = [somebody.command(*arguments) for somebody in people if somebody is not builder]
            started += others
            for other in others:
                _reads(other, f"is already building this bundle.*{build_id}")
                _reads(other, "Building the bundle")
            says(team, build_id, "RUNNING")
            for other in others:
                _reads(other, r"\] venv-build")
            _falls_silent(team, build_id, minutes=10)
            latecomers = [somebody.command(*arguments) for somebody in people if somebody is not builder]
            started += latecomers
            for latecomer in latecomers:
                _reads(latecomer, r"\] venv-build")
            says(team, build_id, "FAILED", message="boom")
            for one in (leading, *others, *latecomers):
                assert "failed in stage venv-build: boom" in one.communicate()[1]
    finally:
        for one in started:
            one.kill()
            one.communicate()
    assert [len(somebody.clusters()) for somebody in people] == [1, 0, 0, 1]
    assert claims(team) == []


def test_who_has_fallen_silent_elsewhere_has_ended(team: Team, people: list[Somebody], requests: Requests) -> None:
    """After a quarter of an hour; the EMR of neither region is asked about the other's cluster."""
    key = team.spec("--pybundle-python-source", str(team.directory / "Python-3.13.5.tar.xz")).key
    team.cache.claims.stake(key, Claim(BUILD, "grace", 0.0, "j-1", region=FAR, account=OURS))
    says(team, BUILD, "RUNNING")
    _falls_silent(team, BUILD, minutes=16)
    building = people[0].command("build")
    build_id = _reads(building, r"Build (\S+): launched cluster j-")[1]
    assert not any(request.operation == "DescribeCluster" for _, request in requests)
    says(team, build_id, "FAILED", message="boom")
    assert "boom" in building.communicate()[1]


def test_a_build_that_another_account_prepares(team: Team, people: list[Somebody]) -> None:
    """Its author died right after launching, and nobody here can find the cluster; but its master speaks."""
    key = team.spec("--pybundle-python-source", str(team.directory / "Python-3.13.5.tar.xz")).key
    team.cache.claims.stake(key, Claim(BUILD, "grace", 0.0, region=NEAR))
    team._stored(f"claims/{key}.json").last_modified -= timedelta(minutes=5)
    says(team, BUILD, "RUNNING")
    joining, watching = people[2].command("build"), people[0].command("watch", BUILD)
    for one in (joining, watching):
        _reads(one, rf"Building the bundle \(build {BUILD}, on a cluster whose id nobody has noted\)")
    says(team, BUILD, "FAILED", message="boom")
    assert "failed in stage venv-build: boom" in joining.communicate()[1]
    assert "failed in stage venv-build: boom" in watching.communicate()[1]
    assert people[2].clusters() == []


def _claimed_elsewhere(team: Team) -> Any:
    """Five minutes ago, without a cluster since: what S3 has of that claim."""
    key = team.spec("--pybundle-python-source", str(team.directory / "Python-3.13.5.tar.xz")).key
    team.cache.claims.stake(key, Claim(BUILD, "grace", 0.0, region=FAR))
    claim = team._stored(f"claims/{key}.json")
    claim.last_modified -= timedelta(minutes=5)
    return claim


def test_a_build_elsewhere_that_nobody_has_launched(team: Team, people: list[Somebody]) -> None:
    """Its author died before: EMR there is asked, and who waits need not do so any longer."""
    _claimed_elsewhere(team)
    building = people[0].command("build")
    build_id = _reads(building, r"Build (\S+): launched cluster j-")[1]
    says(team, build_id, "FAILED", message="boom")
    assert "boom" in building.communicate()[1]


def test_a_build_elsewhere_that_was_launched(team: Team, people: list[Somebody]) -> None:
    """Its author died right after: the cluster is found there, and its build followed."""
    _claimed_elsewhere(team)
    cluster_id = _launch(people[1])
    building = people[0].command("build")
    _reads(building, rf"Building the bundle \(build {BUILD}, cluster {cluster_id}")
    says(team, BUILD, "FAILED", message="boom")
    assert "failed in stage venv-build: boom" in building.communicate()[1]
    assert people[0].clusters() == []


def test_a_build_elsewhere_where_nobody_may_look(team: Team, people: list[Somebody], faults: Faults) -> None:
    """Who waits is told for how long at most."""
    claim = _claimed_elsewhere(team)
    with faults.injected(Rule("ListClusters", ACCESS_DENIED_BY_EMR)):
        building = people[0].command("build")
        _reads(
            building, rf"none can be looked for in {FAR} \(.*If nothing is heard of it until 15 minutes after it was"
        )
        claim.last_modified -= timedelta(minutes=11)
        build_id = _reads(building, r"Build (\S+): launched cluster j-")[1]
    says(team, build_id, "FAILED", message="boom")
    assert building.communicate()[1].count("none can be looked for") == 0, "once is enough"


def _launch(somebody: Somebody) -> str:
    return str(
        somebody.emr.run_job_flow(
            Name=f"mrjob-pybundle build {BUILD}",
            Instances={"MasterInstanceType": "m5.xlarge", "InstanceCount": 1, "KeepJobFlowAliveWhenNoSteps": True},
            JobFlowRole="x",
            ServiceRole="x",
        )["JobFlowId"]
    )


def test_stop_asks_the_region_of_the_claim(team: Team, people: list[Somebody]) -> None:
    ada, colleague, _, barbara = people
    says(team, BUILD, "RUNNING")
    cluster_id = _launch(colleague)
    team.cache.claims.stake("ab" * 32, Claim(BUILD, "grace", 1.0, cluster_id, region=FAR, account=OURS))
    status, said = barbara.run("stop", BUILD)
    assert status == 4
    assert f"EMR in {FAR} does not know cluster {cluster_id} of build {BUILD}: it is account {OURS}'s, ask from" in said
    status, said = ada.run("stop", BUILD)
    assert (status, f"ending cluster {cluster_id} of build {BUILD}" in said) == (0, True), said
    state = colleague.emr.describe_cluster(ClusterId=cluster_id)["Cluster"]["Status"]["State"]
    assert state.startswith("TERMINAT")


def test_stop_finds_the_cluster_in_the_region_of_the_claim(team: Team, people: list[Somebody]) -> None:
    says(team, BUILD, "RUNNING")
    cluster_id = _launch(people[1])
    team.cache.claims.stake("ab" * 32, Claim(BUILD, "grace", 1.0, region=FAR))
    status, said = people[0].run("stop", BUILD)
    assert (status, f"ending cluster {cluster_id} of build {BUILD}" in said) == (0, True), said


def _removed(team: Team, *users: Somebody) -> list[str]:
    """A bundle that was removed a month ago; ids of its users' clusters, which still live."""
    spec = team.spec("--pybundle-python-source", str(team.directory / "Python-3.13.5.tar.xz"))
    team.publish(spec, BUILD)
    launched = []
    for user in users:
        status, said = user.run("create-cluster")
        assert status == 0, said
        launched.append(said.splitlines()[0])
    team.run("rm", spec.key, spec.python.key)
    team.let_pass(days=30)
    return launched


def test_gc_asks_all_regions_that_use_a_bundle(team: Team, people: list[Somebody]) -> None:
    ada, colleague, *_ = people
    (cluster_id,) = _removed(team, colleague)
    assert " archive of " not in ada.run("gc")[1]
    colleague.emr.terminate_job_flows(JobFlowIds=[cluster_id])
    assert ada.run("gc")[1].count("deleted venv archive of ") == 1


def test_gc_leaves_to_others_what_only_they_can_tell(team: Team, people: list[Somebody]) -> None:
    ada, _, _, barbara = people
    ours, theirs = _removed(team, ada, barbara)
    ada.emr.terminate_job_flows(JobFlowIds=[ours])
    status, said = ada.run("gc")
    assert status == 0
    for kind in ("venv", "python"):
        assert re.search(
            rf"kept the {kind} archive of \w{{12}}: clusters in {FAR} of account {THEIRS} may need it. Run gc there.",
            said,
        ), said
    assert "deleted venv archive" not in said
    assert " archive of " not in barbara.run("gc")[1], "her cluster lives"
    barbara.emr.terminate_job_flows(JobFlowIds=[theirs])
    said = barbara.run("gc")[1]
    assert "deleted venv archive of " in said
    assert "deleted python archive of " in ada.run("gc")[1] + said


def test_gc_keeps_a_claim_of_another_account(team: Team, people: list[Somebody]) -> None:
    ada, _, barbara, _ = people
    _removed(team)
    cluster_id = _launch(barbara)
    barbara.emr.terminate_job_flows(JobFlowIds=[cluster_id])
    claim = Claim(BUILD, "barbara", 0.0, cluster_id, region=NEAR, account=THEIRS)
    team.cache.claims.stake("ab" * 32, claim)
    team.let_pass(days=2)
    assert "python archive" not in ada.run("gc")[1]
    assert claims(team) == [claim]
    assert "deleted the claim" in barbara.run("gc")[1]


TMP_DIR = r"cloud_tmp_dir \(team-\w+\) is in us-east-1, the cluster is in eu-west-1\. EMR's documentation wants"
CACHE = r"the cache \(team-\w+\) is in us-east-1, the cluster is in eu-west-1\. That works"


def test_buckets_elsewhere(team: Team, people: list[Somebody], requests: Requests) -> None:
    """They are told of before anything is launched; S3 is asked for that before a build alone."""
    ada, colleague, *_ = people
    building = colleague.command("build")
    for pattern in (TMP_DIR, CACHE):
        _reads(building, pattern)
    build_id = _reads(building, r"Build (\S+): launched cluster j-")[1]
    says(team, build_id, "FAILED", message="boom")
    building.communicate()
    team.publish(team.spec("--pybundle-python-source", str(team.directory / "Python-3.13.5.tar.xz")), BUILD)
    requests.clear()
    _, said = colleague.run("create-cluster")
    for pattern in (TMP_DIR, CACHE):
        assert len(re.findall(pattern, said)) == 1, said
        assert said.index("the cluster is in eu-west-1") < said.index("Created new cluster")
    ours = [request.operation for _, request in requests]
    assert "HeadBucket" not in ours[: ours.index("PutObject")], "mrjob's own come later"
    _, said = ada.run("create-cluster")
    assert "the cluster is in" not in said
    # What is sent beside mrjob's own work tells of a bucket that the cache is not in.
    other = f"{team.bucket}-tmp"
    team.s3.create_bucket(Bucket=other)
    _, said = colleague.run("create-cluster", "--cloud-tmp-dir", f"s3://{other}/tmp/")
    assert said.index(f"cloud_tmp_dir ({other}) is in us-east-1") < said.index("Created new cluster")


@pytest.mark.whole
def test_nodes_and_masters_are_told_where_the_cache_is(team: Team, people: list[Somebody]) -> None:
    """Wherever the author and the cluster are; authors of one region and another share pooled clusters."""
    ada, colleague, *_ = people
    building = colleague.command("build")
    build_id = _reads(building, r"Build (\S+): launched cluster j-")[1]
    assert f"readonly CACHE_REGION={NEAR}\n".encode() in (team.cache.store.read(f"builds/{build_id}/{SCRIPT}") or b"")
    (cluster,) = colleague.emr.list_clusters()["Clusters"]
    (step,) = colleague.emr.list_steps(ClusterId=cluster["Id"])["Steps"]
    assert step["Config"]["Args"][-1] == NEAR
    says(team, build_id, "FAILED", message="boom")
    building.communicate()
    team.publish(team.spec("--pybundle-python-source", str(team.directory / "Python-3.13.5.tar.xz")), BUILD)
    actions = []
    for somebody in (ada, colleague):
        _, said = somebody.run("create-cluster")
        asked = somebody.emr.list_bootstrap_actions(ClusterId=said.splitlines()[0])["BootstrapActions"]
        actions.append((asked[0]["ScriptPath"], asked[0]["Args"]))
    assert actions[0] == actions[1]
    assert actions[0][1][2:] == [NEAR]


def test_doctor_tells_of_buckets_elsewhere(team: Team, people: list[Somebody]) -> None:
    _, said = people[1].run("doctor")
    assert re.search(f"^note +bucket: {CACHE}", said, flags=re.MULTILINE)
    assert re.search(f"^note +cloud_tmp_dir: {TMP_DIR}", said, flags=re.MULTILINE)
    _, said = people[0].run("doctor")
    assert re.search("^ok +cloud_tmp_dir: team-.*, in us-east-1$", said, flags=re.MULTILINE)


def test_a_claim_of_before_places_were_named() -> None:
    content = b'{"beat":0,"build_id":"20261120-101112-0a1b2c3d","cluster_id":"j-1","owner":"ada","since":1.0}'
    assert Claim.parse(content) == Claim(BUILD, "ada", 1.0, "j-1")
