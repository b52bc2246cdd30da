"""Where CPython's source tarball comes from, and that it is the right one.

Whatever its origin, the submitter fetches the tarball, checks it and puts it into the cache: the build cluster
needs no internet for it, and a version that does not exist is noticed before anything is launched.
"""

from __future__ import annotations

import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mrjob_pybundle.aws.errors import explained
from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.bundle import cpython_releases
from mrjob_pybundle.bundle.spec import file_sha256
from mrjob_pybundle.errors import OptionError

_TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Source:
    """The source tarball of CPython *version*: *location* is a path or an ``s3://`` or ``https://`` URI."""

    version: str
    location: str
    #: The digest that it must have; ``None``: any that python.org released as *version*, or unknown
    sha256: str | None

    @property
    def sha256_for_key(self) -> str | None:
        """``None`` for a tarball that python.org released: the version says it all."""
        if self.sha256 is None or cpython_releases.is_known(self.version, self.sha256):
            return None
        return self.sha256

    @property
    def file_name(self) -> str:
        """``Python-3.13.5.tar.xz``: the version, and the ending that says how it is compressed."""
        ending = next(e for e in (".tar.xz", ".tgz", ".tar.gz", ".tar.bz2", "") if self.location.endswith(e))
        return f"Python-{self.version}{ending or '.tar.xz'}"


def find_source(version: str, location: str | None, sha256: str | None) -> Source:
    """What the options say of the tarball. Reads it if it is a local file.

    :raises OptionError: the tarball hasn't the digest that it must have, or nobody could say what's in it.
    """
    if location is None:
        return Source(version, cpython_releases.url(version), sha256 or cpython_releases.expected_sha256(version))
    if "://" not in location:
        found = file_sha256(Path(location))
        if sha256 and found != sha256:
            raise OptionError(f"pybundle_python_source: {location} has the sha256 {found}, not {sha256}")
        return Source(version, location, found)
    if sha256 is None and version not in cpython_releases.SHA256:
        raise OptionError(
            f"pybundle_python_source: set pybundle_python_sha256, too, so that {location} cannot change unnoticed"
        )
    return Source(version, location, sha256)


@contextmanager
def fetched(source: Source, s3_client: object) -> Iterator[tuple[Path, str]]:
    """The tarball as a local file, checked, and its sha256. A download is removed afterwards.

    :raises OptionError: it isn't there, can't be reached, or hasn't the digest that it must have.
    """
    if "://" not in source.location:
        assert source.sha256 is not None
        yield Path(source.location), source.sha256
        return
    with tempfile.TemporaryDirectory(prefix="mrjob-pybundle-") as directory:
        path = Path(directory, source.file_name)
        if source.location.startswith("s3://"):
            _download_from_s3(S3Uri.parse(source.location), path, s3_client)
        else:
            _download(source, path)
        yield path, _checked(source, path)


def _download_from_s3(uri: S3Uri, path: Path, s3_client: object) -> None:
    with explained(f"reading pybundle_python_source {uri}"):
        s3_client.download_file(uri.bucket, uri.key, str(path))  # type: ignore[attr-defined]


def _download(source: Source, path: Path) -> None:
    try:
        with (
            urllib.request.urlopen(source.location, timeout=_TIMEOUT_SECONDS) as response,
            path.open("wb") as file,
        ):
            shutil.copyfileobj(response, file)
    except urllib.error.HTTPError as error:
        if error.code == 404:
            raise OptionError(
                f"There is no {source.location}: python.org has no CPython {source.version},"
                " or pybundle_python_source is wrong."
            ) from error
        raise OptionError(_unreachable(source, f"HTTP status {error.code}")) from error
    except OSError as error:
        raise OptionError(_unreachable(source, str(getattr(error, "reason", error)))) from error


def _unreachable(source: Source, reason: str) -> str:
    known = source.version in cpython_releases.SHA256
    maybe = "" if known else f"there may be no CPython {source.version}, or "
    return (
        f"Cannot get {source.location} ({reason}): {maybe}it cannot be reached from here."
        " Point pybundle_python_source to a tarball: a path, an s3:// or an https:// URI."
    )


def _checked(source: Source, path: Path) -> str:
    found = file_sha256(path)
    expected = {source.sha256} if source.sha256 else set(cpython_releases.SHA256.get(source.version, {}).values())
    if expected and found not in expected:
        raise OptionError(f"{source.location} has the sha256 {found}, not {' or '.join(sorted(expected))}")
    return found
