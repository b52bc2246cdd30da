"""CPython's source tarball, fetched, checked, and put into the cache.

The submitter does it, whatever the tarball's origin: the build cluster needs no internet for it, and a version that
does not exist is noticed before anything is launched.
"""

from __future__ import annotations

import hashlib
import http.client
import logging
import urllib.error
import urllib.request
from typing import Any

from mrjob_pybundle.aws.errors import explained
from mrjob_pybundle.aws.s3 import S3Uri, read_object
from mrjob_pybundle.bundle import cpython_releases
from mrjob_pybundle.bundle.sources import Source
from mrjob_pybundle.cache import layout
from mrjob_pybundle.cache.store import Store
from mrjob_pybundle.errors import OptionError

log = logging.getLogger("mrjob.pybundle")

_TIMEOUT_SECONDS = 60


class Sources:
    """The source tarballs in a store. Every method raises :class:`CacheError` when S3 says no."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def stage(self, source: Source, s3_client: Any) -> tuple[S3Uri, str]:
        """Have the tarball in the cache. The result is where it lies there, and its sha256.

        :raises OptionError: :func:`fetch` says why.
        :raises BuildError: it is a file, and has changed since its digest went into the key.
        """
        if source.sha256:
            staged = self.find(source.sha256, source.file_name)
            if staged is not None:
                return staged, source.sha256
        log.info("Getting %s", source.location)
        content = fetch(source, s3_client)
        return self.put(content, source.file_name), hashlib.sha256(content).hexdigest()

    def find(self, sha256: str, name: str) -> S3Uri | None:
        """The staged tarball with that digest, or ``None``."""
        staged = layout.source(sha256, name)
        return self._store.uri(staged) if self._store.exists(staged) else None

    def put(self, content: bytes, name: str) -> S3Uri:
        """Put a tarball into the cache, under its digest, unless it is there."""
        sha256 = hashlib.sha256(content).hexdigest()
        staged = layout.source(sha256, name)
        if not self._store.exists(staged):
            self._store.write_once(staged, content, sha256)
        return self._store.uri(staged)


def fetch(source: Source, s3_client: Any) -> bytes:
    """The tarball's bytes, checked: some 25 million.

    :raises OptionError: it isn't there, can't be reached, or hasn't the digest that it must have.
    :raises BuildError: it is a file, and has changed since its digest went into the key.
    :raises CacheError: S3, where it lies, said no.
    """
    if source.file is not None:
        return source.file.read()
    if source.location.startswith("s3://"):
        uri = S3Uri.parse(source.location)
        with explained(f"reading pybundle_python_source {uri}"):
            content: bytes = read_object(s3_client, Bucket=uri.bucket, Key=uri.key)["Body"]
    else:
        content = _download(source)
    _check(source, hashlib.sha256(content).hexdigest())
    return content


def _download(source: Source) -> bytes:
    try:
        with urllib.request.urlopen(source.location, timeout=_TIMEOUT_SECONDS) as response:
            return bytes(response.read())
    except urllib.error.HTTPError as error:
        if error.code == 404:
            raise OptionError(
                f"There is no {source.location}: python.org has no CPython {source.version},"
                " or pybundle_python_source is wrong."
            ) from error
        raise OptionError(_unreachable(source, f"HTTP status {error.code}")) from error
    except (OSError, http.client.HTTPException) as error:
        raise OptionError(_unreachable(source, str(getattr(error, "reason", error)))) from error


def _unreachable(source: Source, reason: str) -> str:
    known = source.version in cpython_releases.SHA256
    maybe = "" if known else f"there may be no CPython {source.version}, or "
    return (
        f"Cannot get {source.location} ({reason}): {maybe}it cannot be reached from here."
        " Point pybundle_python_source to a tarball: a path, an s3:// or an https:// URI."
    )


def _check(source: Source, found: str) -> None:
    expected = {source.sha256} if source.sha256 else set(cpython_releases.SHA256.get(source.version, {}).values())
    if expected and found not in expected:
        raise OptionError(f"{source.location} has the sha256 {found}, not {' or '.join(sorted(expected))}")
