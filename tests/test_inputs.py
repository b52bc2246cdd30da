"""What a build cluster is given: the submitter's mrjob as a wheel that pip takes, the hook, the build files."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from mrjob_pybundle.master import inputs

ROOT = Path(__file__).parents[1]


def test_the_wheel_is_mrjob_to_pip(tmp_path: Path) -> None:
    name, content = inputs.mrjob_wheel()
    wheel = tmp_path / name
    wheel.write_bytes(content)
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    python = environment / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", wheel], check=True)
    shown = subprocess.run([python, "-m", "pip", "show", "mrjob"], capture_output=True, text=True, check=True)
    assert "Version: 0.7.4" in shown.stdout
    (site_packages,) = environment.glob("lib/python*/site-packages")
    for hook in ("mrjob_pybundle_hook.py", "mrjob_pybundle_hook.pth"):
        (site_packages / hook).write_bytes(inputs.hook_file(hook))
    # No PyYAML and no boto3 in there, as in a bundle: what a task needs of mrjob must do without.
    job = tmp_path / "job.py"
    job.write_text((ROOT / "examples" / "wordcount.py").read_text().replace("import regex", "import re as regex"))
    job.write_text(job.read_text().replace(r"\p{Letter}+", r"[a-z]+"))
    mapped = subprocess.run([python, job, "--mapper"], input="b a b\n", capture_output=True, text=True)
    assert mapped.stdout == '"b"\t1\n"a"\t1\n"b"\t1\n', mapped.stderr


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
