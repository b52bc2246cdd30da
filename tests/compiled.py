"""CPython as the recipe compiles it: once, for all tests and all runs, until something that changes it does.

Who needs it first compiles it by the whole line, in a sandbox of its own; who needs it meanwhile waits for that one.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mrjob_pybundle
from mrjob_pybundle.sandbox.sandbox import BUCKET, image_id

ROOT = Path(__file__).parents[1]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mrjob-pybundle"
CPYTHON = "3.13.5"


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
    switches = [
        *("--no-conf", "--cloud-tmp-dir", f"s3://{BUCKET}/tmp/", "--region", "us-east-1", "--image-id", image_id()),
        *("--pybundle-python-version", CPYTHON, "--pybundle-python-source", str(fetch_source(CPYTHON))),
        "--no-pybundle-optimize",
    ]
    key = _key(switches)
    kept = CACHE / "compiled" / _digest(key)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with (kept.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            with tempfile.TemporaryDirectory(dir=kept.parent) as scratch:
                _compile(switches, key, Path(scratch))
                (Path(scratch) / "python").rename(kept)
    return Compiled(key, kept)


def _key(switches: list[str]) -> str:
    """The key of the Python, which names no place and no person."""
    anybody = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_EC2_METADATA_DISABLED": "true"}
    command = [sys.executable, "-m", "mrjob_pybundle", "key", *switches]
    keys = subprocess.run(command, env={**os.environ, **anybody}, stdout=subprocess.PIPE, check=True)
    return str(json.loads(keys.stdout)["python"]["key"])


def _digest(key: str) -> str:
    """Of all that changes what comes out: what the key names, what runs on masters, and what it finds there."""
    digest = hashlib.sha256(key.encode())
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


def _compile(switches: list[str], key: str, scratch: Path) -> None:
    sandbox = [sys.executable, "-m", "mrjob_pybundle", "sandbox", "--dir", str(scratch / "sandbox"), "--nodes", "0"]
    build = [sys.executable, "-m", "tests.compiled", key, str(scratch / "python"), *switches]
    built = subprocess.run([*sandbox, "--", *build], cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr[-6000:]


def _build_and_fetch(key: str, directory: Path, switches: list[str]) -> int:
    """In a sandbox: have a bundle built, and take the Python out of the cache."""
    import boto3

    cache = ["--pybundle-cache-uri", f"s3://{BUCKET}/cache"]
    built = subprocess.run([sys.executable, "-m", "mrjob_pybundle", "build", *switches, *cache])
    if built.returncode:
        return built.returncode
    directory.mkdir()
    bucket = boto3.resource("s3").Bucket(BUCKET)
    for found in bucket.objects.filter(Prefix=f"cache/v1/python/{key}/"):
        bucket.download_file(found.key, str(directory / found.key.rpartition("/")[2]))
    return 0


if __name__ == "__main__":
    sys.exit(_build_and_fetch(sys.argv[1], Path(sys.argv[2]), sys.argv[3:]))
