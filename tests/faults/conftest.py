"""A sandbox whose AWS can have bad days, for all tests in here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from mrjob_pybundle.aws.clients import Credentials
from mrjob_pybundle.sandbox import BUCKET, Sandbox
from mrjob_pybundle.sandbox.api.faults import Faults


@dataclass(frozen=True)
class Aws:
    """A sandbox, what can go wrong in it, and clients that retry as ours do."""

    sandbox: Sandbox
    faults: Faults
    s3: Any
    emr: Any
    #: RunJobFlow's
    emr_without_retries: Any

    def put(self, key: str, body: bytes) -> None:
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)

    def get(self, key: str) -> bytes:
        body: bytes = self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return body


@pytest.fixture(scope="package")
def faulty_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sandbox, Faults]]:
    faults = Faults()
    with Sandbox(tmp_path_factory.mktemp("faults"), 0, middleware=[faults]) as sandbox:
        yield sandbox, faults


@pytest.fixture
def aws(faulty_sandbox: tuple[Sandbox, Faults]) -> Aws:
    """With clients of each test's own: one that has met too many errors tries less often (botocore's retry quota)."""
    sandbox, faults = faulty_sandbox
    endpoint = sandbox.endpoint
    ours = Credentials("us-east-1", "me", "secret", s3_endpoint=endpoint, emr_endpoint=endpoint)
    return Aws(sandbox, faults, ours.s3_client(), ours.emr_client(), ours.emr_client(retries=False))
