"""Where CPython's source tarball comes from, and which one it is. The cache fetches it (``cache/sources.py``)."""

from __future__ import annotations

import importlib
import io
import re
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import urlsplit

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
    def shown(self) -> str:
        """*location* for people and logs: without a password, and without a ``?…``, which may be a signature."""
        if "://" not in self.location:
            return self.location
        parts = urlsplit(self.location)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()

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
    source = Source(version, location, sha256)
    if sha256 is None and version not in cpython_releases.SHA256:
        raise OptionError(
            f"pybundle_python_source: set pybundle_python_sha256, too, so that {source.shown} cannot change unnoticed"
        )
    return source


#: How a compressed file begins → the standard library's module that reads it.
_COMPRESSIONS = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\0": "lzma"}
#: How files begin that tar has other programs read: zstd, lzip, compress.
_READ_BY_TAR = (b"\x28\xb5\x2f\xfd", b"LZIP", b"\x1f\x9d")
_HTML = re.compile(rb"\s*<(!doctype|html|head|\?xml)\b", re.IGNORECASE)
_PY_VERSION = re.compile(rb'^#define\s+PY_VERSION\s+"([^"]*)"', re.MULTILINE)


def check_is_source(content: bytes, version: str) -> None:
    """Look whether that is the source tarball of CPython *version*, whole. Unpacks all of it in memory: seconds.

    :raises ValueError: it is not. The text says what it is instead.
    """
    if content.startswith(_READ_BY_TAR):  # by programs that a build's machine may have
        return
    name = next((name for beginning, name in _COMPRESSIONS.items() if content.startswith(beginning)), None)
    if name is None and content[257:262] != b"ustar":
        raise ValueError(f"it is {looks_like(content) or 'compressed neither by xz nor by gzip nor by bzip2'}")
    try:
        compression = importlib.import_module(name or "io")
    except ImportError:  # this Python was compiled without it: the build will see
        return
    plain = io.BytesIO(content)
    try:
        with compression.open(plain) if name else plain as stream:
            found = _version_in(stream)
            # The checksum comes last, after what tar takes for the end.
            while stream.read(1 << 20):
                pass
    except EOFError as error:
        raise ValueError("it ends early") from error
    except (tarfile.TarError, OSError, zlib.error, getattr(compression, "LZMAError", OSError)) as error:
        raise ValueError(f"it is damaged: {error}") from error
    if found is None:
        raise ValueError("it has no Include/patchlevel.h")
    if found != version:
        raise ValueError(f"it is that of CPython {found}")


def looks_like(content: bytes) -> str | None:
    """What has come in place of a tarball, if that can be told."""
    if not content:
        return "empty"
    return "an HTML page, as a proxy sends, or a network before one has logged in" if _HTML.match(content) else None


def _version_in(stream: BinaryIO) -> str | None:
    """What the source in a tar says of its version."""
    found = None
    with tarfile.open(fileobj=stream, mode="r|") as tar:
        for member in tar:
            if re.fullmatch(r"[^/]+/Include/patchlevel\.h", member.name) and member.isreg():
                match = _PY_VERSION.search(cast("BinaryIO", tar.extractfile(member)).read())
                found = match[1].decode("ascii", "replace").rstrip("+") if match else None
    return found
