"""``selftest`` in the sandbox: every case, and what is left when it is killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.cache.builds import new_build_id
from mrjob_pybundle.sandbox.api.faults import Do, Rule
from mrjob_pybundle.selftest.cases import CASES
from mrjob_pybundle.selftest.names import Names
from mrjob_pybundle.selftest.roles import Roles
from tests.compiled import Compiled, compiled_python
from tests.existing import cluster_without_bundle
from tests.line.conftest import CPYTHON, Line

pytestmark = pytest.mark.whole

#: What cannot be checked where this is no AWS, each with its reason in the report. Nothing else may say "not checked".
NOT_CHECKED = {"spark", "optimized", "graviton", "amazon-linux-2", "iam"}


CONF = """\
include: {sandbox_conf}
runners:
  pybundle-emr:
    pybundle_python_version: {version}
    pybundle_python_source: {tarball}
    cloud_tmp_dir: s3://{bucket}/tmp/
"""

BUCKET = "somebodys-bucket"


@pytest.fixture(scope="module")
def conf(line: Line, tarball: Path) -> Path:
    """That of a person who has an account, and nothing else yet."""
    path = line.directory / "selftest.conf"
    sandbox_conf = line.directory / "sandbox" / "mrjob.conf"
    path.write_text(CONF.format(sandbox_conf=sandbox_conf, version=CPYTHON, tarball=tarball, bucket=BUCKET))
    line.client("s3").create_bucket(Bucket=BUCKET)
    return path


@pytest.fixture(scope="module")
def python() -> Compiled:
    return compiled_python()


@pytest.fixture
def run_id(line: Line, conf: Path, python: Compiled) -> str:
    """Of a run whose cache has a Python already: it takes minutes to compile one."""
    run_id = new_build_id()
    for name, content in python.files.items():
        key = f"tmp/selftest-{run_id}/cache/v1/python/{python.key}/{name}"
        line.client("s3").put_object(Bucket=BUCKET, Key=key, Body=content)
    return run_id


def _left_of(line: Line, run_id: str) -> list[str]:
    """Objects and living clusters of a run."""
    return [key for key in line.objects(BUCKET) if run_id in key]


def test_every_case(line: Line, conf: Path, run_id: str, tmp_path: Path) -> None:
    before = line.objects(BUCKET)
    line.new_clusters()
    directory = tmp_path / "report"
    command = ("-m", "mrjob_pybundle", "selftest", "-c", conf, "--yes", "--all", "--iam", "--dir", directory)
    run = line.run(*command, "--run-id", run_id)
    report = json.loads((directory / "report.json").read_text("utf-8"))
    outcomes = {case["name"]: case["outcome"] for case in report["cases"]}
    told = (directory / "report.md").read_text("utf-8")
    assert outcomes == {case.name: "not checked" if case.name in NOT_CHECKED else "green" for case in CASES}, told
    assert run.returncode == 0, run.stderr

    assert report["stand_in"] is True
    assert report["facts"].keys() == {"build", "bootstrap", "container"}
    assert all(facts["os"] for facts in report["facts"].values())
    assert BUCKET not in told
    assert "123456789012" not in told
    launched = line.new_clusters()
    assert len(launched) == len(report["clusters"]) <= sum(len(case.clusters) for case in CASES)
    assert _left_of(line, run_id) == []
    assert line.objects(BUCKET).keys() == {key for key in before if run_id not in key}
    states = {line.client("emr").describe_cluster(ClusterId=c["Id"])["Cluster"]["Status"]["State"] for c in launched}
    assert states <= {"TERMINATED", "TERMINATED_WITH_ERRORS"}


#: Drawn once: of the first 14 writes, after which the first build has been launched, and of those that follow, as far
#: as the pooled cluster, with builds of several cases beside it.
_PLACES = sorted([*random.Random(16).sample(range(14), 5), *random.Random(16).sample(range(14, 60), 5)])
if os.environ.get("MATRIX") != "whole":
    _PLACES = _PLACES[2::5]


@pytest.fixture(scope="module")
def theirs(line: Line, conf: Path) -> Iterator[tuple[str, str]]:
    """A cluster and an object that look much like a run's, and are somebody else's."""
    key = f"tmp/selftest-{new_build_id()}/cache/v1/builds/{new_build_id()}/inputs.tar.gz"
    line.client("s3").put_object(Bucket=BUCKET, Key=key, Body=b"x")
    with cluster_without_bundle(line, Name=f"mrjob-pybundle build {new_build_id()}") as cluster_id:
        yield cluster_id, key


@pytest.mark.parametrize("place", _PLACES)
def test_nothing_is_left_of_a_run_that_is_killed(
    line: Line, conf: Path, run_id: str, theirs: tuple[str, str], tmp_path: Path, place: int
) -> None:
    """It, and what it has started, dies with its write number *place*; that one may still be carried out."""
    line.new_clusters()
    command = ("-m", "mrjob_pybundle", "selftest", "-c", conf)
    arguments = [str(word) for word in (sys.executable, *command, "--yes", "--dir", tmp_path, "--run-id", run_id)]
    with (tmp_path / "said").open("w") as said:
        run = subprocess.Popen(arguments, env=line.environment, stdout=said, stderr=said, cwd=line.directory)
        # Of all that it and what it starts ask for, what changes something: the sandbox's commands have that key.
        write = Rule("[!GHLD]*", Do(lambda _: run.kill()), who="submitter", after=place, times=1)
        with line.faults.injected(write) as strikes:
            run.wait()
    assert (run.returncode, len(strikes)) == (-signal.SIGKILL, 1), (tmp_path / "said").read_text()

    cleaned = line.run(*command, "--clean", run_id)
    assert cleaned.returncode == 0, cleaned.stderr
    assert _left_of(line, run_id) == []
    emr = line.client("emr")
    states = {
        c["Id"]: emr.describe_cluster(ClusterId=c["Id"])["Cluster"]["Status"]["State"] for c in line.new_clusters()
    }
    assert [state for state in states.values() if not state.startswith("TERMINATED")] == []
    again = line.run(*command, "--clean", run_id)
    assert again.stdout == f"nothing of run {run_id} is left\n"

    cluster_id, key = theirs
    assert emr.describe_cluster(ClusterId=cluster_id)["Cluster"]["Status"]["State"] in ("RUNNING", "WAITING")
    assert key in line.objects(BUCKET)


def test_ctrl_c_takes_away_what_was_made(line: Line, conf: Path, run_id: str, tmp_path: Path) -> None:
    line.new_clusters()
    command = ("-m", "mrjob_pybundle", "selftest", "-c", conf, "--yes", "--dir", tmp_path, "--run-id", run_id)
    run = line.submit(*command, key_id="submitter")
    launched = Rule("RunJobFlow", Do(lambda _: run.send_signal(signal.SIGINT), after=True), times=1)
    with line.faults.injected(launched) as strikes:
        output, log = run.communicate()
    assert (run.returncode, len(strikes)) == (130, 1), log
    assert "ended cluster" in output
    assert _left_of(line, run_id) == []
    emr = line.client("emr")
    states = [emr.describe_cluster(ClusterId=c["Id"])["Cluster"]["Status"]["State"] for c in line.new_clusters()]
    assert len(states) == 1
    assert states[0].startswith("TERMINATED")


def test_the_policies_in_roles_of_the_runs_own(line: Line, conf: Path, run_id: str, tmp_path: Path) -> None:
    """What nodes may is judged here, as the roles' policies say; what submitters may, in test_policies.py."""
    names = Names(run_id, S3Uri(BUCKET, "tmp"))
    documents = Roles(names, None, None, "us-east-1", "EMR_DefaultRole").documents("123456789012")
    nodes = {f"role-{names.role(whose)}": documents[whose] for whose in ("build-master", "job-node")}
    command = ("-m", "mrjob_pybundle", "selftest", "-c", conf, "--yes", "--iam", "--anyway", "--dir", tmp_path)
    with line.access.restricted(nodes):
        run = line.run(*command, "--run-id", run_id, "doctor")
    report = (tmp_path / "report.md").read_text("utf-8")
    assert run.returncode == 0, report
    assert "a mapper that wrote into the cache was refused" in report
    assert run.stdout.count("removed role") == 4
    forbidden = f"arn:aws:s3:::{BUCKET}/{names.cache.key}/v1/python/forbidden"
    assert {call.resource for call in line.access.refused if run_id in call.principal} == {forbidden}
    assert _left_of(line, run_id) == []
