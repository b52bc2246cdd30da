"""The whole line on AWS's bad days: what is got over, what is told, and what is left behind.

The Python is in the cache by then, and mostly the bundle, too; see ``test_team.py``.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from mrjob_pybundle.sandbox.api.faults import (
    ACCESS_DENIED,
    SLOW_DOWN,
    THROTTLED,
    CutShort,
    Do,
    FlipBits,
    HangUp,
    LoseAnswer,
    Rule,
)
from tests.campaign.campaign import Campaign
from tests.campaign.plans import plan
from tests.line.conftest import ROOT, Line

pytestmark = pytest.mark.whole

JOB = ROOT / "tests" / "jobs" / "mr_line_lengths.py"
OUR_ATTEMPTS = 5
NODE = "role-*"


@pytest.fixture(scope="module", autouse=True)
def _a_warm_start(line: Line) -> None:
    """Whatever the tests before have left: the bundle of these jobs is cached."""
    built = line.run("-m", "mrjob_pybundle", "build")
    assert built.returncode == 0, built.stderr[-3000:]


def _job(line: Line, *switches: object) -> subprocess.CompletedProcess[str]:
    """A job on one node, by an author whom rules can tell from the nodes."""
    switches = ("--num-core-instances", "0", *switches)
    return line.job(JOB, *switches, stdin="abc\n", AWS_ACCESS_KEY_ID="author")


def _succeeded(run: subprocess.CompletedProcess[str]) -> None:
    assert (run.returncode, run.stdout) == (0, "3\t1\n"), run.stderr
    assert "Traceback" not in run.stderr


def _failed(run: subprocess.CompletedProcess[str]) -> str:
    """The last line of a job that has failed as it should."""
    assert run.returncode == 1
    assert run.stdout == ""
    assert "Traceback" not in run.stderr
    return run.stderr.strip().splitlines()[-1]


def test_what_passes_is_not_worth_a_word(line: Line) -> None:
    """Throttling, lost answers, broken connections and bodies at every kind of request of a warm start."""
    rules = [
        Rule("GetObject", SLOW_DOWN, key="*/manifest.json", who="author", times=2),
        Rule("GetObject", CutShort(), key="*/manifest.json", who="author", times=1),
        Rule("ListObjectsV2", HangUp(), who="author", times=2),
        Rule("PutObject", LoseAnswer(), key="*/pybundle/bootstrap-*", who="author", times=2),
        Rule("DescribeCluster", THROTTLED, who="author", after=1, times=2),
        Rule("RunJobFlow", CutShort(), who="author", times=1),
        Rule("DescribeStep", LoseAnswer(), who="author", times=1),
        Rule("GetObject", SLOW_DOWN, key="*/v1/python/*.tar.gz", who=NODE, times=2),
        Rule("GetObject", CutShort(), key="*/v1/venv/*.tar.gz", who=NODE, times=2),
    ]
    with line.faults.injected(*rules) as strikes:
        run = _job(line)
    _succeeded(run)
    assert {strike.rule for strike in strikes} == set(rules)
    assert not [text for text in run.stderr.splitlines() if "throttl" in text.lower() or "retr" in text.lower()]


@pytest.mark.parametrize(
    ("operation", "key", "doing"),
    [
        ("GetObject", "*/v1/venv/*/manifest.json", "reading s3://"),
        ("ListObjectsV2", "the-team/", "listing s3://"),
        ("PutObject", "*/pybundle/bootstrap-*", "writing s3://"),
    ],
)
def test_throttled_for_ever(line: Line, operation: str, key: str, doing: str) -> None:
    line.new_clusters()
    with line.faults.injected(Rule(operation, SLOW_DOWN, key=key, who="author")) as strikes:
        said = _failed(_job(line))
    assert said.startswith(f"AWS is throttling requests, even after retries ({doing}")
    listings = 2 if operation == "ListObjectsV2" else 1
    assert len(strikes) == OUR_ATTEMPTS * listings
    assert line.new_clusters() == []


def test_a_use_that_cannot_be_noted(line: Line) -> None:
    """Housekeeping's loss is no reason for a job to fail."""
    _succeeded(_job(line))
    for key in line.objects():
        if key.endswith("/used"):
            line.client("s3").delete_object(Bucket="the-team", Key=key)
    with line.faults.injected(Rule("PutObject", SLOW_DOWN, key="*/v1/venv/*/used", who="author")) as strikes:
        run = _job(line)
    _succeeded(run)
    assert len(strikes) == OUR_ATTEMPTS
    assert "could not note in the cache that this bundle is used: AWS is throttling requests" in run.stderr


def test_a_node_whose_archive_never_arrives_whole(line: Line) -> None:
    rule = Rule("GetObject", FlipBits(), key="*/v1/venv/*.tar.gz", who=NODE)
    with line.faults.injected(rule) as strikes:
        run = _job(line)
    _failed(run)
    assert "bootstrap action 1 returned a non-zero return code" in run.stderr
    assert len(strikes) <= 25


