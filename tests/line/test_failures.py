"""What goes wrong with the cache and with AWS, and what a person then reads: one clear line, and no traceback.

Builds that fail, and authors who die, are in ``test_team.py`` and ``test_claims.py``; what is refused before anything
is launched, in ``test_plugin.py``.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
from pathlib import Path

import pytest

from mrjob_pybundle.sandbox.api.faults import (
    ACCESS_DENIED,
    ACCESS_DENIED_BY_EMR,
    INTERNAL_ERROR,
    SLOW_DOWN,
    THROTTLED,
    CutShort,
    Fault,
    HangUp,
    Refuse,
    Rule,
    damage_stored,
)
from tests.compiled import VENV_BUILD, compiled_python
from tests.line.conftest import CACHE_PREFIX, ROOT, Line

JOB = ROOT / "tests" / "jobs" / "mr_line_lengths.py"
EXPIRED = Refuse(400, "ExpiredToken", "The provided token has expired.")


@pytest.fixture(scope="module")
def venv_build(line: Line) -> Path:
    """A venv-build.sh whose bundle is in the cache."""
    for name, content in compiled_python().environment.items():
        line.client("s3").put_object(Bucket="the-team", Key=f"{CACHE_PREFIX}/v1/{name}", Body=content)
    built = line.run("-m", "mrjob_pybundle", "build", "--pybundle-venv-build", VENV_BUILD)
    assert built.returncode == 0, built.stderr[-3000:]
    return VENV_BUILD


def _job(line: Line, venv_build: Path, *switches: str) -> subprocess.CompletedProcess[str]:
    alone = ("--num-core-instances", "0")
    author = line.submit(JOB, "-r", "pybundle-emr", "--pybundle-venv-build", venv_build, *alone, *switches)
    output, log = author.communicate()
    return subprocess.CompletedProcess(author.args, author.returncode, output, log)


def _archive(line: Line, kind: str, venv_build: Path) -> str:
    """The key of the archive in the cache."""
    keys = line.run("-m", "mrjob_pybundle", "key", "--pybundle-venv-build", venv_build)
    directory = f"{CACHE_PREFIX}/v1/{kind}/{json.loads(keys.stdout)[kind]['key']}"
    digest = json.loads(line.read(f"{directory}/manifest.json"))["archive"]["sha256"]
    return f"{directory}/{digest}.tar.gz"


def test_a_damaged_archive(line: Line, venv_build: Path) -> None:
    """An archive in the cache is damaged or swapped: nodes refuse it before unpacking; the job says which and how."""
    archive = _archive(line, "venv", venv_build)
    wanted = archive.split("/")[-1].removesuffix(".tar.gz")
    content = line.read(archive)
    damage_stored(line.client("s3"), "the-team", archive, random.Random(0))
    run = _job(line, venv_build)
    line.client("s3").put_object(Bucket="the-team", Key=archive, Body=content)
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    assert re.search(
        rf"s3://the-team/{re.escape(archive)} is damaged and was not unpacked:"
        rf" wanted sha256 {wanted}, found [0-9a-f]{{64}}",
        run.stderr,
    ), run.stderr
    assert "--pybundle-rebuild" in run.stderr


@pytest.mark.whole
@pytest.mark.parametrize("kind", ["venv", "python"])
def test_an_archive_missing_under_its_manifest(line: Line, venv_build: Path, kind: str) -> None:
    """Somebody cleaned the bucket: treated as not cached, and rebuilt."""
    archive = _archive(line, kind, venv_build)
    content = line.read(archive)
    line.client("s3").delete_object(Bucket="the-team", Key=archive)
    line.new_clusters()
    if kind == "python":
        # Compiling it once more proves nothing new: what matters is that it is asked for.
        with line.faults.injected(Rule("RunJobFlow", ACCESS_DENIED_BY_EMR)):
            run = _job(line, venv_build)
        line.client("s3").put_object(Bucket="the-team", Key=archive, Body=content)
        assert "No permission (launching a build cluster (RunJobFlow)" in run.stderr
        assert line.claims() == []
        return
    run = _job(line, venv_build)
    assert (run.returncode, run.stdout) == (0, "3\t1\n"), run.stderr
    assert len(line.build_clusters()) == 1


@pytest.mark.whole
@pytest.mark.parametrize(
    ("operation", "fault", "says"),
    [
        ("GetObject", ACCESS_DENIED, r"No permission \(reading s3://the-team/.*/manifest.json; .*docs/security.md"),
        ("ListObjectsV2", ACCESS_DENIED, r"No permission \(listing s3://the-team/.*AccessDenied"),
        ("GetObject", EXPIRED, r"Your AWS credentials have expired \(reading s3://the-team/.*Renew them"),
        ("GetObject", SLOW_DOWN, r"AWS is throttling requests, even after retries \(reading s3://.*Try again in a few"),
        ("GetObject", INTERNAL_ERROR, r"AWS said no \(reading s3://the-team/.*InternalError"),
        ("GetObject", HangUp(), r"AWS gave no usable answer, even after retries \(reading s3://the-team/.*was closed"),
    ],
    ids=["no permission", "no permission to list", "expired", "throttling", "internal error", "no connection"],
)
def test_s3_says_no(line: Line, venv_build: Path, operation: str, fault: Fault, says: str) -> None:
    """No permission, expired credentials, throttling: one clear line that names what for, after bounded retries."""
    line.new_clusters()
    with line.faults.injected(Rule(operation, fault, key="the-team/*")) as strikes:
        run = _job(line, venv_build)
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    said = [text for text in run.stderr.splitlines() if re.search(says, text)]
    assert len(said) == 1, run.stderr
    assert said[0] == run.stderr.splitlines()[-1]
    # botocore's standard mode: five attempts at each request (two listings are sent together)
    assert len(strikes) <= 10
    assert line.new_clusters() == []


@pytest.mark.whole
@pytest.mark.parametrize("fault", [SLOW_DOWN, INTERNAL_ERROR, HangUp(), CutShort()], ids=lambda fault: str(fault)[:24])
def test_s3_has_a_bad_moment(line: Line, venv_build: Path, fault: Fault) -> None:
    """Tried again until it works, wherever that is: at the author's, on the nodes."""
    with line.faults.injected(Rule("GetObject", fault, key="the-team/*", times=2)) as strikes:
        run = _job(line, venv_build)
    assert len(strikes) == 2
    assert (run.returncode, run.stdout) == (0, "3\t1\n"), run.stderr


@pytest.mark.whole
@pytest.mark.parametrize(
    ("operation", "fault", "says"),
    [
        (
            "RunJobFlow",
            ACCESS_DENIED_BY_EMR,
            r"No permission \(launching a build cluster \(RunJobFlow\).*not authorized",
        ),
        ("RunJobFlow", THROTTLED, r"AWS is throttling requests, even after retries \(launching a build cluster"),
    ],
    ids=["no permission", "throttling"],
)
def test_emr_says_no(line: Line, tmp_path: Path, operation: str, fault: Fault, says: str) -> None:
    """The same of EMR: nothing is launched, and no claim is left that would keep others from building."""
    script = tmp_path / "venv-build.sh"
    script.write_text("echo never built\n")
    line.new_clusters()
    with line.faults.injected(Rule(operation, fault)):
        run = _job(line, script)
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    assert re.search(says, run.stderr.splitlines()[-1]), run.stderr
    assert line.new_clusters() == []
    assert line.claims() == []
