"""Where CPython's tarball comes from: digests, and what a person reads when there is none."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from mrjob_pybundle.aws.clients import Credentials
from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.bundle import cpython_releases, sources
from mrjob_pybundle.bundle.sources import Source, find_source
from mrjob_pybundle.cache.sources import fetch
from mrjob_pybundle.errors import OptionError


@pytest.fixture
def tarball(tmp_path: Path) -> tuple[Path, str]:
    path = tmp_path / "my python.tgz"
    path.write_bytes(b"not really a tarball")
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def test_python_org_is_the_default() -> None:
    source = find_source("3.13.5", None, None)
    assert source.location == "https://www.python.org/ftp/python/3.13.5/Python-3.13.5.tar.xz"
    assert source.sha256 == cpython_releases.SHA256["3.13.5"]["tar.xz"]
    assert source.sha256_for_key is None
    assert source.file_name == "Python-3.13.5.tar.xz"


def test_a_pre_release_lies_with_its_release() -> None:
    assert cpython_releases.url("3.14.0rc2") == "https://www.python.org/ftp/python/3.14.0/Python-3.14.0rc2.tar.xz"


def test_a_tarball_of_ones_own_is_in_the_key(tarball: tuple[Path, str]) -> None:
    path, sha256 = tarball
    source = find_source("3.13.5", str(path), None)
    assert source.sha256_for_key == sha256
    assert source.file_name == "Python-3.13.5.tgz"


def test_a_released_tarball_is_not_in_the_key_wherever_it_lies() -> None:
    """So that an author who has it at hand and one who takes python.org's share a bundle."""
    known = cpython_releases.SHA256["3.11.2"]["tgz"]
    assert Source("3.11.2", "/somewhere/python3.11_3.11.2.orig.tar.gz", known).sha256_for_key is None


def test_a_local_tarball_must_have_the_pinned_digest(tarball: tuple[Path, str]) -> None:
    path, sha256 = tarball
    assert find_source("3.13.5", str(path), sha256).sha256 == sha256
    with pytest.raises(OptionError, match=f"has the sha256 {sha256}, not {'0' * 64}"):
        find_source("3.13.5", str(path), "0" * 64)


def test_a_uri_that_could_change_unnoticed_is_refused() -> None:
    with pytest.raises(OptionError, match="set pybundle_python_sha256, too"):
        find_source("3.99.0", "s3://bucket/Python-3.99.0.tgz", None)


def test_from_s3(bucket: S3Uri, tarball: tuple[Path, str]) -> None:
    path, sha256 = tarball
    client = Credentials("us-east-1").s3_client()
    client.upload_file(str(path), bucket.bucket, "sources/p.tgz")
    location = str(bucket / "sources/p.tgz")
    assert fetch(Source("3.13.5", location, sha256), client) == path.read_bytes()
    with pytest.raises(OptionError, match=f"has the sha256 {sha256}, not {'1' * 64}"):
        fetch(Source("3.13.5", location, "1" * 64), client)


def test_a_version_that_python_org_does_not_have(s3_endpoint: str) -> None:
    """An HTTP server says 404, as python.org would."""
    source = Source("3.99.0", f"{s3_endpoint}/no-such-bucket/Python-3.99.0.tar.xz", None)
    with pytest.raises(OptionError, match=r"There is no http.*: python\.org has no CPython 3\.99\.0, or"):
        fetch(source, None)


def test_a_server_that_cannot_be_reached() -> None:
    source = Source("3.99.0", "http://127.0.0.1:9/Python-3.99.0.tar.xz", None)
    with pytest.raises(OptionError) as refused:
        fetch(source, None)
    assert "there may be no CPython 3.99.0, or it cannot be reached from here" in str(refused.value)
    assert "pybundle_python_source" in str(refused.value)
    known = Source("3.13.5", "http://127.0.0.1:9/Python-3.13.5.tar.xz", None)
    with pytest.raises(OptionError) as refused:
        fetch(known, None)
    assert "there may be no CPython" not in str(refused.value)


def test_the_table_of_releases() -> None:
    for version, digests in cpython_releases.SHA256.items():
        assert set(digests) == {"tar.xz", "tgz"}, version
        assert all(len(bytes.fromhex(digest)) == 32 for digest in digests.values())
    assert sources.find_source("3.13.14", None, None).sha256
