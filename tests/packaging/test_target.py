"""Where Python reads no ``.pth`` file (``pip install --target`` and PYTHONPATH), ``mrjob_pybundle run`` runs jobs."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from mrjob_pybundle import __version__
from tests.packaging.conftest import Distributions
from tests.packaging.pythons import interpreter

pytestmark = pytest.mark.whole

ROOT = Path(__file__).parents[2]
JOB = str(ROOT / "tests" / "jobs" / "mr_line_lengths.py")


@dataclass(frozen=True)
class Target:
    """A Python without packages, and a directory with ours and what they need."""

    python: str
    directory: Path


@pytest.fixture(scope="module", params=["3.10", "3.13"])
def target(
    request: pytest.FixtureRequest,
    distributions: Distributions,
    uv_environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Target:
    python = interpreter(request.param)
    directory: Path = tmp_path_factory.mktemp("target") / request.param
    # pip installs for the Python that runs it
    subprocess.run([python, "-m", "venv", f"{directory}-pip"], check=True)
    pip = [f"{directory}-pip/bin/python", "-m", "pip", "install", "-q"]
    subprocess.run([*pip, "--target", str(directory), str(distributions.wheel)], env=uv_environment, check=True)
    return Target(python, directory)


@pytest.fixture
def environment(target: Target, clean_environment: dict[str, str]) -> dict[str, str]:
    return {**clean_environment, "PYTHONPATH": str(target.directory)}


def _run(command: list[str], **kwargs: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, **kwargs)  # type: ignore[call-overload,no-any-return]


def test_without_run_a_job_does_not_know_the_runner(target: Target, environment: dict[str, str]) -> None:
    helped = _run([target.python, JOB, "--help", "-r", "pybundle-emr"], env=environment)
    assert helped.returncode != 0
    told = "No module named 'pipes'" if target.directory.name == "3.13" else "invalid choice: 'pybundle-emr'"
    assert told in helped.stderr


@pytest.mark.parametrize("command", [["-m", "mrjob_pybundle"], ["bin/mrjob-pybundle"]], ids=["module", "script"])
def test_with_run_it_does(target: Target, environment: dict[str, str], command: list[str]) -> None:
    words = [str(target.directory / word) if "/" in word else word for word in command]
    helped = _run([target.python, *words, "run", JOB, "--help", "-r", "pybundle-emr"], env=environment)
    assert "--pybundle-venv-build" in helped.stdout, helped.stderr


def test_the_runner_is_ours(target: Target, environment: dict[str, str]) -> None:
    words = ["-m", "mrjob_pybundle", "run", JOB, "--no-conf", "-r", "pybundle-emr", "--region", "us-east-1"]
    words += ["--cloud-tmp-dir", "s3://my-bucket/tmp/", "--pybundle-venv-build", "no-such-file"]
    run = _run([target.python, *words], env=environment, input="")
    assert run.returncode == 1
    assert "no-such-file" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("runner", ["inline", "local"])
@pytest.mark.parametrize("packages", ["on PYTHONPATH", "in the working directory"])
def test_jobs_and_the_pythons_that_they_start(
    target: Target, environment: dict[str, str], runner: str, packages: str
) -> None:
    directory = None
    if packages == "in the working directory":
        directory = target.directory
        del environment["PYTHONPATH"]
    command = [target.python, "-m", "mrjob_pybundle", "run", JOB, "-r", runner]
    run = _run(command, env=environment, cwd=directory, input="a\nbc\nd\n")
    assert sorted(run.stdout.splitlines()) == ["1\t2", "2\t1"], run.stderr


def test_a_tool_of_mrjobs_knows_the_runner(target: Target, environment: dict[str, str]) -> None:
    words = ["run", "-m", "mrjob.cmd", "spark-submit", "-r", "pybundle-emr", "--help"]
    helped = _run([target.python, "-m", "mrjob_pybundle", *words], env=environment)
    assert "--pybundle-python-version" in helped.stdout, helped.stderr


def test_other_commands(target: Target, environment: dict[str, str]) -> None:
    asked = _run([target.python, "-m", "mrjob_pybundle", "--version"], env=environment)
    assert asked.stdout == f"mrjob-pybundle {__version__}\n", asked.stderr
    switches = ["--no-conf", "--cloud-tmp-dir", "s3://my-bucket/tmp/", "--region", "us-east-1"]
    switches += ["--pybundle-venv-build", str(ROOT / "examples" / "venv-build.sh")]
    environment.update(AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x")
    here = {name: value for name, value in environment.items() if name != "PYTHONPATH"}
    key = ["-m", "mrjob_pybundle", "key", *switches]
    there = _run([target.python, *key], env=environment)
    assert there.returncode == 0, there.stderr
    assert there.stdout == _run([sys.executable, *key], env=here).stdout
