"""Ways to install: a clone by pip, and in a bundle, mrjob as the wheel that we make of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mrjob_pybundle.bundle.inputs import read_inputs
from mrjob_pybundle.bundle.sources import find_source
from mrjob_pybundle.master.inputs import mrjob_wheel
from tests.programs.test_plugin import JOB

pytestmark = pytest.mark.whole

ROOT = Path(__file__).parents[2]


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """An mrjob job that has never heard of us."""
    path = tmp_path / "my job.py"
    path.write_text(JOB)
    return path


@pytest.mark.parametrize("switches", [[], ["-e"]], ids=["install", "editable"])
def test_pip_install(
    sources: Path, job: Path, tmp_path: Path, clean_environment: dict[str, str], switches: list[str]
) -> None:
    environment = tmp_path / "venv"
    # mrjob and boto3 are those of this environment: what is tested is how our own files get there.
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    python = environment / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", *switches, sources], check=True)
    ours = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    theirs = next(path for path in sys.path if path.endswith("site-packages"))
    Path(ours, "dependencies.pth").write_text(f"{theirs}\n")
    helped = subprocess.run(
        [python, job, "--help", "-r", "pybundle-emr"], env=clean_environment, capture_output=True, text=True
    )
    assert "--pybundle-venv-build" in helped.stdout, helped.stderr


def test_the_wheel_is_mrjob_to_pip(tmp_path: Path) -> None:
    inputs = read_inputs(find_source("3.13.5", None, None), None, ())
    name, content = mrjob_wheel(inputs.mrjob)
    wheel = tmp_path / name
    wheel.write_bytes(content)
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    python = environment / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", wheel], check=True)
    shown = subprocess.run([python, "-m", "pip", "show", "mrjob"], capture_output=True, text=True, check=True)
    assert "Version: 0.7.4" in shown.stdout
    (site_packages,) = environment.glob("lib/python*/site-packages")
    for hook, file in inputs.hook.files.items():
        (site_packages / hook).write_bytes(file.read())
    # No PyYAML and no boto3 in there, as in a bundle: what a task needs of mrjob must do without.
    job = tmp_path / "job.py"
    job.write_text((ROOT / "examples" / "wordcount.py").read_text().replace("import regex", "import re as regex"))
    job.write_text(job.read_text().replace(r"\p{Letter}+", r"[a-z]+"))
    mapped = subprocess.run([python, job, "--mapper"], input="b a b\n", capture_output=True, text=True)
    assert mapped.stdout == '"b"\t1\n"a"\t1\n"b"\t1\n', mapped.stderr
