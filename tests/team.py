"""A team's cache for tests: small bundles, published by the program that publishes on build masters."""

from __future__ import annotations

import calendar
import importlib.util
import io
import json
import sys
import tarfile
import time
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import botocore.session
import pytest

import mrjob_pybundle
from mrjob_pybundle.aws.clients import Credentials
from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.bundle.inputs import Inputs, read_inputs
from mrjob_pybundle.bundle.sources import Source
from mrjob_pybundle.bundle.spec import BundleSpec
from mrjob_pybundle.cache.cache import Cache
from mrjob_pybundle.command.main import main
from mrjob_pybundle.master.inputs import pack

PUBLISH = Path(mrjob_pybundle.__file__).parent / "master" / "programs" / "publish.py"
DAY = 24 * 3600


@dataclass
class Output:
    """What a command has printed, and its exit status."""

    status: int
    out: str
    err: str


@dataclass
class Team:
    """A cache in a bucket of its own, and the ``mrjob-pybundle`` command of one of the team."""

    bucket: str
    directory: Path
    capsys: pytest.CaptureFixture[str]

    @cached_property
    def s3(self) -> Any:
        return Credentials("us-east-1").s3_client()

    @cached_property
    def emr(self) -> Any:
        return Credentials("us-east-1").emr_client()

    @cached_property
    def cache(self) -> Cache:
        return Cache(S3Uri(self.bucket, "the cache"), self.s3)

    @property
    def switches(self) -> list[str]:
        return [
            *("--no-conf", "--cloud-tmp-dir", f"s3://{self.bucket}/tmp/", "--region", "us-east-1", "--owner", "ada"),
            *("--pybundle-cache-uri", f"s3://{self.bucket}/the cache", "--pybundle-python-version", "3.13.5"),
            *("--iam-service-role", "EMR_DefaultRole", "--iam-instance-profile", "EMR_EC2_DefaultRole"),
        ]

    def run(self, *args: str) -> Output:
        """Run ``mrjob-pybundle ARGS`` with the team's options."""
        self.capsys.readouterr()
        status = main([args[0], *self.switches, *args[1:]])
        return Output(status, *self.capsys.readouterr())

    def runner(self, *args: str) -> Any:
        """A runner with the team's options."""
        from mrjob_pybundle.command.main import _parser
        from mrjob_pybundle.command.switches import runner_of

        words = ["key", *self.switches, *args]
        return runner_of(_parser(words).parse_args(words))

    def spec(self, *args: str) -> BundleSpec:
        """The specification that options lead to."""
        spec: BundleSpec = self.runner(*args).bundle_spec
        return spec

    def publish(
        self,
        spec: BundleSpec,
        build_id: str,
        venv_build: Path | None = None,
        owner: str = "ada",
        archives: Mapping[str, bytes] | None = None,
        glibc: str = "2.34",
        contents: Mapping[str, Any] | None = None,
    ) -> None:
        """Put a bundle of *spec* into the cache as a build does, with its inputs.

        *archives* are those of the kinds, if it is to have others than a text in each; *glibc* is what nodes must have.
        *contents* is what the build has written down of what is inside, by kinds; without it, the build is one of old.
        """
        archives = archives or {"python": _archive(spec.python.key), "venv": _archive(spec.key + build_id)}
        inputs = read_inputs(Source("3.13.5", "s3://nowhere/Python.tgz", None), venv_build, ())
        self.cache.builds.put(build_id, "inputs.tar.gz", io.BytesIO(_packed(inputs)))
        if self.cache.bundles.find_python(spec.python) is None:
            self._publish("python", spec.python.key, spec, build_id, owner, archives, glibc, contents or {})
        self._publish("venv", spec.key, spec, build_id, owner, archives, glibc, contents or {})

    def _publish(
        self,
        kind: str,
        key: str,
        spec: BundleSpec,
        build_id: str,
        owner: str,
        archives: Mapping[str, bytes],
        glibc: str,
        contents: Mapping[str, Any],
    ) -> None:
        python, content = archives["python"], archives[kind]
        inputs = spec.python.inputs() if kind == "python" else spec.inputs()
        files = {
            "archive": content,
            "description": json.dumps(_description(content, "2.9" if kind == "python" else glibc)).encode(),
            "python-description": json.dumps(_description(python, "2.9")).encode(),
            "inputs": json.dumps(inputs).encode(),
            "freeze": _freeze(contents.get("venv")),
            "seconds": b"compile 125\nvenv 7\n",
            **({"contents": json.dumps(contents[kind]).encode()} if kind in contents else {}),
        }
        for name, body in files.items():
            (self.directory / name).write_bytes(body)
        values = {
            **{name: str(self.directory / name) for name in files},
            **({} if kind in contents else {"contents": "/nonexistent"}),
            "python-contents": "/nonexistent",  # it was cached
            **{"kind": kind, "key": key, "python-key": spec.python.key},
            **{"source-name": "Python-3.13.5.tar.xz", "source-sha256": "aa" * 32, "python-version": "3.13.5"},
            "directory": str(self.cache.bundles.directory(kind, key)),
            "python-directory": str(self.cache.bundles.directory("python", spec.python.key)),
            **{"build-id": build_id, "owner": owner, "cluster-id": "j-1", "os": "Amazon Linux 2023", "arch": "x86_64"},
            **{"pybundle-version": mrjob_pybundle.__version__, "rebuild": "no", "bucket-owner": ""},
            "region": "us-east-1",
        }
        arguments = [word for name, value in values.items() for word in (f"--{name}", value)]
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()):
            patch.setattr(sys, "argv", [str(PUBLISH), *arguments])
            patch.setattr("botocore.session.get_session", _session)
            assert _program().main() == 0

    def objects(self) -> set[str]:
        """Names of what lies in the cache, below ``v1/``."""
        return {found.name for found in self.cache.store.objects("")}

    def let_pass(self, days: float) -> None:
        """As if *days* had passed: all that S3 and manifests say of times lies further back."""
        for name in self.objects():
            content = self.cache.store.read(name) or b""
            if name.endswith("manifest.json") and b"built_at" in content:
                manifest = json.loads(content)
                then = time.strptime(manifest["build"]["built_at"], "%Y-%m-%dT%H:%M:%SZ")
                earlier = time.gmtime(calendar.timegm(then) - days * DAY)
                manifest["build"]["built_at"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", earlier)
                before = self._stored(name).last_modified
                self.cache.store.write(name, json.dumps(manifest).encode())
                self._stored(name).last_modified = before
        for name in self.objects():
            self._stored(name).last_modified -= timedelta(days=days)

    def _stored(self, name: str) -> Any:
        """moto's object: S3 takes nobody's word for when something was written."""
        from moto.backends import get_backend

        backend = get_backend("s3")["123456789012"]["aws"]
        return backend.buckets[self.bucket].keys[f"the cache/v1/{name}"]


@cache
def _program() -> Any:
    """What a build master runs, and tests/scripts as it does: here, without a process for each archive."""
    spec = importlib.util.spec_from_file_location("publish", PUBLISH)
    assert spec is not None
    assert spec.loader is not None
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    return program


@cache
def _session() -> Any:
    """One for all publishing: what it knows of AWS, it need not learn for each archive."""
    return botocore.session.Session()


def _packed(inputs: Inputs) -> bytes:
    """``inputs.tar.gz``: most of it is the same for all, and takes long to compress."""
    venv_build = inputs.venv_build
    key = venv_build.sha256 if venv_build else None
    if key not in _PACKED:
        packed = io.BytesIO()
        pack(inputs, packed)
        _PACKED[key] = packed.getvalue()
    return _PACKED[key]


#: digest of a venv-build.sh, or None, and what was packed with it
_PACKED: dict[str | None, bytes] = {}


def _freeze(contents: Mapping[str, Any] | None) -> bytes:
    """What ``pip list --format=freeze`` says of *contents*."""
    installed = contents["distributions"] if contents else _OF_OLD
    return "".join(f"{one['name']}=={one['version']}\n" for one in installed).encode()


_OF_OLD = [{"name": "mrjob", "version": "0.7.4"}, {"name": "regex", "version": "2024.11.6"}]


def _archive(text: str) -> bytes:
    """A small archive: a tar of one file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        member = tarfile.TarInfo("content")
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text.encode()))
    content = bytearray(buffer.getvalue())
    content[4:8] = bytes(4)  # gzip's time of day
    return bytes(content)


def _description(content: bytes, glibc: str) -> dict[str, Any]:
    needs = [f"libc.so.6:GLIBC_{glibc}"]
    return {"sha256": sha256(content).hexdigest(), "size": len(content), "unpacked_size": 10240, "needs": needs}