def test_a_bootstrap_action_that_is_killed_halfway(line: Line) -> None:
    def kill(_: object) -> None:
        for cluster in line.new_clusters():
            for node in line.sandbox.nodes(cluster["Id"], "MASTER"):
                node.kill_commands()

    line.new_clusters()
    with line.faults.injected(Rule("GetObject", Do(kill), key="*/v1/venv/*.tar.gz", who=NODE, times=1)) as strikes:
        run = _job(line)
    assert len(strikes) == 1
    _failed(run)
    assert "bootstrap action 1 returned a non-zero return code" in run.stderr


def test_the_master_dies(line: Line) -> None:
    def kill(_: object) -> None:
        for cluster in line.new_clusters():
            for node in line.sandbox.nodes(cluster["Id"], "MASTER"):
                node.stop()

    line.new_clusters()
    with line.faults.injected(Rule("GetObject", Do(kill), key="*/v1/venv/*.tar.gz", who=NODE, times=1)) as strikes:
        run = _job(line)
    assert len(strikes) == 1
    _failed(run)
    # What EMR notices first: the node that is gone, or its bootstrap action.
    assert re.search("The master node was terminated|bootstrap action 1 returned a non-zero return code", run.stderr)


def test_output_that_cannot_be_read(line: Line) -> None:
    with line.faults.injected(Rule("GetObject", SLOW_DOWN, key="*/output/*", who="author")):
        said = _failed(_job(line))
    assert said.startswith("AWS is throttling requests, even after retries (reading the job's output: GetObject)")


def test_a_log_that_is_damaged(line: Line) -> None:
    """It costs the counters that mrjob would have read there, and not the job."""
    with line.faults.injected(Rule("GetObject", FlipBits(64), key="*/steps/*/syslog.gz", who="author")) as strikes:
        run = _job(line)
    assert strikes
    _succeeded(run)
    assert "could not read the counters: a log in S3 is damaged" in run.stderr


def test_cleaning_up_that_is_not_allowed(line: Line) -> None:
    """The job has succeeded: what mrjob cannot remove is told, and is not the end of the world."""
    with line.faults.injected(Rule("Delete*", ACCESS_DENIED, who="author")) as strikes:
        run = _job(line, "--cleanup", "ALL")
    assert strikes
    _succeeded(run)
    assert "No permission (cleaning up: Delete" in run.stderr


def test_lost_answers_of_a_whole_build(line: Line, tmp_path: Path) -> None:
    """Claim, RunJobFlow, archive and manifest are done once, though nobody was told that they were."""
    (tmp_path / "venv-build.sh").write_text("echo lost answers\n")
    rules = [
        Rule("PutObject", LoseAnswer(), key="*/v1/claims/*", who="author", conditional=True, times=1),
        Rule("RunJobFlow", LoseAnswer(), who="author", times=1),
        Rule("PutObject", LoseAnswer(), key="*/v1/venv/*.tar.gz", who=NODE, conditional=True, times=1),
        Rule("PutObject", LoseAnswer(), key="*/v1/venv/*/manifest.json", who=NODE, conditional=True, times=1),
        Rule("PutObject", SLOW_DOWN, key="*/status.json", who=NODE, after=1, times=2),
    ]
    line.new_clusters()
    before = line.objects()
    with line.faults.injected(*rules) as strikes:
        run = _job(line, "--pybundle-venv-build", tmp_path / "venv-build.sh")
    _succeeded(run)
    assert {strike.rule for strike in strikes} == set(rules)
    names = [cluster["Name"] for cluster in line.new_clusters()]
    (build,) = [name for name in names if name.startswith("mrjob-pybundle build")]
    (manifest,) = [key for key in line.objects().keys() - before.keys() if key.endswith("/manifest.json")]
    published = json.loads(line.client("s3").get_object(Bucket="the-team", Key=manifest)["Body"].read())
    assert build.endswith(published["build"]["id"])
    assert not any("/v1/claims/" in key for key in line.objects())


# A part of the fault campaign: see tests/campaign.


@pytest.fixture(scope="module")
def campaign(line: Line, tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    options = {
        "pybundle_python_version": "3.13.5",
        "pybundle_python_source": str(tarball),
        "pybundle_optimize": False,
    }
    campaign = Campaign(line.sandbox, line.faults, options, tmp_path_factory.mktemp("campaign"))
    campaign.prepare("the-team", "it's a cache/$(id)/é")
    return campaign


#: Seed → the share of builds that its plan was drawn with: 1 for a run that builds. Run 10 is not here: nobody is ever
#: told of a step in it, and its author waits for that.
SEEDS = {**dict.fromkeys(range(1, 10), 0.0), 336: 1.0}


@pytest.mark.parametrize(("seed", "builds"), SEEDS.items())
def test_campaign(campaign: Campaign, seed: int, builds: float) -> None:
    """``make campaign`` has hundreds of these; with ``--replay SEED --builds SHARE`` it shows one in full."""
    result = campaign.run(plan(seed, builds, more=False), fresh_author=False)
    assert result.violations == [], result
