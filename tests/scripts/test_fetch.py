"""Fetching Hadoop and Spark on a machine that can't: one line says why, and nothing half-done is left."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mrjob_pybundle.sandbox.machines.needs import how_to_allow_namespaces
from tests.line.conftest import ROOT

NOWHERE = "http://127.0.0.1:9/"


def _fetch(script: str, cache: Path, **environment: str) -> str:
    """Run *script*, which must fail. Returns the one line that it says."""
    done = subprocess.run(
        ["bash", ROOT / "scripts" / script],
        env={**os.environ, "XDG_CACHE_HOME": str(cache), **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert not [path for path in cache.rglob("*") if path.is_file()]
    (line,) = done.stderr.splitlines()
    return line


def _only(directory: Path, *names: str) -> str:
    """A PATH with these programs of the machine and no others."""
    directory.mkdir()
    for name in names:
        (directory / name).symlink_to(shutil.which(name) or name)
    return str(directory)


def test_without_maven(tmp_path: Path) -> None:
    path = _only(tmp_path / "bin", "bash", "dirname", "sed", "find", "wc")
    line = _fetch("fetch-hadoop.sh", tmp_path / "cache", PATH=path)
    assert line == "fetch-hadoop: needs Maven: apt-get install maven openjdk-17-jre-headless"


@pytest.fixture
def unreachable(tmp_path: Path) -> dict[str, str]:
    """An environment in which Maven looks for everything where nothing is."""
    mirror = f"<mirror><id>nowhere</id><mirrorOf>*</mirrorOf><url>{NOWHERE}</url></mirror>"
    (tmp_path / ".m2").mkdir()
    (tmp_path / ".m2" / "settings.xml").write_text(f"<settings><mirrors>{mirror}</mirrors></settings>")
    return {"MAVEN_OPTS": f"-Duser.home={tmp_path}"}


@pytest.mark.skipif(shutil.which("mvn") is None, reason="needs Maven")
def test_without_maven_central(tmp_path: Path, unreachable: dict[str, str]) -> None:
    line = _fetch("fetch-hadoop.sh", tmp_path / "cache", **unreachable)
    assert line.startswith("fetch-hadoop: Maven could not fetch Hadoop 3.4.2: [ERROR] ")
    assert "Connection refused" in line


def test_why_the_engines_are_left_out(tmp_path: Path) -> None:
    script, cache = "can-test-engines.sh", tmp_path / "cache"
    path = _only(tmp_path / "bin", "bash", "dirname", "sed")
    (tmp_path / "bin" / "python3").symlink_to(Path(sys.executable).resolve())
    unshare = tmp_path / "bin" / "unshare"
    unshare.symlink_to("/bin/false")
    line = _fetch(script, cache, PATH=path)
    assert line.startswith("it needs namespaces, which this machine refuses. To allow them: ")
    assert line.endswith(how_to_allow_namespaces())
    unshare.unlink()
    unshare.symlink_to("/bin/true")
    assert _fetch(script, cache, PATH=path) == "it needs Java: apt-get install openjdk-17-jre-headless"
    (tmp_path / "bin" / "java").symlink_to("/bin/true")
    assert _fetch(script, cache, PATH=path) == "it needs Maven: apt-get install maven"


@pytest.mark.skipif(shutil.which("mvn") is None, reason="needs Maven")
def test_the_engines_are_left_out_without_maven_central(tmp_path: Path, unreachable: dict[str, str]) -> None:
    unshare = tmp_path / "bin" / "unshare"
    unshare.parent.mkdir()
    unshare.symlink_to("/bin/true")
    path = f"{unshare.parent}:{os.environ['PATH']}"
    line = _fetch("can-test-engines.sh", tmp_path / "cache", PATH=path, **unreachable)
    assert line.startswith("Maven cannot reach Maven Central: [ERROR] ")


def test_without_a_package_index(tmp_path: Path) -> None:
    nowhere = {"PIP_INDEX_URL": NOWHERE, "PIP_FIND_LINKS": "", "PIP_RETRIES": "0"}
    line = _fetch("fetch-spark.sh", tmp_path / "cache", **nowhere)
    assert line.startswith("fetch-spark: pip could not fetch Spark 3.5.6; is its package index in reach? ERROR: ")
