"""Where CPython's source tarball comes from, and which one it is. The cache fetches it (``cache/sources.py``)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mrjob_pybundle.bundle import cpython_releases
from mrjob_pybundle.bundle.files import InputFile
from mrjob_pybundle.errors import OptionError


@dataclass(frozen=True)
class Source:
    """The source tarball of CPython *version*: *location* is a path or an ``s3://`` or ``https://`` URI."""

    version: str
    location: str
    #: The digest that it must have; ``None``: any that python.org released as *version*, or unknown
    sha256: str | None
    #: The tarball, if *location* is a path
    file: InputFile | None = None

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

    :raises OptionError: the tarball cannot be read or hasn't the digest that it must have, or nobody could say what
        is in it.
    """
    if location is None:
        return Source(version, cpython_releases.url(version), sha256 or cpython_releases.expected_sha256(version))
    if "://" not in location:
        file = InputFile.look_at(Path(location))
        if sha256 and file.sha256 != sha256:
            raise OptionError(f"pybundle_python_source: {location} has the sha256 {file.sha256}, not {sha256}")
        return Source(version, location, file.sha256, file)
    if sha256 is None and version not in cpython_releases.SHA256:
        raise OptionError(
            f"pybundle_python_source: set pybundle_python_sha256, too, so that {location} cannot change unnoticed"
        )
    return Source(version, location, sha256)
