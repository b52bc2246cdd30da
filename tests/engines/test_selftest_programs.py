"""The jobs of ``mrjob-pybundle selftest``, on Hadoop and Spark themselves: in tests/line, Spark cannot be checked."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from mrjob_pybundle.selftest.checks import facts_in
from mrjob_pybundle.selftest.doors import PROGRAMS
from tests.engines.conftest import CPYTHON, Job, on_hadoop, succeeded

pytestmark = [pytest.mark.engines, on_hadoop]

WORDS = PROGRAMS / "words.txt"


def test_words_are_counted_on_spark(job: Job) -> None:
    lines = succeeded(job(PROGRAMS / "mr_spark_words.py", WORDS))
    found = dict(tuple(map(json.loads, line.split("\t"))) for line in lines)
    version, executable = found.pop("python")
    assert version == CPYTHON
    assert "/opt/pybundle/" in executable
    assert found == Counter(WORDS.read_text("utf-8").split())


def test_a_container_is_looked_at(job: Job) -> None:
    lines = succeeded(job(PROGRAMS / "mr_nodes.py", WORDS, "--bootstrap-facts", "/nowhere"))
    for line in lines:
        place, said = map(json.loads, line.split("\t"))
        facts = facts_in(said)
        assert place == "container"
        assert facts["python"] == CPYTHON
        assert facts["os"]
        assert facts["user"]
    assert lines
