"""``mrjob-pybundle run``: a script notices nothing of it, and what it starts has the hook."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """\
import json, sys
import __main__
print(json.dumps([__name__, __file__, __main__.__file__, sys.argv, sys.path[0], sys.warnoptions, sys.flags.dev_mode]))
print(sys.stdin.read(), file=sys.stderr)
sys.exit(7)
"""


def _python(*words: str | Path, **kwargs: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, **kwargs)  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize("switches", [[], ["-X", "dev", "-W", "error::UserWarning"]], ids=["plain", "switches"])
def test_a_script_is_run_as_python_runs_it(tmp_path: Path, switches: list[str]) -> None:
    script = tmp_path / "my job.py"
    script.write_text(SCRIPT)
    words = ["-r", "emr", "--help", "-m", "--", "a b", ""]
    plain = _python(*switches, "my job.py", *words, cwd=tmp_path, input="stdin")
    run = _python(*switches, "-m", "mrjob_pybundle", "run", "my job.py", *words, cwd=tmp_path, input="stdin")
    assert (run.returncode, run.stdout, run.stderr) == (plain.returncode, plain.stdout, plain.stderr)
    assert (run.returncode, run.stderr) == (7, "stdin\n")


def test_a_module_is_run_as_python_runs_it(tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "count.py").write_text(SCRIPT)
    plain = _python("-m", "jobs.count", "-r", "emr", cwd=tmp_path, input="")
    run = _python("-m", "mrjob_pybundle", "run", "-m", "jobs.count", "-r", "emr", cwd=tmp_path, input="")
    assert (run.returncode, run.stdout) == (7, plain.stdout)


def test_an_exception_is_the_scripts_own(tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text("raise KeyError('theirs')\n")
    plain = _python("job.py", cwd=tmp_path)
    run = _python("-m", "mrjob_pybundle", "run", "job.py", cwd=tmp_path)
    assert (run.returncode, run.stderr) == (plain.returncode, plain.stderr)
    assert "KeyError: 'theirs'" in run.stderr


def test_what_a_script_starts_has_the_hook_and_the_path_and_sitecustomize_that_it_had(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "sitecustomize.py").write_text("import sys\nsys.theirs = __file__\n")
    question = "import sys; print([sys.theirs, 'mrjob_pybundle_hook' in sys.modules, sys.path[1:]])"
    (tmp_path / "job.py").write_text(
        f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {question!r}], check=True)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(theirs)}
    plain = _python("job.py", cwd=tmp_path, env=environment)
    run = _python("-m", "mrjob_pybundle", "run", "job.py", cwd=tmp_path, env=environment)
    assert run.stdout == plain.stdout.replace("False", "True"), run.stderr
    assert "True" in run.stdout
    assert run.stderr == ""


def test_an_error_in_the_other_sitecustomize_is_told_as_python_tells_it(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import no_such_module\n")
    (tmp_path / "job.py").write_text("print('done')\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    run = _python("-m", "mrjob_pybundle", "run", "job.py", cwd=tmp_path, env=environment)
    assert run.stdout == "done\n"
    assert "no_such_module" in run.stderr


@pytest.mark.parametrize("words", [[], ["-m"], ["-r", "emr", "job.py"], ["--verbose", "job.py"]], ids=str)
def test_usage(words: list[str]) -> None:
    run = _python("-m", "mrjob_pybundle", "run", *words)
    assert run.returncode == 2
    assert run.stderr.startswith("usage: mrjob-pybundle run (SCRIPT | -m MODULE) [ARGUMENT…]\n")


def test_help() -> None:
    assert "--target" in _python("-m", "mrjob_pybundle", "run", "--help").stdout
    assert "run a job's script" in _python("-m", "mrjob_pybundle", "--help").stdout


def test_the_hook_can_be_turned_off(tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text("import sys; print([f for f in sys.meta_path if 'MRJob' in str(f)])\n")
    environment = {**os.environ, "MRJOB_PYBUNDLE_HOOK": "off"}
    run = _python("-m", "mrjob_pybundle", "run", "job.py", cwd=tmp_path, env=environment)
    assert json.loads(run.stdout) == [], run.stderr
