"""CPython as the recipe compiles it: once, for all tests and all runs, until something that changes it does.

Who needs it first has it compiled by the first author of a team, in a sandbox of their own; who needs it meanwhile
waits for that one. What that author saw is kept beside it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import boto3
import mrjob

import mrjob_pybundle
from mrjob_pybundle.sandbox import BUCKET, Sandbox
from mrjob_pybundle.sandbox.api.access import Access, Call
from mrjob_pybundle.sandbox.sandbox import image_id

ROOT = Path(__file__).parents[1]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mrjob-pybundle"
CPYTHON = "3.13.5"
WORDCOUNT = ROOT / "examples" / "wordcount.py"
VENV_BUILD = ROOT / "examples" / "venv-build.sh"

#: An argument for configure with which gcc needs half the time: where what comes out need not be fast.
QUICKLY_COMPILED = "OPT=-DNDEBUG -fwrapv -O1"

#: The instance profile of the build clusters.
BUILDER = "BundleBuilder"

#: Of all processes of this test run.
_TEST_RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID") or uuid.uuid4().hex

_PREFIX = "cache/v1/"


@dataclass(frozen=True)
class FirstAuthor:
    """What somebody saw who had nothing yet, and what was in the cache afterwards."""

    directory: Path

    def read(self, pattern: str) -> bytes:
        """The only object whose name below ``v1/`` matches *pattern*."""
        objects = self.directory / "objects"
        names = {str(path.relative_to(objects)): path for path in objects.rglob("*") if path.is_file()}
        (path,) = [path for name, path in names.items() if re.fullmatch(pattern, name)]
        return path.read_bytes()

    def manifest(self, kind: str) -> dict[str, Any]:
        manifest: dict[str, Any] = json.loads(self.read(f"{kind}/[0-9a-f]+/manifest.json"))
        return manifest

    @property
    def output(self) -> str:
        return (self.directory / "output").read_text("utf-8")

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text("utf-8")

    @property
    def calls_of_master(self) -> list[Call]:
        """What the build cluster has asked AWS for."""
        return [Call(**call) for call in json.loads((self.directory / "calls.json").read_bytes())]


@dataclass(frozen=True)
class Compiled:
    """The objects of a Python in a team's cache, as files of the names that they have below ``v1/python/<key>/``."""

    key: str
    directory: Path

    @property
    def files(self) -> dict[str, bytes]:
        """Name → content."""
        paths = sorted(path for path in self.directory.iterdir() if path.name != "probe")
        return {path.name: path.read_bytes() for path in paths}

    @property
    def environment(self) -> dict[str, bytes]:
        """Of the environment that ``VENV_BUILD`` led to: name below ``v1/`` → content.

        That of another key by now, if what is installed into environments has changed since.
        """
        objects = self.directory.parents[1]
        return {str(path.relative_to(objects)): path.read_bytes() for path in objects.glob("venv/*/*.*")}

    @property
    def manifest(self) -> dict[str, Any]:
        manifest: dict[str, Any] = json.loads((self.directory / "manifest.json").read_bytes())
        return manifest


def fetch_source(version: str) -> Path:
    """CPython's source, from python.org or by way of this machine's package manager."""
    script = ROOT / "scripts" / "fetch-cpython-source.sh"
    fetched = subprocess.run([script, version, CACHE / "sources"], stdout=subprocess.PIPE, text=True, check=True)
    return Path(fetched.stdout.strip())


def compiled_python() -> Compiled:
    """The Python that jobs with ``pybundle_optimize: false`` have on the sandbox's nodes; minutes, if there is none."""
    key = _key(_switches())
    with _kept(key) as kept:
        return Compiled(key, kept / "objects" / "python" / key)


def first_author(scratch: Path) -> FirstAuthor:
    """The author who has had the Python compiled, if that was in this test run; else there is another one: minutes.

    *scratch* is an empty directory.
    """
    key = _key(_switches())
    with _kept(key) as kept:
        if (kept / "test-run").read_text() == _TEST_RUN:
            return FirstAuthor(kept)
    another = scratch / "first-author"
    _compile(another)
    return FirstAuthor(another)


