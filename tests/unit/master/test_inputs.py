"""What a build cluster is given: the submitter's mrjob as a wheel, the hook, the build files."""

from __future__ import annotations

import hashlib
import io
import re
import subprocess
import sys
import tarfile
import zipfile
from datetime import datetime, timezone
from pathlib import Path

import pytest

from mrjob_pybundle.bundle.inputs import Inputs, read_inputs
from mrjob_pybundle.bundle.sources import Source
from mrjob_pybundle.errors import BuildError
from mrjob_pybundle.master.inputs import mrjob_wheel, pack
from tests.unit.bundle.test_inputs import SOURCE
from tests.unpacking import unpack


def test_the_wheel_is_the_same_each_time() -> None:
    mrjob = read_inputs(SOURCE, None, ()).mrjob
    assert mrjob_wheel(mrjob) == mrjob_wheel(mrjob)


def test_the_inputs(tmp_path: Path) -> None:
    script = tmp_path / "my script.sh"
    script.write_text("pip install x\n")
    (tmp_path / "lib").mkdir()
    tool = tmp_path / "lib" / "it's a tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o700)
    data = tmp_path / "lib" / "données"
    data.write_bytes(b"\0\xff")

    packed = _packed(read_inputs(SOURCE, script, (tmp_path / "lib",)))

    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        content = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
        modes = {member.name: member.mode for member in tar}
        times = {member.mtime for member in tar}
    assert content["venv-build.sh"] == b"pip install x\n"
    assert content["files/lib/données"] == b"\0\xff"
    assert (modes["files/lib/it's a tool"], modes["files/lib/données"]) == (0o755, 0o644)
    # Whoever makes a wheel of build files needs a time that zip can hold, in any time zone.
    assert min(times) - 86400 >= datetime(1980, 1, 1, tzinfo=timezone.utc).timestamp()
    (wheel,) = (name for name in content if name.endswith(".whl"))
    assert "mrjob/job.py" in zipfile.ZipFile(io.BytesIO(content[wheel])).namelist()
    assert {"mrjob_pybundle_hook.py", "mrjob_pybundle_hook.pth", "master/publish.py"} <= set(content)
    assert "venv-build.sh" not in _names(_packed(read_inputs(SOURCE, None, ())))


def _packed(inputs: Inputs) -> bytes:
    file = io.BytesIO()
    sha256 = pack(inputs, file)
    assert sha256 == hashlib.sha256(file.getvalue()).hexdigest()
    return file.getvalue()


def _names(packed: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        return tar.getnames()


def test_what_a_build_publishes_with_comes_along(tmp_path: Path) -> None:
    """The submitter's own botocore, without most of what it knows, is enough to talk to S3."""
    packed = _packed(read_inputs(SOURCE, None, ()))
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        unpack(tar, tmp_path)
    program = """\
import sys
import botocore.session, s3transfer.manager
assert not [path for path in sys.path if path.endswith("site-packages")]
client = botocore.session.get_session().create_client("s3", region_name="eu-west-1")
print(client.meta.endpoint_url)
"""
    environment = {"PYTHONPATH": str(tmp_path / "tools"), "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    python = getattr(sys, "_base_executable", sys.executable)
    run = subprocess.run([python, "-s", "-S", "-c", program], env=environment, capture_output=True, text=True)
    assert run.stdout == "https://s3.eu-west-1.amazonaws.com\n", run.stderr
    assert len(packed) < 2_500_000, "each build's inputs are uploaded, and kept"


@pytest.mark.parametrize(
    ("version", "botocore"), [("2.7.18", "1.20.112"), ("3.7.17", "1.33.13"), ("3.9.23", "1.33.13")]
)
def test_older_pythons_publish_with_what_is_pinned(version: str, botocore: str) -> None:
    source = Source(version, "s3://bucket/Python.tgz", "ab" * 32)
    packed = _packed(read_inputs(source, None, ()))
    assert not any(name.startswith("tools/") for name in _names(packed))
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        requirements = tar.extractfile("tools.txt").read().decode()  # type: ignore[union-attr]
    lines = [line for line in requirements.splitlines() if not line.startswith("#")]
    assert f"botocore=={botocore} " in lines[0]
    assert all(re.fullmatch(r"[a-z0-9-]+==\S+ --hash=sha256:[0-9a-f]{64}", line) for line in lines)


def test_a_file_that_shrinks_or_grows_while_it_is_packed(tmp_path: Path) -> None:
    """What tar would report in its own words, or pack the half of."""
    path = tmp_path / "data"
    for content in (b"", b"x" * 5_000_000):
        path.write_bytes(b"x" * 4_000_000)
        inputs = read_inputs(SOURCE, None, (path,))
        path.write_bytes(content)
        with pytest.raises(BuildError, match="data has changed since"):
            _packed(inputs)


@pytest.mark.parametrize("name", ["venv-build.sh", "tool"])
def test_nothing_is_packed_that_is_not_in_the_key(name: str, tmp_path: Path) -> None:
    for path in (tmp_path / "venv-build.sh", tmp_path / "tool"):
        path.write_text("one\n")
    inputs = read_inputs(SOURCE, tmp_path / "venv-build.sh", (tmp_path / "tool",))
    (tmp_path / name).write_text("two\n")
    with pytest.raises(BuildError, match=f"{name} has changed since"):
        _packed(inputs)
