"""The Pythons of this machine."""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path

import pytest


@cache
def interpreters() -> dict[str, str]:
    """Version → interpreter, for each minor version from 3.10 on that can make environments, as ``{"3.10": …}``."""
    directories = [Path(directory) for directory in os.environ["PATH"].split(os.pathsep) if directory]
    # pyenv puts only its current version on PATH; beside its shims lie the others
    shims = [directory for directory in directories if directory.name == "shims"]
    directories += [bin_dir for shim in shims for bin_dir in sorted(shim.parent.glob("versions/*/bin"))]
    found: dict[str, str] = {}
    for minor in range(10, 20):
        for directory in directories:
            path = directory / f"python3.{minor}"
            if path.exists() and _works(path):
                found.setdefault(f"3.{minor}", str(path))
    return found


def interpreter(version: str) -> str:
    """The interpreter of *version*, as ``"3.10"``; the test is skipped where this machine has none."""
    if version not in interpreters():
        pytest.skip(f"no Python {version} here, only {', '.join(interpreters()) or 'older ones'}")
    return interpreters()[version]


def _works(path: Path) -> bool:
    return subprocess.run([path, "-c", "import venv, ensurepip, ssl"], capture_output=True).returncode == 0
