"""What a build cluster is given: the submitter's mrjob as a wheel, the hook, the build files."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from mrjob_pybundle.bundle.inputs import read_inputs
from mrjob_pybundle.errors import BuildError
from mrjob_pybundle.master.inputs import mrjob_wheel, pack
from tests.unit.bundle.test_inputs import SOURCE


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

    packed = pack(read_inputs(SOURCE, script, (tmp_path / "lib",)))

    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        content = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
        modes = {member.name: member.mode for member in tar}
    assert content["venv-build.sh"] == b"pip install x\n"
    assert content["files/lib/données"] == b"\0\xff"
    assert (modes["files/lib/it's a tool"], modes["files/lib/données"]) == (0o755, 0o644)
    (wheel,) = (name for name in content if name.endswith(".whl"))
    assert "mrjob/job.py" in zipfile.ZipFile(io.BytesIO(content[wheel])).namelist()
    assert {"mrjob_pybundle_hook.py", "mrjob_pybundle_hook.pth", "master/publish.py"} <= set(content)
    assert "venv-build.sh" not in _names(pack(read_inputs(SOURCE, None, ())))


def _names(packed: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        return tar.getnames()


@pytest.mark.parametrize("name", ["venv-build.sh", "tool"])
def test_nothing_is_packed_that_is_not_in_the_key(name: str, tmp_path: Path) -> None:
    for path in (tmp_path / "venv-build.sh", tmp_path / "tool"):
        path.write_text("one\n")
    inputs = read_inputs(SOURCE, tmp_path / "venv-build.sh", (tmp_path / "tool",))
    (tmp_path / name).write_text("two\n")
    with pytest.raises(BuildError, match=f"{name} has changed since"):
        pack(inputs)
