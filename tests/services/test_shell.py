"""``mrjob-pybundle shell``: a bundle on this machine, fetched over HTTP, verified, unpacked, and used by a command."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.bundle.spec import BundleSpec
from tests.scripts.test_bootstrap import archive
from tests.team import Team

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the team's bundles are for x86_64")

BUILD = "20261120-101112-0a1b2c3d"

#: This machine's own Python stands for the bundle's. It says as whom it was called.
PYTHON = f'#!/bin/sh\n[ "$1" != -c ] || exec {sys.executable} "$@"\necho "$VIRTUAL_ENV: $*"\n'
ARCHIVES = {"python": archive({"py/bin/python3": "x"}), "venv": archive({"venv/bin/python": PYTHON})}


@dataclass
class Laptop:
    """Somebody's machine, with an empty home."""

    team: Team
    home: Path

    def shell(self, *words: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        """Run ``mrjob-pybundle shell WORDS``."""
        kept = {name: value for name, value in os.environ.items() if name != "XDG_CACHE_HOME"}
        return subprocess.run(
            [sys.executable, "-m", "mrjob_pybundle", "shell", *self.team.switches, *words],
            env={**kept, "HOME": str(self.home), "SHELL": "/bin/sh", **environment},
            input=stdin,
            capture_output=True,
            text=True,
        )

    def root(self, bundle_id: str) -> Path:
        return self.home / ".cache" / "mrjob-pybundle" / "bundles" / f"pybundle-{os.getuid()}" / bundle_id


@pytest.fixture
def laptop(bucket: S3Uri, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Laptop:
    (tmp_path / "home").mkdir()
    return Laptop(Team(bucket.bucket, tmp_path, capsys), tmp_path / "home")


def _publish(team: Team, spec: BundleSpec, **more: Any) -> str:
    """A bundle with something in it. Returns its id."""
    team.publish(spec, BUILD, archives=ARCHIVES, **more)
    bundle = team.cache.bundles.find(spec)
    assert bundle is not None
    return bundle.id


def test_a_command_in_the_bundle(laptop: Laptop) -> None:
    """It is fetched once. What the command gets, and how it ends, is its own."""
    bundle_id = _publish(laptop.team, laptop.team.spec())
    first = laptop.shell("--", "python", "a b", "--", "-q")
    root = laptop.root(bundle_id)
    assert (first.returncode, first.stdout) == (0, f"{root}/venv: a b -- -q\n"), first.stderr
    assert f"Fetching bundle {bundle_id}" in first.stderr
    assert f"unpacked the bundle into {root} in " in first.stderr
    for name in laptop.team.objects():
        if name.endswith(".tar.gz"):
            laptop.team.cache.store.write(name, bytes(laptop.team.cache.store.get(name)["ContentLength"]))
    again = laptop.shell("-q", "--", "sh", "-c", 'echo "$VIRTUAL_ENV"; exit 7')
    assert (again.returncode, again.stdout, again.stderr) == (7, f"{root}/venv\n", "")
    assert {path.name for path in root.parent.parent.iterdir()} == {root.parent.name}, "what was fetched is gone"
    shell = laptop.shell(stdin="python in a shell\n")
    assert (shell.returncode, shell.stdout) == (0, f"{root}/venv: in a shell\n"), shell.stderr
    assert f"In bundle {bundle_id}, with CPython 3.13.5. To leave: exit" in shell.stderr


def _refusal(laptop: Laptop, *words: str, status: int = 1, **environment: str) -> str:
    refused = laptop.shell("-q", *words, "--", "python", **environment)
    assert (refused.returncode, refused.stdout) == (status, "")
    (line,) = refused.stderr.splitlines()
    return line


def test_a_bundle_that_is_not_cached(laptop: Laptop) -> None:
    key = laptop.team.spec().key[:12]
    said = _refusal(laptop, status=3)
    assert said.startswith(f"mrjob-pybundle: The bundle is not cached (key {key}), and shell builds none: ")


@pytest.mark.whole
def test_a_bundle_that_this_machine_cannot_run(laptop: Laptop) -> None:
    """Of another architecture, or built on a newer system. It is not even fetched."""
    here = "The bundle cannot be had on this machine"
    graviton = _refusal(laptop, "--core-instance-type", "m6g.xlarge", "--master-instance-type", "m6g.xlarge")
    assert graviton == f"mrjob-pybundle: {here}: it is for Linux on aarch64, this is linux on x86_64."
    _publish(laptop.team, laptop.team.spec(), glibc="2.999")
    newer = _refusal(laptop)
    assert newer.startswith(
        f"mrjob-pybundle: {here}: the bundle was built on a newer system than this node's, which lacks"
    )
    assert re.search(
        r"GLIBC_2\.999 in /\S+/libc\.so\.6\. A machine, or a container, with a newer system can run it\.$", newer
    )


@pytest.mark.whole
def test_a_damaged_archive(laptop: Laptop, tmp_path: Path) -> None:
    """Nothing of it is left, in a cache that is elsewhere."""
    spec = laptop.team.spec()
    _publish(laptop.team, spec)
    (name,) = (name for name in laptop.team.objects() if name.startswith("venv/") and name.endswith(".tar.gz"))
    laptop.team.cache.store.write(name, bytes(laptop.team.cache.store.get(name)["ContentLength"]))
    said = _refusal(laptop, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert f"/{name} is damaged and was not unpacked: wanted sha256 " in said
    assert said.endswith("mrjob-pybundle build --pybundle-rebuild has it built anew.")
    assert list(laptop.home.iterdir()) == []
    (shelf,) = (tmp_path / "cache" / "mrjob-pybundle" / "bundles").iterdir()
    assert [path for path in shelf.iterdir() if not path.name.endswith(".lock")] == []
