"""The submitter's side on every Python from 3.10 on that this machine has: installed by pip, used as people do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

pytestmark = pytest.mark.whole

ROOT = Path(__file__).parents[2]
JOB = ROOT / "tests" / "jobs" / "mr_line_lengths.py"


@cache
def _interpreters() -> dict[str, str]:
    """Version → interpreter, of other minor versions than the one that runs the tests."""
    directories = [Path(directory) for directory in os.environ["PATH"].split(os.pathsep) if directory]
    # pyenv puts only its current version on PATH; beside its shims lie the others
    shims = [directory for directory in directories if directory.name == "shims"]
    directories += [bin_dir for shim in shims for bin_dir in sorted(shim.parent.glob("versions/*/bin"))]
    found: dict[str, str] = {}
    for minor in range(10, 20):
        if minor == sys.version_info.minor:
            continue
        for directory in directories:
            path = directory / f"python3.{minor}"
            if path.exists() and _works(path):
                found.setdefault(f"3.{minor}", str(path))
    return found


def _works(path: Path) -> bool:
    return subprocess.run([path, "-c", "import venv, ensurepip, ssl"], capture_output=True).returncode == 0


@pytest.fixture(
    scope="module", params=_interpreters() or [pytest.param("", marks=pytest.mark.skip("no other Python here"))]
)
def python(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another Python, with the project and what it depends on."""
    environment: Path = tmp_path_factory.mktemp("python") / request.param
    subprocess.run([_interpreters()[request.param], "-m", "venv", str(environment)], check=True)
    python = environment / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "-e", str(ROOT)], check=True)
    return python


def test_help_and_inline(python: Path, clean_environment: dict[str, str]) -> None:
    helped = subprocess.run(
        [python, JOB, "--help", "-r", "pybundle-emr"], env=clean_environment, capture_output=True, text=True
    )
    assert "--pybundle-venv-build" in helped.stdout, helped.stderr
    run = subprocess.run(
        [python, JOB, "-r", "inline"], env=clean_environment, input="a\nbc\nd\n", capture_output=True, text=True
    )
    assert sorted(run.stdout.splitlines()) == ["1\t2", "2\t1"], run.stderr


def test_keys_are_the_same_as_here(python: Path, clean_environment: dict[str, str]) -> None:
    environment = {**clean_environment, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    switches = ["--no-conf", "--cloud-tmp-dir", "s3://my-bucket/tmp/", "--region", "us-east-1"]
    switches += ["--pybundle-venv-build", str(ROOT / "examples" / "venv-build.sh")]

    def keys(interpreter: str | Path) -> object:
        run = subprocess.run(
            [interpreter, "-m", "mrjob_pybundle", "key", *switches],
            env=environment,
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, run.stderr
        return json.loads(run.stdout)

    assert keys(python) == keys(sys.executable)
