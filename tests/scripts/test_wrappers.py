"""jobrunner behaves as python does, and venv-exec as the command it is given."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mrjob_pybundle.templates import render

SHOW = "import sys; print(sys.argv, sys.stdin.read())"


@pytest.fixture(scope="module")
def bundle() -> Iterator[Path]:
    """A bundle whose virtual environment is one of the Python that runs the tests.

    Not below pytest's own temporary directory, which other users cannot enter.
    """
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield make_bundle(Path(directory) / "it's a b$undle")


def make_bundle(root: Path) -> Path:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", root / "venv"], check=True)
    (root / "activate").write_text(render("nodes/activate.sh.tmpl", {"ROOT": str(root)}), encoding="utf-8")
    for name in ("jobrunner", "venv-exec"):
        path = root / name
        path.write_text(render(f"nodes/{name}.sh.tmpl", {"ACTIVATE": f"{root}/activate"}), encoding="utf-8")
        path.chmod(0o755)
    package = root / "code" / "pkg"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "mod.py").write_text(SHOW)
    (root / "code" / "script.py").write_text(SHOW)
    return root


def run(program: Path, *arguments: str, environment: dict[str, str] | None = None) -> tuple[int, str, str]:
    done = subprocess.run(
        [program, *arguments],
        input="from stdin",
        capture_output=True,
        text=True,
        cwd=program.parent / "code" if program.name == "jobrunner" else program.parents[2] / "code",
        env=environment,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["-m", "pkg.mod", "a", "b c"],
        ["script.py", "a", "", "--", "-x", "$HOME", "new\nline", "é"],
        ["-c", SHOW, "x"],
        ["-", "ignored"],
        ["-c", "import sys; sys.exit(3)"],
        ["-c", "import sys; sys.exit('an error')"],
        ["-c", "raise ValueError('an error')"],
        ["-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"],
        ["-c", "import sys; print(sys.executable, sys.prefix)"],
        ["-u", "-W", "error", "-c", "import sys; print(sys.flags, sys.warnoptions)"],
        ["no-such-script.py"],
        ["--no-such-option"],
        ["--version"],
    ],
    ids=repr,
)
def test_jobrunner_is_python(bundle: Path, arguments: list[str]) -> None:
    assert run(bundle / "jobrunner", *arguments) == run(bundle / "venv" / "bin" / "python", *arguments)


def test_the_environment_is_active(bundle: Path) -> None:
    show = "import os; print(os.environ['VIRTUAL_ENV'], os.environ['PATH'], os.environ.get('PYTHONHOME'))"
    environment = {"PATH": "/usr/bin:/bin", "PYTHONHOME": "/nowhere"}
    status, output, errors = run(bundle / "jobrunner", "-c", show, environment=environment)
    assert (status, errors) == (0, "")
    assert output == f"{bundle}/venv {bundle}/venv/bin:/usr/bin:/bin None\n"


def test_works_without_any_environment(bundle: Path) -> None:
    assert run(bundle / "jobrunner", "-c", "import sys; print(sys.prefix)", environment={}) == (
        0,
        f"{bundle}/venv\n",
        "",
    )


def test_one_inside_another_leaves_path_alone(bundle: Path) -> None:
    show = "import os; print(os.environ['PATH'])"
    inner = f"import subprocess; subprocess.run([{str(bundle / 'jobrunner')!r}, '-c', {show!r}])"
    environment = {"PATH": "/usr/bin:/bin"}
    assert run(bundle / "jobrunner", "-c", inner, environment=environment)[1] == (f"{bundle}/venv/bin:/usr/bin:/bin\n")


def test_a_signal_reaches_the_interpreter_itself(bundle: Path) -> None:
    program = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    with subprocess.Popen([bundle / "jobrunner", "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) == process.pid
        process.send_signal(signal.SIGTERM)
        assert process.wait() == -signal.SIGTERM


def test_activate_bears_a_strict_shell(bundle: Path) -> None:
    script = 'set -eu; . "$1"; printf %s "$VIRTUAL_ENV"'
    done = subprocess.run(["sh", "-c", script, "sh", bundle / "activate"], env={}, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{bundle}/venv", "")


@pytest.mark.parametrize(
    ("command", "status", "output"),
    [
        (["python", "-c", "import sys; print(sys.prefix)"], 0, "{root}/venv\n"),
        (["sh", "-c", "cat; exit 7"], 7, "from stdin"),
        (["printf", "%s|", "a b", "", "$HOME"], 0, "a b||$HOME|"),
        (["no-such-command"], 127, ""),
        ([], 2, ""),
    ],
    ids=repr,
)
def test_venv_exec_runs_any_command(bundle: Path, command: list[str], status: int, output: str) -> None:
    done = subprocess.run([bundle / "venv-exec", *command], input="from stdin", capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (status, output.format(root=bundle))
    assert bool(done.stderr) == (status in (2, 127))


def test_venv_exec_looks_among_the_tasks_files_first(bundle: Path, tmp_path: Path) -> None:
    """As Hadoop Streaming does, which makes them executable."""
    for name in ("tool.sh", "printf"):
        (tmp_path / name).write_text('#!/bin/sh\necho "$0: $*"\n')
    for name in ("tool.sh", "printf"):
        done = subprocess.run([bundle / "venv-exec", name, "a b", "c"], cwd=tmp_path, capture_output=True, text=True)
        assert (done.stdout, done.stderr) == (f"./{name}: a b c\n", "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_any_user_can_run_jobrunner(bundle: Path) -> None:
    # The interpreter of the tests may lie where only root gets: what counts here are the wrappers.
    show = 'printf "%s %s" "$(id -u)" "$VIRTUAL_ENV"'
    done = subprocess.run(
        [bundle / "venv-exec", "sh", "-c", show],
        user=65534,
        group=65534,
        env={},
        cwd="/",
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, f"65534 {bundle}/venv")
