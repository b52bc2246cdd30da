"""Node scripts on another architecture: an arm64 Debian 12 under qemu, which is as near as this comes to Graviton.

CPython is not compiled there: Python takes some fifteen times as long as on the machine itself. It is Debian's own.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.bundle.spec import Archive, Bundle
from mrjob_pybundle.cache.cache import Cache
from mrjob_pybundle.nodes.carried import Carried
from tests.pristine.conftest import have
from tests.scripts.conftest import sha256
from tests.scripts.test_bootstrap import archive, archive_of_bytes

pytestmark = [
    pytest.mark.pristine,
    pytest.mark.skipif(os.environ.get("MATRIX") != "whole", reason="an emulated node is in MATRIX=whole"),
    pytest.mark.skipif(
        os.uname().machine != "x86_64", reason="this machine is not x86_64, from which arm64 would differ"
    ),
]
HERE = Path(__file__).parent


@dataclass(frozen=True)
class EmulatedNode:
    """A node of arm64, whose /mnt is a directory of this machine."""

    root: Path
    mnt: Path

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a shell command in the directory of a task."""
        words = ["unshare", "--user", "--map-root-user", "--mount"]
        emulated = [str(HERE / "emulated.sh"), str(self.root), str(self.mnt)]
        task = ["bash", "-c", f"cd /mnt/task && {command}"]
        return subprocess.run([*words, *emulated, *task], capture_output=True, text=True)

    def bring(self, venv: bytes, needs: tuple[str, ...] = ()) -> Carried:
        """Lay what a job brings along into the task's directory."""
        python = archive({"py/lib/x": "x"})
        bundle = Bundle(
            Archive("aa" * 32, sha256(python), len(python), 1 << 20, needs),
            Archive("bb" * 32, sha256(venv), len(venv), 1 << 20),
        )
        carried = Carried(bundle, Cache(S3Uri("the-team", "cache"), None))
        for name, content in zip(carried.archives, (python, venv), strict=True):
            (self.mnt / "task" / name).write_bytes(content)
        for kind, text in carried.scripts.items():
            path = self.mnt / "task" / carried.paths.name(kind)
            path.write_text(text)
            path.chmod(0o755)
        return carried


@pytest.fixture
def node(tmp_path: Path) -> EmulatedNode:
    node = EmulatedNode(have("make-emulated-root.sh"), tmp_path / "mnt")
    for name, mode in (("tmp", 0o1777), ("task", 0o755)):
        (node.mnt / name).mkdir(parents=True)
        (node.mnt / name).chmod(mode)
    attempt = node.run("uname -m")
    if attempt.returncode != 0:
        pytest.skip(f"no emulation here: {attempt.stderr.strip()}")
    assert attempt.stdout == "aarch64\n"
    return node


def test_a_bundle_of_arm64_is_brought_along(node: EmulatedNode) -> None:
    """The scripts find the node's libraries, and what those have, where arm64 has them."""
    venv = archive({"venv/bin/python": '#!/bin/sh\nexec /usr/bin/python3 "$@"\n'})
    carried = node.bring(venv, ("libc.so.6:GLIBC_2.17", "libc.so.6:GLIBC_2.34"))
    show = "import os, sys; print(sys.version_info[:2], os.uname().machine, os.environ['VIRTUAL_ENV'])"
    done = node.run(f"{carried.paths.jobrunner} -c {shlex.quote(show)}")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"(3, 11) aarch64 /mnt/tmp/pybundle-0/{carried.bundle.id}/venv\n"


def test_a_bundle_of_x86_64_is_refused(node: EmulatedNode) -> None:
    """Of whichever of the two one looks at first: the names that its files need, or whether its Python starts."""
    program = archive_of_bytes({"venv/bin/python": Path(sys.executable).resolve().read_bytes()})
    done = node.run(f"{node.bring(program, ('libc.so.6:GLIBC_2.2.5',)).paths.jobrunner} -V")
    assert done.returncode == 1
    assert "which lacks GLIBC_2.2.5 in /lib/aarch64-linux-gnu/libc.so.6" in done.stderr
    done = node.run(f"{node.bring(program).paths.jobrunner} -V")
    assert done.returncode == 1
    assert "the bundle's Python does not work on this node: " in done.stderr
    assert list((node.mnt / "tmp" / "pybundle-0").glob("[!.]*")) == []
