"""Where CPython's tarball comes from: digests, and what a person reads when there is none."""

from __future__ import annotations

import hashlib
import logging
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mrjob_pybundle.aws.clients import Credentials
from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.bundle import cpython_releases, sources
from mrjob_pybundle.bundle.sources import Source, find_source
from mrjob_pybundle.cache.sources import fetch
from mrjob_pybundle.errors import CacheError, OptionError
from tests.tarballs import source_tarball
from tests.team import Team


@pytest.fixture
def tarball(tmp_path: Path) -> tuple[Path, str]:
    path = tmp_path / "my python.tgz"
    path.write_bytes(source_tarball())
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


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"no tarball", "compressed neither"),
        (source_tarball("3.13.4"), r"it is that of CPython 3\.13\.4"),
        (source_tarball("3.13.4", ""), r"it is that of CPython 3\.13\.4"),
    ],
)
@pytest.mark.parametrize("where", ["a file", "S3"])
def test_a_tarball_of_ones_own_that_is_another(
    bucket: S3Uri, tmp_path: Path, content: bytes, what: str, where: str
) -> None:
    """It has the digest that its author wants it to have. A build master would find out, minutes later."""
    path, client = tmp_path / "Python-3.13.5.tar.xz", Credentials("us-east-1").s3_client()
    path.write_bytes(content)
    client.upload_file(str(path), bucket.bucket, "Python.tar.xz")
    location = str(path) if where == "a file" else str(bucket / "Python.tar.xz")
    with pytest.raises(OptionError, match=rf"is not the source of CPython 3\.13\.5: .*{what}"):
        fetch(find_source("3.13.5", location, hashlib.sha256(content).hexdigest()), client)


@pytest.mark.parametrize(
    "content", [source_tarball(compression=""), b"\x28\xb5\x2f\xfd zstd, it says"], ids=["tar", "zst"]
)
def test_a_tarball_of_ones_own_may_be_whatever_tar_reads(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "Python-3.13.5.tar"
    path.write_bytes(content)
    assert fetch(find_source("3.13.5", str(path), None), None) == content


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


UNKNOWN = "3.99.0"
HTML = b"<!DOCTYPE html>\n<title>Log in to the network</title>" + b" " * 999


class Served:
    """What a server has at every address, and how it sends that: the first of *sent* to the first who asks…"""

    def __init__(self) -> None:
        self.content = b""
        #: how many bytes of it, instead of all; or a status instead of it
        self.sent: list[int | str] = []
        self.has_length = True
        self.asked = 0


class _Handler(BaseHTTPRequestHandler):
    served: Served

    def do_GET(self) -> None:
        served = self.served
        how = served.sent.pop(0) if served.sent else len(served.content)
        served.asked += 1
        if isinstance(how, str):
            self.send_error(int(how))
            return
        self.send_response(200)
        if served.has_length:
            self.send_header("Content-Length", str(len(served.content)))
        self.end_headers()
        self.wfile.write(served.content[:how])

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()

    def do_CONNECT(self) -> None:
        """A proxy that answers itself, with a certificate of its own."""
        self.send_response(200)
        self.end_headers()
        with self.server.tls.wrap_socket(self.connection, server_side=True) as inner:  # type: ignore[attr-defined]
            before = self.rfile, self.wfile
            with inner.makefile("rb") as self.rfile, inner.makefile("wb") as self.wfile:
                self.handle_one_request()
            self.rfile, self.wfile = before
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def _serving(served: Served, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"served": served}))
    server.tls = tls  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def served() -> Served:
    return Served()


@pytest.fixture
def site(served: Served) -> Iterator[str]:
    with _serving(served) as url:
        yield url


@pytest.mark.parametrize("trouble", [100, "503"])
def test_a_download_that_is_interrupted_is_tried_again(
    served: Served, site: str, trouble: int | str, caplog: pytest.LogCaptureFixture
) -> None:
    served.content, served.sent = source_tarball(UNKNOWN), [trouble]
    with caplog.at_level(logging.INFO, "mrjob.pybundle"):
        assert fetch(Source(UNKNOWN, f"{site}/Python.tar.xz?signature=secret", None), None) == served.content
    how = "HTTP status 503" if trouble == "503" else f"it ended after 100 of {len(served.content):,} bytes"
    assert caplog.messages == [f"{site}/Python.tar.xz: {how}. Trying again"]


