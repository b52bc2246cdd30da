"""What a build cluster is given: the submitter's mrjob as a wheel, the hook, the build files."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

from mrjob_pybundle.master import inputs


def test_the_wheel_is_the_same_each_time() -> None:
    assert inputs.mrjob_wheel() == inputs.mrjob_wheel()


def test_the_inputs(tmp_path: Path) -> None:
    script = tmp_path / "my script.sh"
    script.write_text("pip install x\n")
    tool = tmp_path / "it's a tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o700)
    data = tmp_path / "données"
    data.write_bytes(b"\0\xff")

    packed = inputs.pack(script, {"lib/it's a tool": tool, "lib/données": data})

    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        content = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
        modes = {member.name: member.mode for member in tar}
    assert content["venv-build.sh"] == b"pip install x\n"
    assert content["files/lib/données"] == b"\0\xff"
    assert (modes["files/lib/it's a tool"], modes["files/lib/données"]) == (0o755, 0o644)
    (wheel,) = (name for name in content if name.endswith(".whl"))
    assert "mrjob/job.py" in zipfile.ZipFile(io.BytesIO(content[wheel])).namelist()
    assert {"mrjob_pybundle_hook.py", "mrjob_pybundle_hook.pth", "master/publish.py"} <= set(content)
    assert "venv-build.sh" not in _names(inputs.pack(None, {}))


def _names(packed: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        return tar.getnames()
