"""Another architecture: masters and nodes of arm64, a Debian 12 under qemu, which is as near as this comes to Graviton.

The first run compiles CPython there, in twenty minutes. What comes of that is kept, in the S3 of a sandbox.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.bundle.spec import Archive, Bundle
from mrjob_pybundle.cache.cache import Cache
from mrjob_pybundle.nodes.carried import Carried
from mrjob_pybundle.sandbox import Sandbox
from tests.compiled import CACHE, QUICKLY_COMPILED, ROOT
from tests.line.conftest import Line
from tests.pristine.bare import bare_cluster, bootstrap, bundle_in_cache
from tests.pristine.conftest import have
from tests.pristine.what_works import JOB, answers_of, must_work
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
REFUSAL = (
    "mrjob-pybundle: the bundle is for {}, and this node is {}: all instances of a cluster must have one architecture."
)


@dataclass(frozen=True)
class Emulation:
    """A tree of arm64, and the namespaces in which its programs run."""

    root: Path

    @property
    def tree(self) -> Path:
        return self.root / "tree"

    def run(self, command: Sequence[object]) -> subprocess.CompletedProcess[str]:
        emulated = [ROOT / "scripts" / "emulate-arm64.sh", self.root / "qemu-aarch64-static"]
        return subprocess.run([str(word) for word in (*emulated, *command)], capture_output=True, text=True)


@pytest.fixture(scope="module")
def emulation() -> Emulation:
    emulation = Emulation(have("make-emulated-root.sh"))
    attempt = emulation.run(["chroot", emulation.tree, "uname", "-m"])
    if attempt.stderr.startswith("emulate-arm64: "):  # what this machine lacks for it
        pytest.skip(attempt.stderr.strip())
    assert (attempt.returncode, attempt.stdout) == (0, "aarch64\n"), attempt.stderr
    return emulation


@dataclass(frozen=True)
class EmulatedNode:
    """A node of arm64, whose /mnt is a directory of this machine."""

    emulation: Emulation
    mnt: Path

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a shell command in the directory of a task."""
        on_node = [HERE / "emulated.sh", self.emulation.tree, self.mnt]
        return self.emulation.run([*on_node, "bash", "-c", f"cd /mnt/task && {command}"])

    def bring(self, venv: bytes, needs: tuple[str, ...] = (), arch: str = "aarch64") -> Carried:
        """Lay what a job brings along into the task's directory."""
        python = archive({"py/lib/x": "x"})
        bundle = Bundle(
            Archive("aa" * 32, sha256(python), len(python), 1 << 20, needs),
            Archive("bb" * 32, sha256(venv), len(venv), 1 << 20),
            arch,
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
def node(emulation: Emulation, tmp_path: Path) -> EmulatedNode:
    node = EmulatedNode(emulation, tmp_path / "mnt")
    for name, mode in (("tmp", 0o1777), ("task", 0o755)):
        (node.mnt / name).mkdir(parents=True)
        (node.mnt / name).chmod(mode)
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
    program = archive_of_bytes({"venv/bin/python": Path(sys.executable).resolve().read_bytes()})
    done = node.run(f"{node.bring(program, arch='x86_64').paths.jobrunner} -V")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, REFUSAL.format("x86_64", "aarch64"))
    assert list((node.mnt / "tmp").glob("pybundle-0/[!.]*")) == []


# The whole line


MRJOB_CONF = """\
include: {sandbox_conf}
runners:
  pybundle-emr:
    image_id: {image_id}
    master_instance_type: m6g.xlarge
    core_instance_type: m6g.xlarge
    pybundle_python_version: {cpython}
    pybundle_python_source: {source}
    pybundle_optimize: false
    pybundle_configure_args: [{configure}]
    pybundle_build_timeout_minutes: 240
    pybundle_cache_uri: {cache}
    pybundle_venv_build: {venv_build}
"""
IMAGE_ID = "ami-debian-12-arm64"
CPYTHON = "3.11.2"
TEAM = S3Uri("sandbox", "cache")
WHILE_COMPILING = pytest.mark.timeout(4 * 3600)
#: Of jobs/mr_what_works.py, what asks for the standard library alone.
CHECKS = ("hashlib", "sqlite3", "ctypes", "bz2", "lzma", "zlib", "readline", "uuid", "curses", "multiprocessing")


@dataclass(frozen=True)
class Graviton:
    """A sandbox whose clusters have Graviton instances, with images of arm64, and what is kept in its S3."""

    emulation: Emulation
    directory: Path
    conf: Path

    def job(self, script: Path, *args: object) -> subprocess.CompletedProcess[str]:
        """Run a job with ``-r pybundle-emr``."""
        image = f"{IMAGE_ID}={self.emulation.tree}"
        sandbox = [sys.executable, "-m", "mrjob_pybundle", "sandbox", "--dir", self.directory, "--nodes", 1]
        job = [sys.executable, script, "-r", "pybundle-emr", "-c", self.conf, *args]
        return self.emulation.run([*sandbox, "--image", image, "--", *job])


@pytest.fixture(scope="module")
def graviton(emulation: Emulation, tmp_path_factory: pytest.TempPathFactory) -> Graviton:
    directory = CACHE / "emulated-sandbox"
    conf = tmp_path_factory.mktemp("graviton") / "mrjob.conf"
    values = {
        "sandbox_conf": str(directory / "mrjob.conf"),
        "image_id": IMAGE_ID,
        "cpython": CPYTHON,
        "source": str(have("fetch-cpython-source.sh", CPYTHON, CACHE / "sources")),
        "configure": QUICKLY_COMPILED,
        "cache": str(TEAM),
        "venv_build": str(ROOT / "examples" / "venv-build.sh"),
    }
    conf.write_text(MRJOB_CONF.format_map({name: json.dumps(value) for name, value in values.items()}))
    return Graviton(emulation, directory, conf)


@pytest.fixture(scope="module")
def counted(graviton: Graviton, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a job that counts words gave. The first time, a master compiles for it."""
    text = tmp_path_factory.mktemp("text") / "text"
    text.write_text("a rose is a rose is a rose\n")
    run = graviton.job(ROOT / "examples" / "wordcount.py", text)
    assert run.returncode == 0, run.stderr[-6000:]
    return run.stdout


@WHILE_COMPILING
def test_words_are_counted(counted: str) -> None:
    assert sorted(counted.splitlines()) == ['"a"\t3', '"is"\t2', '"rose"\t3']


@WHILE_COMPILING
@pytest.mark.usefixtures("counted")
def test_what_a_task_can(graviton: Graviton, tmp_path: Path) -> None:
    names = tmp_path / "names"
    names.write_text("".join(f"{name}\n" for name in ("versions", *CHECKS)))
    answers = answers_of(graviton.job(JOB, names))
    assert answers.pop("versions")[1][0] == CPYTHON
    assert answers.keys() == set(CHECKS)
    for check in CHECKS:
        must_work(check, answers[check])


@WHILE_COMPILING
@pytest.mark.usefixtures("counted")
def test_what_was_compiled_is_refused_by_a_node_of_x86_64(graviton: Graviton, tmp_path: Path) -> None:
    """A cluster that has the job's bootstrap action, and other instances."""
    with Sandbox(graviton.directory, 0) as sandbox:
        line = Line(sandbox.environment, tmp_path, sandbox)
        bundle = bundle_in_cache(line, TEAM, "-c", graviton.conf)
        with bare_cluster(line) as cluster:
            done = bootstrap(sandbox.nodes(cluster, "MASTER")[0], bundle, TEAM)
    assert (done.returncode, done.stderr) == (1, REFUSAL.format("aarch64", "x86_64") + "\n")
