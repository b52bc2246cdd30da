"""Fetching Hadoop and Spark on a machine that can't: one line says why, and nothing half-done is left."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

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


def test_without_maven(tmp_path: Path) -> None:
    for name in ("bash", "dirname", "sed", "find", "wc"):
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).symlink_to(shutil.which(name) or name)
    line = _fetch("fetch-hadoop.sh", tmp_path / "cache", PATH=str(tmp_path / "bin"))
    assert line == "fetch-hadoop: needs Maven: apt-get install maven openjdk-17-jre-headless"


@pytest.mark.skipif(shutil.which("mvn") is None, reason="needs Maven")
def test_without_maven_central(tmp_path: Path) -> None:
    mirror = f"<mirror><id>nowhere</id><mirrorOf>*</mirrorOf><url>{NOWHERE}</url></mirror>"
    (tmp_path / ".m2").mkdir()
    (tmp_path / ".m2" / "settings.xml").write_text(f"<settings><mirrors>{mirror}</mirrors></settings>")
    line = _fetch("fetch-hadoop.sh", tmp_path / "cache", MAVEN_OPTS=f"-Duser.home={tmp_path}")
    assert line.startswith("fetch-hadoop: Maven could not fetch Hadoop 3.4.2: ")
    assert "[ERROR] " in line
    assert "Connection refused" in line


def test_without_a_package_index(tmp_path: Path) -> None:
    nowhere = {"PIP_INDEX_URL": NOWHERE, "PIP_FIND_LINKS": "", "PIP_RETRIES": "0"}
    line = _fetch("fetch-spark.sh", tmp_path / "cache", **nowhere)
    assert line.startswith("fetch-spark: pip could not fetch Spark 3.5.6; is its package index in reach? ERROR: ")
