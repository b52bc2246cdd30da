"""Asking for Hadoop on a machine that has not all that it needs: what a person then reads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def _sandbox(directory: Path, path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mrjob_pybundle", "sandbox", "--dir", str(directory / "box")]
    return subprocess.run(
        [*command, "--engine", "hadoop", "--", sys.executable],
        env={**os.environ, "PATH": str(path), "XDG_CACHE_HOME": str(directory / "cache")},
        capture_output=True,
        text=True,
    )


def test_without_java(tmp_path: Path) -> None:
    done = _sandbox(tmp_path, tmp_path)
    assert done.returncode == 1
    assert done.stderr == (
        "mrjob-pybundle: --engine hadoop needs Java 11 or 17: apt-get install openjdk-17-jre-headless\n"
    )


def test_without_hadoop(tmp_path: Path) -> None:
    java = tmp_path / "java"
    java.touch(mode=0o755)
    done = _sandbox(tmp_path, tmp_path)
    assert done.returncode == 1
    home = tmp_path / "cache" / "mrjob-pybundle" / "hadoop-3.4.2"
    assert done.stderr == f"mrjob-pybundle: --engine hadoop needs Hadoop in {home}: run scripts/fetch-hadoop.sh\n"