def _switches() -> list[str]:
    """Of all that makes the Python's key."""
    return [
        *("--pybundle-python-version", CPYTHON, "--pybundle-python-source", str(fetch_source(CPYTHON))),
        "--no-pybundle-optimize",
    ]


@contextmanager
def _kept(key: str) -> Iterator[Path]:
    """The directory of a Python that has been compiled, and of what its author saw."""
    kept = CACHE / "compiled" / _digest(key)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with (kept.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            with tempfile.TemporaryDirectory(dir=kept.parent) as scratch:
                made = Path(scratch) / "first-author"
                _compile(made)
                assert (made / "objects" / "python" / key / "manifest.json").exists()
                made.rename(kept)
    yield kept


def _key(switches: list[str]) -> str:
    """The key of the Python, which names no place and no person."""
    anybody = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_EC2_METADATA_DISABLED": "true"}
    anywhere = [
        "--no-conf",
        "--cloud-tmp-dir",
        f"s3://{BUCKET}/tmp/",
        "--region",
        "us-east-1",
        "--image-id",
        image_id(),
    ]
    command = [sys.executable, "-m", "mrjob_pybundle", "key", *anywhere, *switches]
    keys = subprocess.run(command, env={**os.environ, **anybody}, stdout=subprocess.PIPE, check=True)
    return str(json.loads(keys.stdout)["python"]["key"])


def _digest(key: str) -> str:
    """Of all that changes what comes out: what the key names, what runs on masters, and what it finds there."""
    digest = hashlib.sha256(f"first author\0{key}".encode())
    master = Path(mrjob_pybundle.__file__).parent / "master"
    for path in sorted(path for path in master.rglob("*") if path.is_file() and path.suffix != ".pyc"):
        digest.update(f"\0{path.relative_to(master)}\0".encode() + path.read_bytes())
    digest.update(Path("/etc/os-release").read_bytes())
    # As root on Debian and its kin, a build installs a missing compiler on its node.
    for command in (["gcc", "--version"], ["ld", "--version"]):
        try:
            digest.update(subprocess.run(command, stdout=subprocess.PIPE).stdout)
        except FileNotFoundError:
            digest.update(b"none")
    return digest.hexdigest()[:20]


def texts() -> list[Path]:
    """Real text: the documents that come with mrjob."""
    return sorted(Path(mrjob.__file__).parent.glob("examples/docs-to-classify/*.txt"))[:12]


def _compile(directory: Path) -> None:
    """Have the first author of a team count words, and keep what comes of it in *directory*."""
    directory.mkdir()
    access = Access()
    with tempfile.TemporaryDirectory() as scratch, Sandbox(Path(scratch) / "sandbox", 0, [access]) as sandbox:
        job = [sys.executable, str(WORDCOUNT), "-r", "pybundle-emr", *_switches()]
        job += ["--pybundle-venv-build", str(VENV_BUILD), "--pybundle-build-iam-instance-profile", BUILDER]
        job += ["--pybundle-cache-uri", f"s3://{BUCKET}/cache", *map(str, texts())]
        environment = {**sandbox.environment, "XDG_CACHE_HOME": scratch}
        run = subprocess.run(job, env=environment, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr[-6000:]
        bucket = boto3.resource(
            "s3",
            endpoint_url=sandbox.environment["AWS_ENDPOINT_URL"],
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        ).Bucket(BUCKET)
        for found in bucket.objects.filter(Prefix=_PREFIX):
            path = directory / "objects" / found.key.removeprefix(_PREFIX)
            path.parent.mkdir(parents=True, exist_ok=True)
            bucket.download_file(found.key, str(path))
    calls = [asdict(call) for call in access.calls if call.principal == f"role-{BUILDER}"]
    (directory / "calls.json").write_text(json.dumps(calls), "utf-8")
    (directory / "output").write_text(run.stdout, "utf-8")
    (directory / "log").write_text(run.stderr, "utf-8")
    (directory / "test-run").write_text(_TEST_RUN)
