"""What the tests of the scripts share: an S3, the AWS CLI's way to it, and machines to run scripts on."""

from __future__ import annotations

import hashlib
import os
import select
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from mrjob_pybundle.sandbox.api.server import Server
from mrjob_pybundle.sandbox.machines.needs import may_mount
from mrjob_pybundle.sandbox.machines.resident_aws import ResidentAws
from tests.elsewhere import regions_and_accounts

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent


@dataclass(frozen=True)
class Store:
    """A bucket of its own in a real S3 server, and the environment in which `aws` and boto3 find it."""

    bucket: str
    #: which nothing in the environment names, as on a node
    region: str
    endpoint: str
    environment: dict[str, str]
    client: Any = field(repr=False)

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    def put(self, key: str, body: bytes) -> str:
        """Store *body* and return its URI."""
        self.client.put_object(Bucket=self.bucket, Key=key, Body=body)
        return self.uri(key)

    def get(self, key: str) -> bytes:
        body: bytes = self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return body

    def keys(self, prefix: str = "") -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory that has an ``aws`` which need not start: see the sandbox's ``resident_aws.py``."""
    resident = ResidentAws(tmp_path_factory.mktemp("aws"))
    resident.start()
    yield resident.directory
    resident.stop()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The endpoint of an S3 server on this machine's loopback."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def s3_of_regions() -> Iterator[str]:
    """The endpoint of an S3 that insists on the region of a bucket: see tests/elsewhere.py."""
    server = Server(lambda: None, lambda _: None, [regions_and_accounts({})])
    server.start()
    yield server.endpoint
    server.stop()


def make_store(endpoint: str, aws: Path, region: str = "us-east-1") -> Store:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
        "PATH": f"{aws}:{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    bucket = f"bucket-{uuid.uuid4().hex[:12]}"
    where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    client.create_bucket(Bucket=bucket, **where)
    return Store(bucket, region, endpoint, environment, client)


@pytest.fixture
def store(s3_server: str, aws: Path) -> Store:
    return make_store(s3_server, aws)


@dataclass(frozen=True)
class Machine:
    """Runs commands with a /mnt and a /var/tmp of its own, and with copies of /opt, /usr, /var and /etc to write to."""

    directory: Path

    @property
    def mnt(self) -> Path:
        return self.directory / "mnt"

    @property
    def opt(self) -> Path:
        """What commands have written below /opt."""
        return self.directory / "written" / "opt"

    def command(self, *words: str) -> list[str]:
        become_root = [] if may_mount() else ["--map-root-user"]
        script = str(HERE / "own_machine.sh")
        return ["unshare", "--mount", *become_root, "bash", script, str(self.directory), *words]

    def run(self, words: Sequence[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words),
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
        )


def make_machine(directory: Path) -> Machine:
    directory.mkdir(parents=True, exist_ok=True)
    machine = Machine(directory)
    attempt = machine.run(["true"], dict(os.environ))
    if attempt.returncode != 0:
        pytest.skip(f"no mount namespaces with overlays here: {attempt.stderr.strip()}")
    return machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return make_machine(tmp_path / "machine")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def tool(name: str) -> str:
    """The path of a program that came with a Python package, or of the machine's."""
    path = shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert path is not None, f"{name} is not installed"
    return path


def wait_for_line(fifo: Path) -> str:
    """The first line that somebody writes into *fifo*; fails after two minutes."""
    descriptor = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(descriptor) as stream:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            select.select([stream], [], [], 1)
            line = stream.readline()
            if line:
                return line
            # End of file until the writer has opened it.
            time.sleep(0.02)
    raise AssertionError(f"nobody wrote into {fifo}")
