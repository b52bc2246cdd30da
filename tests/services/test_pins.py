"""``cluster-params`` and ``unpin``, against S3 and EMR over HTTP: what is pinned stays, for whom, and until when."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mrjob_pybundle.bundle.spec import Bundle, BundleSpec
from tests.team import Team

BUILD = "20261120-101112-0a1b2c3d"
OTHER_BUILD = "20261121-101112-0a1b2c3d"

#: which the Spark of EMR 7 runs
PYTHON = ("--pybundle-python-version", "3.11.2")


@pytest.fixture
def spec(team: Team) -> BundleSpec:
    """Of a bundle that is cached."""
    spec = team.spec(*PYTHON)
    team.publish(spec, BUILD)
    return spec


def _cached(team: Team, spec: BundleSpec) -> Bundle:
    bundle = team.cache.bundles.find(spec)
    assert bundle is not None
    return bundle


def _params(team: Team, *args: str) -> Any:
    printed = team.run("cluster-params", *PYTHON, *args)
    assert printed.status == 0, printed.err
    return json.loads(printed.out)


def _launch(team: Team, params: Any) -> str:
    """A cluster that lives, as a program starts one with boto3."""
    instances = {"MasterInstanceType": "m5.xlarge", "InstanceCount": 1, "KeepJobFlowAliveWhenNoSteps": True}
    roles = {"JobFlowRole": "x", "ServiceRole": "x"}
    return str(team.emr.run_job_flow(Name="theirs", Instances=instances, **roles, **params)["JobFlowId"])


def _pinned(team: Team, key: str) -> list[str]:
    return sorted(name for name in team.objects() if name.startswith(f"venv/{key}/pins/"))


@pytest.mark.whole
def test_boto3_takes_what_is_printed(team: Team, spec: BundleSpec, caplog: pytest.LogCaptureFixture) -> None:
    cluster_id = _launch(team, _params(team))
    (action,) = team.emr.list_bootstrap_actions(ClusterId=cluster_id)["BootstrapActions"]
    bundle = _cached(team, spec)
    kinds = (("python", bundle.python), ("venv", bundle.venv))
    assert action["Args"] == [*(str(team.cache.bundles.archive_uri(*which)) for which in kinds), "us-east-1"]
    _, script = _pinned(team, spec.key)
    assert action["ScriptPath"] == str(team.cache.root / "v1" / script)
    text = (team.cache.store.read(script) or b"").decode()
    assert bundle.venv.sha256 in text
    jobrunner = f"/opt/pybundle/{bundle.id}/jobrunner"
    (defaults,) = team.emr.describe_cluster(ClusterId=cluster_id)["Cluster"]["Configurations"]
    assert defaults["Classification"] == "spark-defaults"
    assert set(defaults["Properties"].values()) == {jobrunner}
    # so gc will ask there, once nothing is pinned
    assert f"venv/{spec.key}/123456789012/us-east-1/used" in team.objects()
    said = caplog.text
    assert "For clusters of amzn2023 on x86_64 instances." in said
    assert jobrunner in said
    assert f"mrjob-pybundle unpin {spec.key[:12]}" in said
    # and what is shown
    row = next(line.split() for line in team.run("ls").out.splitlines() if bundle.id in line)
    assert row[:3] == [spec.key[:12], bundle.id, "ada"]
    assert f"pinned    bundle id {bundle.id}, by ada on " in team.run("show", spec.key).out
    (pin,) = json.loads(team.run("show", "--json", spec.key).out)["pins"]
    assert (pin["bundle_id"], pin["owner"], pin["venv"]) == (bundle.id, "ada", bundle.venv.sha256)
    # without Spark
    printed = _params(team, "--no-spark")
    assert (len(printed["BootstrapActions"]), printed["Configurations"]) == (1, [])


def test_a_python_that_spark_does_not_run(team: Team) -> None:
    """Refused before anything is built."""
    refused = team.run("cluster-params")
    assert refused.status == 2
    assert "(--no-spark leaves it alone), and the Spark of emr-7.14.0 runs at most Python 3.11" in refused.err
    assert team.objects() == set()


def test_nothing_takes_what_is_pinned(team: Team, spec: BundleSpec) -> None:
    """Not rm, not gc, and not a build that takes the bundle's place."""
    _params(team)
    removed = team.run("rm", spec.key)
    assert removed.status == 2
    assert f"bundle {spec.key[:12]} is pinned" in removed.err
    assert f"mrjob-pybundle unpin {spec.key[:12]}" in removed.err
    kept = team.run("rm", "--older-openssl", "9.0.0").out
    assert kept == f"kept venv {spec.key[:12]}: it is pinned, for other programs start clusters with it\n"
    old = _cached(team, spec)
    for name in (f"venv/{spec.key}/manifest.json", f"python/{spec.python.key}/manifest.json"):
        team.cache.store.delete(name)
    team.publish(spec, OTHER_BUILD)
    before = team.objects()
    team.let_pass(days=100)
    assert team.run("gc", "--unused-for", "30").status == 0
    assert before - team.objects() == {name for name in before if name.startswith(f"builds/{BUILD}/")}
    assert _cached(team, spec) != old


@pytest.mark.whole
def test_when_it_is_unpinned_clusters_still_have_what_they_were_started_with(team: Team, spec: BundleSpec) -> None:
    params = _params(team)
    team.run("unpin", spec.key)
    assert _params(team) == params
    cluster_id = _launch(team, params)
    unpinned = team.run("unpin", spec.key[:12])
    assert (unpinned.status, unpinned.out.startswith(f"unpinned bundle {spec.key[:12]}")) == (0, True), unpinned.err
    (script,) = _pinned(team, spec.key)
    for key in (spec.key, spec.python.key):
        again = team.run("unpin", key)
        assert (again.status, again.out) == (2, "")
        assert f"{key[:12]} is not pinned. mrjob-pybundle ls lists what is." in again.err
    assert team.run("rm", spec.key).status == 0
    team.let_pass(days=2)
    assert team.run("gc").out == "Nothing to delete.\n"
    assert script in team.objects()
    team.emr.terminate_job_flows(JobFlowIds=[cluster_id])
    collected = team.run("gc").out
    assert f"deleted unpinned bootstrap script of {spec.key[:12]}" in collected
    assert f"deleted venv archive of {spec.key[:12]}" in collected
    assert not any(name.startswith(f"venv/{spec.key}/") for name in team.objects())


@pytest.mark.whole
def test_a_pin_that_cannot_be_read_might_name_anything(team: Team, spec: BundleSpec) -> None:
    _params(team)
    pin, _ = _pinned(team, spec.key)
    team.cache.store.write(pin, b"{")
    team.cache.store.delete(f"venv/{spec.key}/manifest.json")
    team.cache.store.delete(f"python/{spec.python.key}/manifest.json")
    team.let_pass(days=30)
    assert "archive" not in team.run("gc").out
    assert "damaged" in team.run("ls").out
    assert team.run("unpin", spec.key).status == 0
    team.let_pass(days=1)
    assert team.run("gc").out.count(" archive of ") == 2
