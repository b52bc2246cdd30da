"""What a release consists of: the source distribution and the wheel are complete, and can be installed anywhere."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from mrjob_pybundle import __version__
from tests.packaging.conftest import Distributions, files_of_the_repository
from tests.packaging.pythons import interpreter
from tests.programs.test_plugin import JOB

pytestmark = pytest.mark.whole


def test_the_sdist_is_the_repository(distributions: Distributions) -> None:
    with tarfile.open(distributions.sdist) as archive:
        files = {member.name.partition("/")[2] for member in archive if member.isfile()}
    made_by_setuptools = {name for name in files if name in ("PKG-INFO", "setup.cfg") or ".egg-info/" in name}
    assert files - made_by_setuptools == files_of_the_repository() - {".gitignore"}


def test_the_wheel_is_the_package_and_the_hook(distributions: Distributions) -> None:
    with zipfile.ZipFile(distributions.wheel) as archive:
        files = {name for name in archive.namelist() if ".dist-info/" not in name}
        (license_file,) = (name for name in archive.namelist() if name.endswith("/LICENSE"))
    package = {name for name in files_of_the_repository() if name.startswith("mrjob_pybundle/")}
    assert "mrjob_pybundle/py.typed" in package
    assert files == {*package, "mrjob_pybundle_hook.py", "mrjob_pybundle_hook.pth"}
    assert license_file == f"mrjob_pybundle-{__version__}.dist-info/licenses/LICENSE"


def test_an_index_would_take_them(distributions: Distributions) -> None:
    files = [str(distributions.sdist), str(distributions.wheel)]
    checked = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *files], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout
    assert checked.stdout.count("PASSED") == 2


# Of each two of these, every pair.
@pytest.mark.parametrize(
    ("version", "installer", "kind"),
    [("3.10", "pip", "sdist"), ("3.10", "uv", "wheel"), ("3.13", "uv", "sdist"), ("3.13", "pip", "wheel")],
)
def test_in_an_empty_environment(
    version: str,
    installer: str,
    kind: str,
    distributions: Distributions,
    uv_environment: dict[str, str],
    clean_environment: dict[str, str],
    tmp_path: Path,
) -> None:
    environment = tmp_path / "venv"
    python = environment / "bin" / "python"
    distribution = getattr(distributions, kind)
    commands: list[list[str | Path]]
    if installer == "pip":
        commands = [
            [interpreter(version), "-m", "venv", environment],
            [python, "-m", "pip", "install", "-q", distribution],
        ]
    else:
        uv: list[str | Path] = [sys.executable, "-m", "uv"]
        commands = [
            [*uv, "venv", "-q", "--python", interpreter(version), environment],
            [*uv, "pip", "install", "-q", "--python", python, distribution],
        ]
    for command in commands:
        subprocess.run(command, env=uv_environment, check=True)

    job = tmp_path / "my job.py"
    job.write_text(JOB)
    helped = subprocess.run(
        [python, job, "--help", "-r", "pybundle-emr"], env=clean_environment, capture_output=True, text=True
    )
    assert "--pybundle-venv-build" in helped.stdout, helped.stderr
    asked = subprocess.run(
        [environment / "bin" / "mrjob-pybundle", "--version"], env=clean_environment, capture_output=True, text=True
    )
    assert asked.stdout == f"mrjob-pybundle {__version__}\n", asked.stderr
