"""The whole line of a team that has nothing yet: its first author has CPython compiled."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import replace

import pytest

from mrjob_pybundle.sandbox import BUCKET
from mrjob_pybundle.sandbox.api.access import Policy, is_allowed
from tests.compiled import CPYTHON, FirstAuthor, first_author, texts
from tests.line.test_line import counted, counts
from tests.line.test_policies import MASTER, documents, filled_in

pytestmark = pytest.mark.whole

STAGES = [
    *("prepare", "packages", "source", "configure", "compile", "install", "check", "python-archive"),
    *("inputs", "venv", "venv-build", "finish-venv", "venv-archive", "publish"),
]


@pytest.fixture(scope="module")
def author(tmp_path_factory: pytest.TempPathFactory) -> FirstAuthor:
    """Of this test run: minutes."""
    return first_author(tmp_path_factory.mktemp("first"))


def test_the_first_author_compiles_and_counts(author: FirstAuthor) -> None:
    assert counts(author.output) == counted(texts())
    assert re.search(r"^  \[\d+:\d\d\] install \(compile took \d+:\d\d\)$", author.log, re.MULTILINE)
    assert "Makefile" not in author.log, "what the compiler says is in S3"


def test_it_reports_every_stage(author: FirstAuthor) -> None:
    status = json.loads(author.read("builds/[^/]+/status.json"))
    log = author.read("builds/[^/]+/log.txt")
    assert (status["state"], status["stage"]) == ("SUCCEEDED", "publish")
    assert list(status["stages"]) == re.findall(r"^==> (\S+)$", log.decode(), re.MULTILINE) == STAGES
    assert status["log_size"] == len(log)


def test_the_manifest_of_the_python(author: FirstAuthor) -> None:
    manifest = author.manifest("python")
    archive = author.read("python/[0-9a-f]+/[0-9a-f]+.tar.gz")
    assert manifest["format"] == 1
    assert manifest["kind"] == "python"
    assert manifest["key"] == author.manifest("venv")["python"]["key"]
    assert manifest["archive"]["sha256"] == hashlib.sha256(archive).hexdigest()
    assert manifest["archive"]["size"] == len(archive)
    assert manifest["archive"]["unpacked_size"] > len(archive)
    assert (manifest["inputs"]["version"], manifest["inputs"]["optimize"]) == (CPYTHON, False)
    assert manifest["source"]["name"] == f"Python-{CPYTHON}.tar.xz"
    assert manifest["contents"]["python_version"] == CPYTHON
    assert manifest["contents"]["openssl"].startswith("OpenSSL ")
    assert manifest["build"]["arch"] == os.uname().machine
    assert manifest["build"]["seconds"]["compile"] > 0


def test_compiling_under_the_policies(author: FirstAuthor) -> None:
    """Its master was not restricted; the policy of docs/security.md would have let it."""
    place = f"arn:aws:s3:::{BUCKET}/cache/"
    calls = [
        replace(call, resource=call.resource.replace(place, "arn:aws:s3:::bundles/pybundle/"))
        for call in author.calls_of_master
        if call.resource.startswith(place)
    ]
    assert [call for call in calls if call.action == "s3:PutObject" and "/v1/python/" in call.resource]
    policy = Policy(filled_in(documents()[MASTER]))
    assert [call for call in calls if not is_allowed(call, [policy])] == []
