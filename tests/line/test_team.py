"""Several authors, one cache: who builds, who waits, and what is left when somebody dies.

The Python is in the cache by then (``test_line.py`` put it there, or the first build here does), so builds are short.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.line.conftest import ROOT, Line

JOB = ROOT / "tests" / "jobs" / "mr_line_lengths.py"
DEADLINE_SECONDS = 900


def _submit(line: Line, *switches: object) -> subprocess.Popen[str]:
    """Start a job as a process of its own, as an author does."""
    process = subprocess.Popen(
        [sys.executable, str(JOB), "-r", "pybundle-emr", *map(str, switches)],
        env=line.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=line.directory,
    )
    assert process.stdin is not None
    process.stdin.write("abc\n")
    process.stdin.close()
    process.stdin = None
    return process


def _wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _build_clusters(line: Line) -> list[str]:
    return [c["Id"] for c in line.new_clusters() if c["Name"].startswith("mrjob-pybundle build")]


def _script(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "venv-build.sh"
    path.write_text(text)
    return path


def test_four_authors_at_once_build_once(line: Line, tmp_path: Path) -> None:
    script = _script(tmp_path, "echo four authors\n")
    line.new_clusters()
    authors = [_submit(line, "--pybundle-venv-build", script) for _ in range(4)]
    results = [(*author.communicate(), author.returncode) for author in authors]
    assert [status for _, _, status in results] == [0] * 4, results
    assert {output for output, _, _ in results} == {"3\t1\n"}
    assert len(_build_clusters(line)) == 1
    used = {re.search(r"Using bundle (\w+)", log)[1] for _, log, _ in results}  # type: ignore[index]
    assert len(used) == 1
    assert not any("/v1/claims/" in key for key in line.objects())


def test_an_author_who_is_killed_leaves_a_build_that_others_join(line: Line, tmp_path: Path) -> None:
    script = _script(tmp_path, "echo waiting for the second author\nsleep 20\necho done waiting\n")
    line.new_clusters()
    first = _submit(line, "--pybundle-venv-build", script)
    _wait_until(lambda: any(_building(line)))
    first.send_signal(signal.SIGKILL)
    first.communicate()
    second = _submit(line, "--pybundle-venv-build", script)
    output, log = second.communicate()
    assert (second.returncode, output) == (0, "3\t1\n"), log
    assert "is already building this bundle" in log
    assert len(_build_clusters(line)) == 1


def _building(line: Line) -> list[str]:
    """Builds whose cluster runs venv-build.sh."""
    found = []
    for key in line.objects():
        if key.endswith("/status.json"):
            body = line.client("s3").get_object(Bucket="the-team", Key=key)["Body"].read()
            if b'"state":"RUNNING","stage":"venv-build"' in body:
                found.append(key)
    return found


def test_ctrl_c_says_what_goes_on(line: Line, tmp_path: Path) -> None:
    script = _script(tmp_path, "echo interrupted\nsleep 15\n")
    line.new_clusters()
    author = _submit(line, "--pybundle-venv-build", script)
    _wait_until(lambda: any(_building(line)))
    author.send_signal(signal.SIGINT)
    _, log = author.communicate()
    assert author.returncode != 0
    (cluster_id,) = _build_clusters(line)
    assert f"The build goes on in cluster {cluster_id}" in log
    assert f"aws emr terminate-clusters --cluster-ids {cluster_id}" in log
    output, log = _submit(line, "--pybundle-venv-build", script).communicate()
    assert output == "3\t1\n", log
    assert _build_clusters(line) == []


def test_a_build_that_is_stopped(line: Line, tmp_path: Path) -> None:
    """By hand, as the message says. Whoever waits is told, and the next run builds again."""
    script = _script(tmp_path, "echo stopped\nsleep 600\n")
    line.new_clusters()
    author = _submit(line, "--pybundle-venv-build", script)
    _wait_until(lambda: any(_building(line)))
    (cluster_id,) = _build_clusters(line)
    subprocess.run(["aws", "emr", "terminate-clusters", "--cluster-ids", cluster_id], env=line.environment, check=True)
    _, log = author.communicate()
    assert author.returncode == 1
    assert "Traceback" not in log
    assert re.search(r"stopped by a signal|ended without a word", log), log
    assert not any("/v1/claims/" in key for key in line.objects())


def test_a_build_takes_no_longer_than_it_may(line: Line, tmp_path: Path) -> None:
    """The limit holds on the master, whoever watches."""
    script = _script(tmp_path, "echo for ever\nsleep 100000\n")
    author = _submit(line, "--pybundle-venv-build", script, "--pybundle-build-timeout-minutes", "1")
    _, log = author.communicate()
    assert author.returncode == 1
    assert "time limit of 1 minutes reached in stage venv-build" in log
    assert log.strip().splitlines()[-1].endswith("/log.txt")
