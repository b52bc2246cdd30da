"""Credentials, as they may end up in a log."""

from __future__ import annotations

from mrjob_pybundle.aws.clients import Credentials
from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.bundle.sources import find_source
from mrjob_pybundle.context import Context


def test_no_secret_in_what_is_printed() -> None:
    credentials = Credentials("us-east-1", "AKIA", "a secret", "a token")
    shown = repr(Context(credentials, S3Uri("bucket", ""), None, "ada", 30.0))
    assert "AKIA" in shown
    assert "a secret" not in shown
    assert "a token" not in shown


def test_no_signature_in_what_is_said_of_a_source() -> None:
    source = find_source("3.13.5", "https://user:password@example.com:8443/Python.tgz?X-Amz-Signature=abc#x", None)
    assert source.shown == "https://example.com:8443/Python.tgz"
