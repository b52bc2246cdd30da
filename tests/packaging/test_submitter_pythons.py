"""The submitter's side on every Python from 3.10 on that this machine has, used as people do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.pythons import interpreter, interpreters

pytestmark = pytest.mark.whole

ROOT = Path(__file__).parents[2]
JOB = ROOT / "tests" / "jobs" / "mr_line_lengths.py"

#: versions that are not the one that runs the tests
OTHERS = [pytest.param(version) for version in interpreters() if version != f"3.{sys.version_info.minor}"]


@pytest.fixture(scope="module", params=OTHERS or [pytest.param("", marks=pytest.mark.skip("no other Python here"))])
def python(
    request: pytest.FixtureRequest, uv_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Another Python, with the project and what it depends on."""
    environment: Path = tmp_path_factory.mktemp("python") / request.param
    python = environment / "bin" / "python"
    uv = [sys.executable, "-m", "uv"]
    for command in (
        [*uv, "venv", "-q", "--python", interpreter(request.param), str(environment)],
        [*uv, "pip", "install", "-q", "--python", str(python), "-e", str(ROOT)],
    ):
        subprocess.run(command, env=uv_environment, check=True)
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
