"""What is inside of a bundle or a Python, as its manifest says. Pure.

``master/programs/contents.py`` has written it down. Older manifests have less: see :attr:`Contents.not_recorded`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mrjob_pybundle.cache.inventory import Manifest
from mrjob_pybundle.errors import CacheError


@dataclass(frozen=True)
class Source:
    """Where a distribution came from."""

    #: ``index``, ``url``, ``vcs``, ``local``, ``cpython`` (came with it), ``submitter`` (of whoever built), ``unknown``
    kind: str = "unknown"
    #: of ``url`` and ``vcs``; ``None`` if it might hold credentials
    url: str | None = None
    #: of ``vcs``: which (``git``), and what it calls the version
    vcs: str | None = None
    commit: str | None = None
    #: of ``local``: below the build files, or else its last part alone; a project's directory, or an archive?
    path: str | None = None
    is_directory: bool = False
    #: of the archive that was installed, wheel or sdist, where that is known: ``sha256`` or the like → hexadecimal
    hashes: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """For people: ``git https://example.com/x at 0123456789ab``."""
        where = {
            "url": self.url or "a URL that may hold credentials",
            "vcs": f"{self.vcs} {self.url or 'repository'} at {(self.commit or '?')[:12]}",
            "local": f"{'directory' if self.is_directory else 'file'} {self.path}",
            "cpython": "came with CPython",
            "submitter": "the submitter's",
            "unknown": "no installer has noted where it is from",
        }.get(self.kind, self.kind)
        return ", ".join([where, *(f"{name} {digest[:12]}" for name, digest in sorted(self.hashes.items()))])

    def may_be(self, other: Source) -> bool:
        """Whether both are the same, as far as both are known: not of all archives is the digest."""
        common = self.hashes.keys() & other.hashes.keys()
        return replace(self, hashes={}) == replace(other, hashes={}) and all(
            self.hashes[name] == other.hashes[name] for name in common
        )


@dataclass(frozen=True)
class Distribution:
    """A distribution that is installed. *source* is ``None`` where nobody has recorded it."""

    name: str
    version: str
    source: Source | None = None

    def may_be(self, other: Distribution) -> bool:
        """Whether that is the same version, and from where it came, as far as that is known of both."""
        sources_agree = self.source is None or other.source is None or self.source.may_be(other.source)
        return self.version == other.version and sources_agree


@dataclass(frozen=True)
class Package:
    """A package of an operating system's."""

    #: ``rpm`` or ``deb``
    type: str
    name: str
    version: str
    arch: str
    #: the source package that it was made from
    source: str
    #: of rpm: what counts before the version, if there is one
    epoch: str | None
    #: the operating system, as ``/etc/os-release`` has it: ``amzn``, ``2023``
    system: str
    system_version: str


@dataclass(frozen=True)
class Library:
    """A shared library that was copied from the build's machine."""

    name: str
    sha256: str
    #: ``None``: it belonged to none
    package: Package | None

    def __str__(self) -> str:
        """For people: ``of openssl-libs 3.0.8-1.amzn2023``."""
        return f"of {self.package.name} {self.package.version}" if self.package else "of no package"


@dataclass(frozen=True)
class CPython:
    """CPython itself. ``None``: not recorded."""

    version: str | None = None
    source_name: str | None = None
    source_sha256: str | None = None
    openssl: str | None = None


@dataclass(frozen=True)
class Contents:
    """All that is inside."""

    python: CPython
    #: by name; none of a Python alone
    distributions: tuple[Distribution, ...]
    #: by name
    libraries: tuple[Library, ...]
    #: what builds record today, and whoever built this did not
    not_recorded: tuple[str, ...]

    @property
    def remark(self) -> str:
        """One line that says what is not known; ``""`` if nothing is missing."""
        missing = ", ".join(self.not_recorded)
        return f"Not recorded when it was built, as builds do today: {missing}." if missing else ""


def contents_of(manifest: Manifest, python: Manifest | None) -> Contents:
    """What is inside of what *manifest* describes; *python* is that of a bundle's very Python, if that is known.

    :raises CacheError: it describes something else.
    """
    try:
        if manifest.python_key is None:
            return _of_python(_python_section(manifest))
        said = manifest.text.get("contents", {})
        of_python = _of_python(said["python"] if "python" in said else _python_section(python))
        libraries = _libraries(said)
        return Contents(
            python=of_python.python,
            distributions=tuple(_distributions(said)),
            libraries=tuple(sorted((*of_python.libraries, *(libraries or ())), key=lambda library: library.name)),
            not_recorded=(
                *(["where distributions came from"] if "distributions" not in said else []),
                *(["libraries that were copied into the environment"] if libraries is None else []),
                *of_python.not_recorded,
            ),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CacheError(
            f"The manifest of build {manifest.build_id} does not say what is inside as it should: {error!r}"
        ) from error


def _python_section(manifest: Manifest | None) -> Mapping[str, Any]:
    """What a Python's own manifest says, in the form in which a bundle's has it."""
    text = manifest.text if manifest else {}
    return {**text.get("contents", {}), "source": text.get("source", {})}


def _of_python(said: Mapping[str, Any]) -> Contents:
    source, libraries = said.get("source", {}), _libraries(said)
    python = CPython(said.get("python_version"), source.get("name"), source.get("sha256"), said.get("openssl"))
    not_recorded = ("libraries that were copied into its Python",) if libraries is None else ()
    return Contents(python, (), libraries or (), not_recorded)


def _distributions(said: Mapping[str, Any]) -> Iterator[Distribution]:
    if "distributions" not in said:
        for line in said.get("freeze", ()):
            name, _, version = str(line).partition("==")
            yield Distribution(name, version.lstrip("="))
        return
    for one in said["distributions"]:
        yield Distribution(str(one["name"]), str(one["version"]), _source(one["source"]))


def _source(said: Mapping[str, Any]) -> Source:
    return Source(
        kind=str(said["kind"]),
        url=said.get("url"),
        vcs=said.get("vcs"),
        commit=said.get("commit"),
        path=said.get("path"),
        is_directory=bool(said.get("is_directory")),
        hashes={str(name): str(digest) for name, digest in said.get("hashes", {}).items()},
    )


def _libraries(said: Mapping[str, Any]) -> tuple[Library, ...] | None:
    if "libraries" not in said:
        return None
    system = said["system"]
    return tuple(
        Library(str(one["name"]), str(one["sha256"]), _package(one["package"], system) if one["package"] else None)
        for one in said["libraries"]
    )


def _package(said: Mapping[str, Any], system: Mapping[str, Any]) -> Package:
    texts = {name: str(said[name]) for name in ("type", "name", "version", "arch", "source")}
    return Package(**texts, epoch=said.get("epoch"), system=str(system["id"]), system_version=str(system["version"]))
