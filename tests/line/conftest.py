"""A sandbox for all tests in here, with a team's cache in it that has a Python, and no environment on it yet."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mrjob_pybundle.sandbox.api.access import Access
from mrjob_pybundle.sandbox.api.faults import Faults
from mrjob_pybundle.sandbox.api.requests import Request, describe
from tests import compiled
from tests.compiled import CPYTHON, ROOT, compiled_python, fetch_source
from tests.elsewhere import regions_and_accounts

__all__ = ["CPYTHON", "ROOT"]

#: Of the team's cache. What is in a name must not matter.
CACHE_PREFIX = "it's a cache/$(id)/é"

#: A bucket of its own, for a cache at a plain address: Hadoop's ``-files`` takes only URIs, and the line's own is none.
PLAIN = f"plain-{uuid.uuid4().hex[:8]}"

CONF = """\
include: {sandbox_conf}
runners:
  pybundle-emr:
    pybundle_python_version: {version}
    pybundle_python_source: {tarball}
    # A plain build takes minutes, an optimized one a quarter of an hour: benchmarks/ measures that one.
    pybundle_optimize: false
    pybundle_build_iam_instance_profile: BundleBuilder
    pybundle_cache_uri: s3://the-team/{cache}
    cleanup: NONE
"""


@dataclass
class Line:
    """The sandbox, as the people of a team use it: through programs, and AWS's API."""

    environment: dict[str, str]
    directory: Path
    sandbox: Any
    #: all that its AWS was asked for
    requests: list[Request] = field(default_factory=list)
    #: what goes wrong in it
    faults: Faults = field(default_factory=Faults)
    access: Access = field(default_factory=Access)
    #: clusters that tests have seen
    seen: set[str] = field(default_factory=set)
    _clients: dict[tuple[str, str], Any] = field(default_factory=dict)

    def run(self, *args: object, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        """Run ``python ARGS`` in the sandbox's environment."""
        return subprocess.run(
            [sys.executable, *map(str, args)],
            env={**self.environment, **environment},
            input=stdin,
            capture_output=True,
            text=True,
            cwd=self.directory,
        )

    def job(self, script: Path, *args: object, **kwargs: Any) -> subprocess.CompletedProcess[str]:
        """Run a job with ``-r pybundle-emr``."""
        return self.run(script, "-r", "pybundle-emr", *args, **kwargs)

    def submit(self, *args: object, key_id: str = "author", **environment: str) -> subprocess.Popen[str]:
        """Start ``python ARGS`` as a process of its own, with one line of input, as an author does at a terminal."""
        process = subprocess.Popen(
            # What a shell starts in the background ignores Ctrl-C, and so does all that this starts.
            ["env", "--default-signal=INT", sys.executable, *map(str, args)],
            env={**self.environment, "AWS_ACCESS_KEY_ID": key_id, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.directory,
        )
        assert process.stdin is not None
        process.stdin.write("abc\n")
        process.stdin.close()
        process.stdin = None
        return process

    def build_clusters(self) -> list[str]:
        """Ids of build clusters launched since clusters were last asked for."""
        return [c["Id"] for c in self.new_clusters() if c["Name"].startswith("mrjob-pybundle build")]

    def building(self) -> list[str]:
        """Ids of builds that are just running venv-build.sh. (The last words of a master that died don't count.)"""
        running = b'"state":"RUNNING","stage":"venv-build"'
        objects, found = self.objects(), []
        for claim in (key for key in objects if "/v1/claims/" in key):
            build_id = json.loads(self.read(claim))["build_id"]
            status = f"{claim.partition('/v1/')[0]}/v1/builds/{build_id}/status.json"
            if status in objects and running in self.read(status):
                found.append(build_id)
        return found

    def on_node(self, pattern: str) -> str:
        """A pattern of what a node calls that directory: without namespaces, one of its own on this machine."""
        own = rf"{re.escape(str(self.directory))}/sandbox/clusters/[^/]+/[^/]+/own"
        return own + pattern if self.sandbox.shares_files else pattern

    def read(self, key: str, bucket: str = "the-team") -> bytes:
        """The content of an object, of the team's if not of another bucket's."""
        body: bytes = self.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        return body

    def claims(self, bucket: str = "the-team") -> list[str]:
        """Keys of the claims that there are."""
        return [key for key in self.objects(bucket) if "/v1/claims/" in key]

    def make_older(self, key: str, seconds: float, bucket: str = "the-team") -> None:
        """Let an object have been written so much earlier, by S3's clock."""
        from moto.s3.models import s3_backends

        s3_backends["123456789012"]["aws"].buckets[bucket].keys[key].last_modified -= timedelta(seconds=seconds)

    def client(self, service: str, key_id: str = "test") -> Any:
        """A boto3 client for the sandbox."""
        import boto3

        if (service, key_id) not in self._clients:
            self._clients[service, key_id] = boto3.session.Session().client(
                service,
                endpoint_url=self.environment["AWS_ENDPOINT_URL"],
                region_name="us-east-1",
                aws_access_key_id=key_id,
                aws_secret_access_key="test",
            )
        return self._clients[service, key_id]

    def new_clusters(self) -> list[dict[str, Any]]:
        """Clusters launched since this was last asked."""
        clusters = [
            c for page in self.client("emr").get_paginator("list_clusters").paginate() for c in page["Clusters"]
        ]
        new = [cluster for cluster in clusters if cluster["Id"] not in self.seen]
        self.seen.update(cluster["Id"] for cluster in new)
        return new

    def objects(self, bucket: str = "the-team") -> dict[str, int]:
        """Key → size of all that is in a bucket."""
        pages = self.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {found["Key"]: found["Size"] for page in pages for found in page.get("Contents", ())}


@pytest.fixture(scope="package")
def tarball() -> Path:
    return fetch_source(CPYTHON)


@pytest.fixture(scope="package")
def line(tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """The sandbox, with an mrjob.conf that all of a team's authors share."""
    from mrjob_pybundle.sandbox import Sandbox

    python = compiled_python()
    directory = tmp_path_factory.mktemp("sandbox")
    requests: list[Request] = []
    faults, access = Faults(), Access()
    middleware = [recording(requests), faults, access, regions_and_accounts({})]
    with Sandbox(directory / "sandbox", 1, middleware) as sandbox:
        conf = directory / "mrjob.conf"
        included = sandbox.environment["MRJOB_CONF"]
        conf.write_text(CONF.format(sandbox_conf=included, version=CPYTHON, tarball=tarball, cache=CACHE_PREFIX))
        # What jobs keep on their author's machine.
        environment = {**sandbox.environment, "MRJOB_CONF": str(conf), "XDG_CACHE_HOME": str(directory / "cache")}
        line = Line(environment, directory, sandbox, requests, faults, access)
        line.client("s3").create_bucket(Bucket="the-team")
        for name, content in python.files.items():
            key = f"{CACHE_PREFIX}/v1/python/{python.key}/{name}"
            line.client("s3").put_object(Bucket="the-team", Key=key, Body=content)
        yield line


@pytest.fixture(scope="package")
def plain_cache(line: Line) -> None:
    """A cache at a plain address that has the line's Python, but no environment on it."""
    key = json.loads(line.run("-m", "mrjob_pybundle", "key").stdout)["python"]["key"]
    if not any(f"/v1/python/{key}/manifest.json" in name for name in line.objects()):
        built = line.run("-m", "mrjob_pybundle", "build")
        assert built.returncode == 0, built.stderr[-3000:]
    line.client("s3").create_bucket(Bucket=PLAIN)
    for name in line.objects():
        _, found, rest = name.partition(f"/v1/python/{key}/")
        if found:
            copy = f"cache/v1/python/{key}/{rest}"
            line.client("s3").copy_object(Bucket=PLAIN, Key=copy, CopySource={"Bucket": "the-team", "Key": name})


def plain_addresses() -> list[str]:
    """Switches for a job whose cache is :func:`plain_cache`'s: what Hadoop can carry."""
    return ["--pybundle-cache-uri", f"s3://{PLAIN}/cache", "--cloud-tmp-dir", f"s3://{PLAIN}/tmp"]


def recording(requests: list[Request]) -> Callable[[Any], Any]:
    """Middleware that adds to *requests* what it sees."""

    def middleware(application: Any) -> Any:
        def answer(environ: dict[str, Any], start_response: Any) -> Any:
            requests.append(describe(environ))
            return application(environ, start_response)

        return answer

    return middleware


@pytest.fixture(scope="package")
def texts() -> list[Path]:
    return compiled.texts()
