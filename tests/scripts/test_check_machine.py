"""What a person reads who has not all that the Makefile's commands need: everything at once."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mrjob_pybundle.sandbox.machines.needs import may_mount
from mrjob_pybundle.templates import read_template

from .conftest import REPOSITORY

SCRIPT = REPOSITORY / "scripts" / "check-machine.sh"


def _check(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPT, *map(str, arguments)], env={**os.environ, **environment}, capture_output=True, text=True
    )


def _python(directory: Path, name: str, script: str) -> Path:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_this_machine_can_make_the_virtual_environment() -> None:
    done = _check(sys.executable)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_python_that_is_not_there() -> None:
    done = _check("/nonexistent/python3")
    sudo = "" if os.geteuid() == 0 else "sudo "
    assert (done.returncode, done.stderr) == (
        1,
        f"This machine cannot do that yet:\n  - packages are missing: {sudo}apt-get install python3 python3-venv\n",
    )


def test_a_python_that_is_too_old(tmp_path: Path) -> None:
    old = _python(tmp_path, "old", "case $2 in *print*) echo 3.9 ;; *version_info*) exit 1 ;; esac")
    done = _check(old)
    assert done.returncode == 1
    assert f"{old} is Python 3.9, and 3.10 is the oldest that will do" in done.stderr


def test_a_python_without_ensurepip(tmp_path: Path) -> None:
    lacking = _python(tmp_path, "lacking", "case $2 in *print*) echo 3.12 ;; *ensurepip*) exit 1 ;; esac")
    done = _check(lacking)
    assert done.returncode == 1
    assert f"{lacking} has no ensurepip" in done.stderr


@pytest.mark.skipif(may_mount(), reason="root's build installs packages on its node")
def test_all_that_is_missing_is_said_together(tmp_path: Path) -> None:
    """A machine on which no package is installed, with neither perl nor a way to the source."""
    programs = ["bash", "uname", "dirname", "tail", "sed", "mktemp", "mkdir", "rm", "sha256sum"]
    for name in programs:
        (tmp_path / name).symlink_to(shutil.which(name) or name)
    _python(tmp_path, "dpkg-query", "exit 1")
    done = _check(sys.executable, "3.13.5", tmp_path / "sources", PATH=str(tmp_path))
    assert done.returncode == 1
    assert "apt-get install git perl" in done.stderr
    assert "libssl-dev" in done.stderr


def test_a_source_that_cannot_be_fetched(tmp_path: Path) -> None:
    done = _check(sys.executable, "3.13.5", tmp_path, PYBUNDLE_PYTHON_SOURCE="/nonexistent")
    assert done.returncode == 1
    assert "PYBUNDLE_PYTHON_SOURCE is /nonexistent, which is not CPython 3.13.5's" in done.stderr.splitlines()[-1]


def test_it_looks_for_what_the_build_looks_for() -> None:
    pattern = re.compile(r"gcc g\+\+ make [-a-z0-9+ \\\n]*libexpat1-dev")
    texts = [
        read_template("master/build-binaries.sh.tmpl"),
        SCRIPT.read_text(),
        (REPOSITORY / "docs/sandbox.md").read_text(),
    ]
    packages = [pattern.search(text) for text in texts]
    lists = [match[0].replace("\\", "").split() for match in packages if match]
    assert len(lists) == 3
    assert lists[0] == lists[1] == lists[2]
