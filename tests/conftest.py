"""What many tests need: an S3 over real HTTP, and a shell environment without anything of this machine's person."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mrjob_pybundle.aws.clients import Credentials, S3Uri

_SHARED = (
    "tests/line/",
    "tests/engines/",
    "tests/pristine/",
    "tests/packaging/",
    "tests/scripts/test_build_binaries.py",
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Tests that share what takes long to make (a Python, installed packages) are in one of several processes."""
    from xdist.scheduler import LoadScopeScheduling

    class TogetherWhereTheyShare(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            shared = [place for place in _SHARED if nodeid.startswith(place)]
            return shared[0] if shared else nodeid

    return TogetherWhereTheyShare(config, log)


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The URL of an S3 (moto) on loopback."""
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws_environment(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Environment variables with which boto3 and the AWS CLI find that S3; set in this process, too."""
    environment = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": s3_endpoint,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return environment


@pytest.fixture
def bucket(aws_environment: dict[str, str]) -> S3Uri:
    """A new bucket."""
    uri = S3Uri(f"team-{uuid.uuid4().hex}", "")
    Credentials("us-east-1").s3_client().create_bucket(Bucket=uri.bucket)
    return uri


@pytest.fixture
def clean_environment(tmp_path: Path) -> dict[str, str]:
    """An environment for a subprocess: an empty HOME, no AWS settings, no mrjob conf."""
    home = tmp_path / "home"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MRJOB", "PYTHON"))}
    # no instance metadata to wait for: the tests' machine is none of EC2's
    return {**kept, "HOME": str(home), "AWS_EC2_METADATA_DISABLED": "true"}
