"""Making a node's file tree: what is said where that can't be, and what is not done twice."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from .conftest import REPOSITORY


def _make(cache: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    bash = shutil.which("bash") or "bash"
    return subprocess.run(
        [bash, REPOSITORY / "scripts" / "make-node-root.sh", *arguments],
        env={**os.environ, "XDG_CACHE_HOME": str(cache), **environment},
        capture_output=True,
        text=True,
    )


def test_a_tree_that_is_there_is_not_made_again(tmp_path: Path) -> None:
    tree = tmp_path / "mrjob-pybundle" / "roots" / "bookworm"
    tree.mkdir(parents=True)
    done = _make(tmp_path, "bookworm", PATH="/nonexistent")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{tree}\n", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "usage: make-node-root.sh SUITE [DIRECTORY [OPTION…]]"),
        (("bookworm",), "this machine has no apt, whose mirror could be asked")
        if os.geteuid() == 0
        else (("bookworm",), "only root can make the file tree of an operating system"),
    ],
    ids=["usage", "not here"],
)
def test_a_machine_that_can_make_none(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    done = _make(tmp_path, *arguments, PATH="/nonexistent")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"make-node-root: {message}\n")
    assert list(tmp_path.iterdir()) == []
