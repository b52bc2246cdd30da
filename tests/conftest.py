"""What many tests need: an S3 over real HTTP, and a shell environment without anything of this machine's person."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from mrjob_pybundle.aws.clients import Credentials
from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.sandbox.machines.botocore_data import read_once

# Some of these compile CPython, or wait for one that does: minutes each, and more beside other work.
_MAY_COMPILE = ("tests/line/", "tests/engines/", "tests/pristine/", "tests/scripts/test_build_binaries.py")
_SECONDS_WITH_COMPILING = 3600

# How long examples take says how busy the machine is.
settings.register_profile("no time", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# Where the same tests have run before, in another environment.
settings.register_profile("few examples", settings.get_profile("no time"), max_examples=5)
settings.load_profile("no time")


# A shell has Ctrl-C ignored by what it starts in the background, and nohup SIGHUP; so would be by all that tests start,
# and send these to.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


# One sandbox at a time can use a directory that is kept.
_TOGETHER = ("tests/engines/", "tests/pristine/")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """The tests of a file run in one of several processes, in their order: they share clusters, or a server."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            together = [place for place in _TOGETHER if nodeid.startswith(place)]
            return together[0] if together else nodeid.partition("::")[0]

    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first author of all comes first: what others have built may not be there by then, and compiling is long.

    Tests that may compile have a longer limit than pyproject.toml's.
    """
    items.sort(key=lambda item: item.path != Path(__file__).parent / "line" / "test_line.py")
    for item in items:
        if item.nodeid.startswith(_MAY_COMPILE) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_SECONDS_WITH_COMPILING))


@pytest.fixture(scope="session", autouse=True)
def _what_botocore_and_moto_know_is_read_once() -> Iterator[None]:
    """Tests make clients by the hundred, each of which reads megabytes; moto lists its directory for each request."""
    from moto import backends

    read_once()
    with pytest.MonkeyPatch.context() as patch:
        modules = list(backends.list_of_moto_modules())
        patch.setattr(backends, "list_of_moto_modules", lambda: modules)
        yield


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
