"""The lowest versions that setup.py allows, on the lowest Python: the sdist's own tests pass with them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from email import message_from_string
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.packaging.conftest import ROOT, Distributions
from tests.packaging.pythons import interpreter
from tests.unpacking import unpack

pytestmark = pytest.mark.whole


@pytest.fixture(scope="module")
def unpacked(distributions: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist's files."""
    directory = tmp_path_factory.mktemp("sdist")
    with tarfile.open(distributions.sdist) as archive:
        unpack(archive, directory)
    (root,) = directory.iterdir()
    return root


@pytest.fixture(scope="module")
def python(unpacked: Path, uv_environment: dict[str, str]) -> Path:
    """Python 3.10 with the project, all that it needs and its tests need in the lowest versions, and pip."""
    uv = [sys.executable, "-m", "uv"]
    environment = unpacked.with_name("venv")
    python = environment / "bin" / "python"
    build_system = re.search(r'requires = \["(setuptools>=.+?)"\]', (ROOT / "pyproject.toml").read_text("utf-8"))
    assert build_system
    # To be upgraded: what came with the seed has no say in it.
    install = [*uv, "pip", "install", "-q", "--python", str(python), "--resolution", "lowest-direct", "--upgrade"]
    for command in (
        [*uv, "venv", "-q", "--seed", "--python", interpreter("3.10"), str(environment)],
        [*install, build_system[1]],
        [*install, "--no-build-isolation", f"{unpacked}[test]"],
    ):
        subprocess.run(command, env=uv_environment, check=True)
    return python


def test_they_are_those_that_setup_py_names(python: Path, unpacked: Path, uv_environment: dict[str, str]) -> None:
    freeze = [sys.executable, "-m", "uv", "pip", "freeze", "--python", str(python)]
    frozen = subprocess.run(freeze, env=uv_environment, capture_output=True, text=True, check=True).stdout
    installed = dict(re.findall(r"^(\S+)==(\S+)$", frozen, re.MULTILINE))
    metadata = message_from_string((unpacked / "PKG-INFO").read_text("utf-8"))
    named = [Requirement(line) for line in metadata.get_all("Requires-Dist", [])]
    wanted = [one for one in named if one.marker is None or one.marker.evaluate({"extra": "test"})]
    assert {"boto3", "mrjob", "moto", "pytest"} <= {one.name for one in wanted}
    lowest = {one.name: Version(bound.version) for one in wanted for bound in one.specifier}
    assert {one.name: Version(installed[one.name]) for one in wanted} == lowest


@pytest.mark.timeout(1800)  # they are many
def test_the_tests_pass(python: Path, unpacked: Path, clean_environment: dict[str, str]) -> None:
    # What is looked for is what these versions do otherwise, which no further examples of a property show.
    command = [str(python), "-m", "pytest", "-q", "-n", "2", "--hypothesis-profile", "few examples"]
    command += ["tests/unit", "tests/programs", "tests/services"]
    environment = {name: value for name, value in clean_environment.items() if not name.startswith("PYTEST_")}
    path = os.pathsep.join([str(python.parent), environment["PATH"]])
    run = subprocess.run(command, cwd=unpacked, env={**environment, "PATH": path}, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
