"""CPython's source tarball, fetched, checked, and put into the cache.

The submitter does it, whatever the tarball's origin: the build cluster needs no internet for it, and a version that
does not exist is noticed before anything is launched.
"""

from __future__ import annotations

import hashlib
import http.client
import logging
import random
import time
import urllib.error
import urllib.request
from typing import Any

from mrjob_pybundle.aws.errors import explained
from mrjob_pybundle.aws.s3 import S3Uri, read_object
from mrjob_pybundle.bundle import cpython_releases
from mrjob_pybundle.bundle.sources import Source, check_is_source, looks_like
from mrjob_pybundle.cache import layout
from mrjob_pybundle.cache.store import Store
from mrjob_pybundle.errors import OptionError

log = logging.getLogger("mrjob.pybundle")

_TIMEOUT_SECONDS = 60
_ATTEMPTS = 4
_INSTEAD = "Point pybundle_python_source to a tarball: a path, an s3:// or an https:// URI."
#: Statuses of a server that may have the tarball in a moment.
_PASSING_STATUSES = (408, 425, 429, 500, 502, 503, 504)


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
        log.info("Getting %s", source.shown)
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

    :raises OptionError: it isn't there, can't be reached, doesn't come whole, or isn't what it must be: by its digest,
        and where that is not one that python.org has for this version, by what is in it.
    :raises BuildError: it is a file, and has changed since its digest went into the key.
    :raises CacheError: S3, where it lies, said no.
    """
    content: bytes
    if source.file is not None:
        content = source.file.read()
    elif source.location.startswith("s3://"):
        uri = S3Uri.parse(source.location)
        with explained(f"reading pybundle_python_source {uri}"):
            content = read_object(s3_client, Bucket=uri.bucket, Key=uri.key)["Body"]
    else:
        content = _download(source)
    _check(source, content)
    return content


class _InterruptedError(Exception):
    """A download came to nothing that may go well if it is tried again. The text says how."""


def _download(source: Source) -> bytes:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return _get(source)
        except _InterruptedError as error:
            if attempt == _ATTEMPTS:
                raise OptionError(
                    f"Cannot get {source.shown}: {error}, in each of {_ATTEMPTS} attempts. {_INSTEAD}"
                ) from error
            log.info("%s: %s. Trying again", source.shown, error)
        time.sleep(random.uniform(0.5, 1) * 2 ** (attempt - 1))
    raise AssertionError("unreachable")


def _get(source: Source) -> bytes:
    """One attempt."""
    try:
        with urllib.request.urlopen(source.location, timeout=_TIMEOUT_SECONDS) as response:
            return _read_whole(response)
    except urllib.error.HTTPError as error:
        if error.code == 404:
            raise OptionError(
                f"There is no {source.shown}: python.org has no CPython {source.version},"
                " or pybundle_python_source is wrong."
            ) from error
        if error.code in _PASSING_STATUSES:
            raise _InterruptedError(f"HTTP status {error.code}") from error
        raise OptionError(_unreachable(source, f"HTTP status {error.code}")) from error
    except (OSError, http.client.HTTPException) as error:
        raise OptionError(_unreachable(source, str(getattr(error, "reason", error)))) from error


def _read_whole(response: http.client.HTTPResponse) -> bytes:
    """The body, which must be as long as its header says: a connection that is closed looks like an end."""
    content, cause = bytearray(), None
    try:
        while piece := response.read(1 << 20):
            content += piece
    except (OSError, http.client.HTTPException) as error:
        cause = error
    length = response.headers.get("Content-Length", "")
    wanted = int(length) if length.isdecimal() else None
    if cause or (wanted is not None and len(content) != wanted):
        of_all = "" if wanted is None else f" of {wanted:,}"
        raise _InterruptedError(f"it ended after {len(content):,}{of_all} bytes") from cause
    return bytes(content)


def _unreachable(source: Source, reason: str) -> str:
    known = source.version in cpython_releases.SHA256
    maybe = "" if known else f"there may be no CPython {source.version}, or "
    return f"Cannot get {source.shown} ({reason}): {maybe}it cannot be reached from here. {_INSTEAD}"


def _check(source: Source, content: bytes) -> None:
    known = cpython_releases.SHA256.get(source.version, {}).values()
    expected = {source.sha256} if source.sha256 else set(known)
    found = hashlib.sha256(content).hexdigest()
    if expected and found not in expected:
        seems = looks_like(content)
        instead = f", but is {seems}" if seems else ""
        raise OptionError(f"{source.shown} has the sha256 {found}, not {' or '.join(sorted(expected))}{instead}")
    if found not in known:
        try:
            check_is_source(content, source.version)
        except ValueError as error:
            raise OptionError(
                f"{source.shown} is not the source of CPython {source.version}: {error}. {_INSTEAD}"
            ) from error
