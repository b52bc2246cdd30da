"""One sandbox for all tests that need one; every test makes its own clusters in it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("moto", reason="the sandbox extra is not installed")

from mrjob_pybundle.sandbox import Sandbox
from mrjob_pybundle.sandbox.api.access import Access
from mrjob_pybundle.sandbox.api.requests import Request, describe

RunJob = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="package")
def access() -> Access:
    """What is asked of the sandbox, and by whom."""
    return Access()


@pytest.fixture(scope="package")
def requests() -> list[Request]:
    """All that is sent to the sandbox."""
    return []


@pytest.fixture(scope="package")
def sandbox(access: Access, requests: list[Request], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    def record(application: Any) -> Any:
        def recording(environ: dict[str, Any], start_response: Any) -> Any:
            requests.append(describe(environ))
            return application(environ, start_response)

        return recording

    with Sandbox(tmp_path_factory.mktemp("sandbox"), nodes=2, middleware=[record, access]) as running:
        yield running


@pytest.fixture(scope="package")
def clients(sandbox: Sandbox) -> Callable[..., Any]:
    import boto3

    def client(service: str, key_id: str = "test") -> Any:
        return boto3.client(
            service,
            endpoint_url=sandbox.endpoint,
            region_name="us-east-1",
            aws_access_key_id=key_id,
            aws_secret_access_key="test",
        )

    return client


@pytest.fixture(scope="package")
def node_python() -> str:
    """A Python that nodes have and that stock mrjob can run on."""
    system = Path("/usr/bin/python3")
    for candidate in (str(system), sys.executable):
        check = "import pipes, distutils.spawn"
        if (
            Path(candidate).exists()
            and not subprocess.run([candidate, "-W", "ignore", "-c", check], capture_output=True).returncode
        ):
            return candidate
    pytest.skip("stock mrjob needs a Python below 3.12")


@pytest.fixture(scope="package")
def run_job(sandbox: Sandbox, node_python: str) -> RunJob:
    """Run an mrjob script with stock ``-r emr``."""

    def run(script: Path, *args: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(script), "-r", "emr", "--python-bin", node_python]
        return subprocess.run(
            [*command, "--cloud-fs-sync-secs", "0", "--check-cluster-every", "0.2", *args],
            env=sandbox.environment,
            capture_output=True,
            text=True,
        )

    return run
