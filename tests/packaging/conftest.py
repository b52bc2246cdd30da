"""What is released, built once: the source distribution, the wheel that is made from it; and ways to install."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Distributions:
    """Files that can be uploaded to a package index."""

    sdist: Path
    wheel: Path


def files_of_the_repository() -> set[str]:
    """Their paths, relative to the checkout; new ones that git doesn't know yet among them."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    return {name for name in listed.stdout.decode().rstrip("\0").split("\0") if (ROOT / name).is_file()}


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project's files, so that building leaves nothing in the checkout."""
    copy = tmp_path_factory.mktemp("sources")
    for name in files_of_the_repository():
        target = copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
        target.chmod((ROOT / name).stat().st_mode)
    return copy


@pytest.fixture(scope="session")
def distributions(
    sources: Path, uv_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Distributions:
    """``python -m build`` in a clone; it makes the wheel from the sdist."""
    directory = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--installer", "uv", "--outdir", str(directory), str(sources)]
    built = subprocess.run(command, env=uv_environment, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    (sdist,) = directory.glob("*.tar.gz")
    (wheel,) = directory.glob("*.whl")
    return Distributions(sdist, wheel)


@pytest.fixture(scope="session")
def uv_environment() -> dict[str, str]:
    """Environment variables with which uv has pip's package index, and fetches no Pythons."""
    pip = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(pip, capture_output=True, text=True, check=True).stdout
    settings = {
        name.rpartition(".")[2]: ast.literal_eval(value)
        for name, _, value in (line.partition("=") for line in listed.splitlines())
        if value
    }
    names = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "cert": "SSL_CERT_FILE"}
    as_pip_has_it = {names[name]: value for name, value in settings.items() if name in names}
    return {**as_pip_has_it, **os.environ, "UV_PYTHON_DOWNLOADS": "never"}
