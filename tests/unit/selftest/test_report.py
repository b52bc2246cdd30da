"""What a report says, and when a run has ended well."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from mrjob_pybundle.selftest.report import as_json, as_markdown
from mrjob_pybundle.selftest.results import Lived, Outcome, Result, Results
from mrjob_pybundle.selftest.scrub import scrubber

GREEN = Result("doctor", "all is there", Outcome.GREEN, seconds=61.5, seen=["ok  bucket: the-team"])
ANNOUNCED = Result("spark", "Spark", Outcome.NOT_CHECKED, "no Spark here", was_announced=True)
SKIPPED = Result("cold", "a job", Outcome.NOT_CHECKED, "without build, which is not green")
FAILED = Result("build", "a build", Outcome.FAILED, "exit status 4:\nthe last | words\n```")
BUILD = Lived(True, "emr-7.14.0", "2023.7.20250331.0", "c5.4xlarge", 1, "TERMINATED", started_in=300.0, lived=601.0)
JOBS = Lived(False, "emr-7.14.0", "", "m5.xlarge", 2, "RUNNING", started_in=None, lived=None)

RESULTS = Results(
    run_id="20261122-101112-0a1b2c3d",
    version="0.1.0",
    region="us-east-1",
    stand_in=False,
    began="2026-11-22 10:11 UTC",
    seconds=700.0,
    cases=[GREEN, ANNOUNCED],
    facts={"container": {"os": "Amazon Linux 2023", "gcc": ""}},
    clusters=[BUILD, JOBS],
    dollars_at_most=3.65,
    removed=["deleted 3 objects below s3://the-team/tmp/"],
    is_clean=True,
)
SCRUB = scrubber({"bucket": ["the-team"]}, {})


@pytest.mark.parametrize(
    ("differences", "status"),
    [
        ({}, 0),
        ({"cases": [GREEN, SKIPPED]}, 1),
        ({"cases": [GREEN, FAILED]}, 1),
        ({"cases": [ANNOUNCED]}, 0),
        ({"is_clean": False}, 1),
    ],
)
def test_only_what_was_announced_may_stay_unchecked(differences: dict[str, Any], status: int) -> None:
    results = replace(RESULTS, **differences)
    assert results.status == status
    assert json.loads(as_json(results, SCRUB))["status"] == status


def test_the_report_for_people() -> None:
    text = as_markdown(replace(RESULTS, cases=[GREEN, ANNOUNCED, FAILED]), SCRUB)
    assert "1 green, 1 not checked, 1 FAILED, in 11:40" in text
    assert "not of AWS" not in text
    assert "| doctor | green | 1:01 | all is there |" in text
    assert "| spark | not checked: no Spark here | 0:00 | Spark |" in text
    assert "ok  bucket: [bucket]" in text
    assert "the-team" not in text
    assert "the last | words\n'''\n" in text, "a block ends where it ends"
    assert "| a build | emr-7.14.0 | 2023.7.20250331.0 | 1 × c5.4xlarge | 5:00 | 10:01, TERMINATED | $0.16 |" in text
    assert "| jobs | emr-7.14.0 | not said | 2 × m5.xlarge | never | still alive | $0.00 |" in text
    assert "gcc" not in text.split("In a task's container")[1].split("## Clusters")[0]


def test_a_report_of_a_stand_in_says_so_and_settles_nothing() -> None:
    results = replace(RESULTS, stand_in=True)
    assert "**Of a sandbox on one machine, not of AWS**" in as_markdown(results, SCRUB)
    assert {found.is_so for _, found in results.beliefs()} == {None}


def test_what_is_left_is_said() -> None:
    text = as_markdown(replace(RESULTS, is_clean=False), SCRUB)
    assert "mrjob-pybundle selftest --clean 20261122-101112-0a1b2c3d" in text
