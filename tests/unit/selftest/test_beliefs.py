"""Each belief is one of docs/emr.md's, and is settled by what is seen, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from mrjob_pybundle.selftest.beliefs import BELIEFS, PLACES, Belief, Seen
from mrjob_pybundle.selftest.cases import CASES
from mrjob_pybundle.selftest.checks import facts_in

EMR = (Path(__file__).parents[3] / "docs" / "emr.md").read_text("utf-8")

ON_EMR_7 = {
    "os": "Amazon Linux 2023.7.20250331",
    "aws": "aws-cli/2.15.30 Python/3.9.16 Linux/6.1",
    "glibc": "glibc 2.34",
    "openssl": "OpenSSL 3.2.2 4 Jun 2024 (Library: OpenSSL 3.2.2)",
    "hadoop": "hadoop-common-3.4.2.jar",
    "spark": "Spark 3.5.6-amzn-0",
    "tmp_options": "/mnt rw,noatime",
    "job_history_format": "<name>mapreduce.jobhistory.jhist.format</name><value>json</value>",
}
GREEN = frozenset(case.name for case in CASES)


def _seen(**differences: str) -> Seen:
    return Seen({place: {**ON_EMR_7, **differences} for place in PLACES}, GREEN, "emr-7.14.0")


@pytest.mark.parametrize("belief", BELIEFS, ids=lambda belief: belief.question)
def test_it_stands_in_the_document(belief: Belief) -> None:
    assert belief.words in " ".join(EMR.split())


def test_all_that_can_be_settled_is_settled() -> None:
    verdicts = [belief.find(_seen()).is_so for belief in BELIEFS]
    assert False not in verdicts
    assert verdicts.count(True) == len(BELIEFS) - 1


@pytest.mark.parametrize(
    ("name", "value", "question"),
    [
        ("env.AWS_REGION", "eu-west-1", "is AWS_REGION"),
        ("aws", "aws-cli/1.18.147", "aws --version"),
        ("glibc", "glibc 2.39", "which glibc"),
        ("tmp_options", "/tmp rw,noexec", "may programs run"),
    ],
)
def test_a_belief_that_was_wrong(name: str, value: str, question: str) -> None:
    seen = _seen(**{name: value})
    wrong = [(belief.question, belief.find(seen)) for belief in BELIEFS if belief.find(seen).is_so is False]
    assert len(wrong) == 1
    assert question in wrong[0][0]
    assert value in wrong[0][1].what


def test_nothing_is_settled_by_nothing() -> None:
    assert [belief.find(Seen({}, frozenset(), "")).is_so for belief in BELIEFS] == [None] * len(BELIEFS)


def test_what_the_probe_says_is_found_anywhere_in_a_line() -> None:
    lines = ["10:11:12 probe:os=Amazon Linux 2023", "probe:env.PATH=/a:/b=c", "else", "probe:gcc="]
    assert facts_in(lines) == {"os": "Amazon Linux 2023", "env.PATH": "/a:/b=c", "gcc": ""}
