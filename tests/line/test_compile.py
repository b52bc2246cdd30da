"""The whole line of a team that has nothing yet: its first author has CPython compiled."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from mrjob_pybundle.sandbox.api.access import Policy, is_allowed
from tests.compiled import CPYTHON
from tests.line.conftest import Line
from tests.line.test_line import VENV_BUILD, WORDCOUNT, counted, counts
from tests.line.test_policies import MASTER, documents, filled_in

pytestmark = pytest.mark.whole

BUCKET = "has-nothing-yet"
STAGES = [
    *("prepare", "packages", "source", "configure", "compile", "install", "check", "python-archive"),
    *("inputs", "venv", "venv-build", "finish-venv", "venv-archive", "publish"),
]


@dataclass(frozen=True)
class Build:
    """What the author has seen, and what is in the cache."""

    line: Line
    log: str
    counts: dict[str, int]

    def read(self, pattern: str) -> bytes:
        """The only object whose name below ``v1/`` matches *pattern*."""
        (key,) = [key for key in self.line.objects(BUCKET) if re.fullmatch(f"cache/v1/{pattern}", key)]
        return self.line.read(key, BUCKET)

    def manifest(self, kind: str) -> dict[str, Any]:
        manifest: dict[str, Any] = json.loads(self.read(f"{kind}/[0-9a-f]+/manifest.json"))
        return manifest


@pytest.fixture(scope="module")
def built(line: Line, texts: list[Path]) -> Build:
    """By the first author: minutes."""
    line.client("s3").create_bucket(Bucket=BUCKET)
    cache = ("--pybundle-cache-uri", f"s3://{BUCKET}/cache")
    run = line.job(WORDCOUNT, *cache, "--pybundle-venv-build", VENV_BUILD, *texts)
    return Build(line, run.stderr, counts(run))


def test_the_first_author_compiles_and_counts(built: Build, texts: list[Path]) -> None:
    assert built.counts == counted(texts)
    assert re.search(r"^  \[\d+:\d\d\] install \(compile took \d+:\d\d\)$", built.log, re.MULTILINE)
    assert "Makefile" not in built.log, "what the compiler says is in S3"


def test_it_reports_every_stage(built: Build) -> None:
    status = json.loads(built.read("builds/[^/]+/status.json"))
    log = built.read("builds/[^/]+/log.txt")
    assert (status["state"], status["stage"]) == ("SUCCEEDED", "publish")
    assert list(status["stages"]) == re.findall(r"^==> (\S+)$", log.decode(), re.MULTILINE) == STAGES
    assert status["log_size"] == len(log)


def test_the_manifest_of_the_python(built: Build) -> None:
    manifest = built.manifest("python")
    archive = built.read("python/[0-9a-f]+/[0-9a-f]+.tar.gz")
    assert manifest["format"] == 1
    assert manifest["kind"] == "python"
    assert manifest["key"] == built.manifest("venv")["python"]["key"]
    assert manifest["archive"]["sha256"] == hashlib.sha256(archive).hexdigest()
    assert manifest["archive"]["size"] == len(archive)
    assert manifest["archive"]["unpacked_size"] > len(archive)
    assert (manifest["inputs"]["version"], manifest["inputs"]["optimize"]) == (CPYTHON, False)
    assert manifest["source"]["name"] == f"Python-{CPYTHON}.tar.xz"
    assert manifest["contents"]["python_version"] == CPYTHON
    assert manifest["contents"]["openssl"].startswith("OpenSSL ")
    assert manifest["build"]["arch"] == os.uname().machine
    assert manifest["build"]["seconds"]["compile"] > 0


def test_compiling_under_the_policies(built: Build) -> None:
    """Its master was not restricted; the policy of docs/security.md would have let it."""
    place = f"arn:aws:s3:::{BUCKET}/cache/"
    calls = [
        replace(call, resource=call.resource.replace(place, "arn:aws:s3:::bundles/pybundle/"))
        for call in built.line.access.calls
        if call.principal == "role-BundleBuilder" and call.resource.startswith(place)
    ]
    assert [call for call in calls if call.action == "s3:PutObject" and "/v1/python/" in call.resource]
    policy = Policy(filled_in(documents()[MASTER]))
    assert [call for call in calls if not is_allowed(call, [policy])] == []