@pytest.mark.parametrize("compression", ["xz", "gz", "bz2"])
@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda _: HTML, "an HTML page, as a proxy sends, or a network before one has logged in"),
        (lambda _: b"", "it is empty"),
        (lambda _: bytes(1000), "compressed neither by xz nor by gzip nor by bzip2"),
        (lambda tarball: tarball[:-4], "it (ends early|is damaged)"),
        (lambda tarball: tarball[: len(tarball) // 2], "it (ends early|is damaged)"),
        (lambda tarball: tarball[:-30] + bytes(20) + tarball[-10:], "it (ends early|is damaged)"),
    ],
    ids=["html", "empty", "zeros", "nearly all", "half", "damaged"],
)
def test_what_is_no_tarball_is_refused_where_no_digest_is_known(
    served: Served, site: str, compression: str, change: Callable[[bytes], bytes], what: str
) -> None:
    """The server says nothing of a length, as one of before HTTP 1.1."""
    served.content, served.has_length = change(source_tarball(UNKNOWN, compression)), False
    with pytest.raises(OptionError, match=rf"is not the source of CPython 3\.99\.0: .*{what}"):
        fetch(Source(UNKNOWN, f"{site}/Python.tgz", None), None)


def test_a_page_in_place_of_a_tarball_whose_digest_is_known(served: Served, site: str) -> None:
    served.content = HTML
    with pytest.raises(OptionError, match=r"has the sha256 .*, but is an HTML page"):
        fetch(Source("3.13.5", f"{site}/Python.tgz", None), None)


def test_a_tarball_in_s3_that_always_ends_early(served: Served, site: str) -> None:
    served.content, served.sent = bytes(1_000_000), [1000] * 5
    client = Credentials("us-east-1", "x", "x", s3_endpoint=site).s3_client()
    with pytest.raises(CacheError, match=r"s3://bucket/Python\.tgz.*1000 bytes read, 999000 more expected"):
        fetch(Source(UNKNOWN, "s3://bucket/Python.tgz", "ab" * 32), client)
    assert served.asked == 5


@pytest.fixture
def behind_a_proxy(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """The way to python.org leads over a proxy that answers in its place, and whose certificate is trusted."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(timezone.utc)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a proxy")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("www.python.org")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    trusted, secret = tmp_path / "certificate.pem", tmp_path / "key.pem"
    trusted.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(trusted, secret)
    with _serving(served, tls) as url:
        for variable in ("https_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(variable, url)
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        yield served


@pytest.mark.parametrize(
    ("content", "sent", "line"),
    [
        (bytes(1_000_000), [1000] * 4, "it ended after 1,000 of 1,000,000 bytes, in each of 4 attempts. Point"),
        (HTML, [], "it is an HTML page, as a proxy sends, or a network before one has logged in"),
        (source_tarball("3.99.0"), [], "it is that of CPython 3.99.0"),
    ],
    ids=["cut short", "login page", "another version"],
)
def test_a_build_begins_with_a_whole_tarball_or_not_at_all(
    behind_a_proxy: Served,
    bucket: S3Uri,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: bytes,
    sent: list[int | str],
    line: str,
) -> None:
    """Of a release that is newer than this package: nobody knows its digest."""
    team = Team(bucket.bucket, tmp_path, capsys)
    behind_a_proxy.content, behind_a_proxy.sent = content, sent
    clusters = team.emr.list_clusters()["Clusters"]
    # A process of its own: urllib looks for proxies once.
    switches = [*team.switches, "--pybundle-python-version", "3.99.1"]
    command = [sys.executable, "-m", "mrjob_pybundle", "build", *switches]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 2
    assert "https://www.python.org/ftp/python/3.99.1/Python-3.99.1.tar.xz" in built.stderr.splitlines()[-1]
    assert line in built.stderr.splitlines()[-1]
    assert team.objects() == set()
    assert team.emr.list_clusters()["Clusters"] == clusters


def test_the_doctor_sees_a_page_in_place_of_a_tarball(
    behind_a_proxy: Served, bucket: S3Uri, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    switches = [*Team(bucket.bucket, tmp_path, capsys).switches, "--pybundle-python-version", "3.99.1"]
    command = [sys.executable, "-m", "mrjob_pybundle", "doctor", *switches]
    examined = subprocess.run(command, capture_output=True, text=True)
    assert "Python-3.99.1.tar.xz (an HTML page). Point pybundle_python_source to a tarball." in examined.stdout


def test_the_table_of_releases() -> None:
    for version, digests in cpython_releases.SHA256.items():
        assert set(digests) == {"tar.xz", "tgz"}, version
        assert all(len(bytes.fromhex(digest)) == 32 for digest in digests.values())
    assert sources.find_source("3.13.14", None, None).sha256
