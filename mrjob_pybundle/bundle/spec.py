"""What a bundle is: its specification, its keys, its names. Pure: nothing here reads a file.

A key is the sha256 of a canonical JSON text of everything that changes an archive's bytes and of nothing
else: two authors with the same inputs get the same key, on any machine.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

#: Stand for what build-binaries.sh does. ``tests/unit/bundle/test_recipe.py`` says when to raise them.
PYTHON_RECIPE = 3
VENV_RECIPE = 4


@dataclass(frozen=True)
class PythonSpec:
    """Everything that changes the bytes of a python archive."""

    version: str
    #: ``None`` for a release's own tarball, which never changes.
    source_sha256: str | None
    configure_args: tuple[str, ...]
    optimize: bool
    #: ``uname -m``
    arch: str
    #: ``amzn2``, ``amzn2023`` or a custom AMI's id
    os_family: str

    def inputs(self) -> dict[str, Any]:
        """What the key is made of, as JSON types."""
        return {
            "arch": self.arch,
            "configure_args": list(self.configure_args),
            "optimize": self.optimize,
            "os_family": self.os_family,
            "recipe": PYTHON_RECIPE,
            "source_sha256": self.source_sha256,
            "version": self.version,
        }

    @property
    def key(self) -> str:
        """The key of the python archive: 64 hexadecimal digits."""
        return digest_of(self.inputs())


@dataclass(frozen=True)
class BuildFile:
    """A file that venv-build.sh finds beside it."""

    #: relative, with slashes
    name: str
    executable: bool
    sha256: str


@dataclass(frozen=True)
class BundleSpec:
    """Everything that changes the bytes of a bundle's two archives."""

    python: PythonSpec
    #: of venv-build.sh; ``None`` without one
    venv_build_sha256: str | None
    build_files: tuple[BuildFile, ...]
    mrjob_version: str
    mrjob_sha256: str
    #: what our hook calls HOOK_VERSION
    hook_version: int

    def inputs(self) -> dict[str, Any]:
        """What the venv archive's key is made of, as JSON types."""
        return {
            "build_files": [
                {"name": file.name, "executable": file.executable, "sha256": file.sha256} for file in self.build_files
            ],
            "hook": self.hook_version,
            "mrjob": {"version": self.mrjob_version, "sha256": self.mrjob_sha256},
            "python": self.python.key,
            "recipe": VENV_RECIPE,
            "venv_build_sha256": self.venv_build_sha256,
        }

    @property
    def key(self) -> str:
        """The key of the venv archive, which contains the python archive's: 64 hexadecimal digits."""
        return digest_of(self.inputs())

    @property
    def stand_in(self) -> Bundle:
        """For the bundle before it is built: whatever names it is as long as what will."""
        unknown = digest_of(None)
        return Bundle(Archive(self.python.key, unknown, 1, 1), Archive(self.key, unknown, 1, 1), self.python.arch)


@dataclass(frozen=True)
class Archive:
    """An archive in the cache: what names it, and what a node checks before it unpacks it."""

    key: str
    sha256: str
    #: bytes, packed and unpacked
    size: int
    unpacked_size: int
    #: what its files need of a node's own libraries, sorted: ``libc.so.6:GLIBC_2.34``. Unknown of older archives: none.
    needs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its file name in the cache: archives are named by their own digest."""
        return f"{self.sha256}.tar.gz"


@dataclass(frozen=True)
class Bundle:
    """A python archive and the venv archive that was built on it."""

    python: Archive
    venv: Archive
    #: of the machines that its files are for, as ``uname -m`` says it
    arch: str

    @property
    def needs(self) -> tuple[str, ...]:
        """What both archives need of a node, library by library."""
        return tuple(sorted({*self.python.needs, *self.venv.needs}))

    @property
    def id(self) -> str:
        """Names the bundle on nodes: 20 hexadecimal digits that stand for keys and contents."""
        return digest_of([self.venv.key, self.python.sha256, self.venv.sha256])[:20]


def canonical_json(value: object) -> str:
    """The one JSON text of *value*: sorted names, no spaces, ASCII only."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def digest_of(value: object) -> str:
    """The sha256 of :func:`canonical_json`, in hexadecimal."""
    return hashlib.sha256(canonical_json(value).encode("ascii")).hexdigest()
