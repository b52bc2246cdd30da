"""What lies in the cache: every key's directory, manifests read, claims, and what builds have left behind.

Reading only, and it takes the cache as it finds it: a manifest that is damaged is part of the inventory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from typing import Any

from mrjob_pybundle.bundle.libraries import OpenSsl
from mrjob_pybundle.cache import layout
from mrjob_pybundle.cache.builds import began
from mrjob_pybundle.cache.cache import Cache
from mrjob_pybundle.cache.claims import Claim
from mrjob_pybundle.cache.pins import Pin
from mrjob_pybundle.cache.store import StoredObject
from mrjob_pybundle.errors import OptionError

_SHORTEST_PREFIX = 4
_REQUESTS_AT_ONCE = 16

#: Longer than any cluster takes to start.
_LONGEST_WAIT_SECONDS = 3600.0

_KINDS = (layout.PYTHON, layout.VENV)


@dataclass(frozen=True)
class Manifest:
    """A manifest, as far as the housekeeping reads it. *text* is all of it, as JSON types."""

    sha256: str
    #: bytes of the archive, packed and unpacked
    size: int
    unpacked_size: int
    #: the python archive that a venv archive was built on; both ``None`` in a python archive's own manifest
    python_key: str | None
    python_sha256: str | None
    inputs: Mapping[str, Any]
    build_id: str
    owner: str
    #: seconds since the epoch, by the build master's clock
    built_at: float
    #: how long the build took, all stages together
    seconds: float
    #: of CPython's source tarball, in a python archive's manifest
    source_sha256: str | None
    text: Mapping[str, Any] = field(repr=False)
    #: what is inside; older manifests of bundles don't say
    openssl: OpenSsl | None = None
    #: of nodes, by both archives of a bundle: see :attr:`mrjob_pybundle.bundle.spec.Archive.needs`
    needs: frozenset[str] = frozenset()

    @property
    def stages(self) -> dict[str, float]:
        """Stage → seconds, up to the one that published this."""
        return {str(stage): float(seconds) for stage, seconds in self.text["build"]["seconds"].items()}

    @property
    def waited(self) -> float | None:
        """Seconds from the build's beginning at its author's to its master's first stage, by the clocks of both.

        ``None`` where these disagree too much to tell.
        """
        try:
            waited = self.built_at - self.seconds - began(self.build_id).timestamp()
        except ValueError:  # an id that none of ours is
            return None
        return waited if 0 <= waited <= _LONGEST_WAIT_SECONDS else None

    @classmethod
    def parse(cls, kind: str, content: bytes) -> Manifest:
        """Read what a build has published.

        :raises ValueError: this is none.
        """
        try:
            text = json.loads(content)
            archive, build = text["archive"], text["build"]
            python: Mapping[str, Any] = text["python"] if kind == layout.VENV else {"key": None, "sha256": None}
            built_at = datetime.strptime(build["built_at"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
            return cls(
                sha256=str(archive["sha256"]),
                size=int(archive["size"]),
                unpacked_size=int(archive["unpacked_size"]),
                python_key=python["key"],
                python_sha256=python["sha256"],
                inputs=dict(text["inputs"]),
                build_id=str(build["id"]),
                owner=str(build["owner"]),
                built_at=built_at.timestamp(),
                seconds=float(sum(build["seconds"].values())),
                source_sha256=text.get("source", {}).get("sha256"),
                text=text,
                openssl=OpenSsl.parse(str(text.get("contents", {}).get("openssl"))),
                needs=frozenset(map(str, (*archive.get("needs", ()), *python.get("needs", ())))),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"not a manifest: {error!r}") from error


@dataclass(frozen=True)
class FoundPin:
    """A pin beside a bundle's archives. *pin* is ``None`` if it cannot be read."""

    object: StoredObject
    pin: Pin | None


@dataclass(frozen=True)
class Shelf:
    """The directory of one key."""

    #: ``python`` or ``venv``
    kind: str
    key: str
    objects: tuple[StoredObject, ...]
    manifest: Manifest | None = None
    #: what is wrong with the manifest, if it cannot be read
    damage: str | None = None
    #: who took the manifest away, when, and what it named: see :func:`mrjob_pybundle.cache.housekeeping.retire`
    retired: Mapping[str, Any] | None = None
    #: of bundles, oldest first
    pins: tuple[FoundPin, ...] = ()
    #: whether somebody has taken the manifest away just now, between listing and reading: nobody knows what it named
    vanished: bool = False

    def find(self, file_name: str) -> StoredObject | None:
        """The object of that name in this directory."""
        return next((found for found in self.objects if layout.file_name(found.name) == file_name), None)

    @property
    def archives(self) -> dict[str, StoredObject]:
        """sha256 → archive, whether or not a manifest names it."""
        named = ((layout.archive_sha256(found.name), found) for found in self.objects)
        return {sha256: found for sha256, found in named if sha256}

    @property
    def unpinned_scripts(self) -> list[StoredObject]:
        """Bootstrap scripts whose pin was taken away."""
        pins = {found.object.name for found in self.pins}
        scripts = (found for found in self.objects if layout.is_pinned_script(found.name))
        return [script for script in scripts if layout.pin_of(script.name) not in pins]

    @property
    def is_damaged(self) -> bool:
        """Whether something is here that might name anything."""
        return self.damage is not None or self.vanished or any(found.pin is None for found in self.pins)

    @property
    def changed(self) -> float:
        """When something was last put here, jobs' notes of use aside; seconds since the epoch, by S3's clock."""
        others = (found for found in self.objects if layout.file_name(found.name) != layout.USED)
        return max((found.modified for found in others), default=0.0)

    @property
    def used(self) -> float | None:
        """When a job's use was last noted; seconds since the epoch, by S3's clock."""
        return max((note.modified for note in self.uses), default=None)

    @property
    def uses(self) -> tuple[StoredObject, ...]:
        """Jobs' notes of use: one for each place in which their clusters were."""
        return tuple(found for found in self.objects if layout.file_name(found.name) == layout.USED)

    @property
    def size(self) -> int:
        """Bytes of all that lies here."""
        return sum(found.size for found in self.objects)


@dataclass(frozen=True)
class FoundClaim:
    """A claim on a venv key. *claim* is ``None`` if it cannot be read."""

    key: str
    claim: Claim | None
    #: seconds since the epoch, by S3's clock
    modified: float
    object: StoredObject


@dataclass(frozen=True)
class Inventory:
    """What lies in a cache. The last three are only there if everything was asked for."""

    shelves: tuple[Shelf, ...] = ()
    claims: tuple[FoundClaim, ...] = ()
    #: build id → what lies in its directory
    builds: Mapping[str, tuple[StoredObject, ...]] = field(default_factory=dict)
    #: sha256 of a source tarball → what lies in its directory
    sources: Mapping[str, tuple[StoredObject, ...]] = field(default_factory=dict)
    #: what ``mrjob-pybundle doctor`` has left
    probes: tuple[StoredObject, ...] = ()

    def of(self, kind: str) -> list[Shelf]:
        """The directories of ``python`` or ``venv`` keys."""
        return [shelf for shelf in self.shelves if shelf.kind == kind]

    @cached_property
    def bundles(self) -> list[Shelf]:
        """The directories with a venv manifest, newest first."""
        found = [shelf for shelf in self.of(layout.VENV) if shelf.manifest]
        return sorted(found, key=lambda shelf: -shelf.manifest.built_at if shelf.manifest else 0)

    @cached_property
    def pythons(self) -> dict[str, Shelf]:
        """Key → the directories with a python manifest, newest first."""
        found = [shelf for shelf in self.of(layout.PYTHON) if shelf.manifest]
        found.sort(key=lambda shelf: -shelf.manifest.built_at if shelf.manifest else 0)
        return {shelf.key: shelf for shelf in found}

    def bundles_on(self, python_key: str) -> list[Shelf]:
        """The bundles that were built on a python key."""
        return [shelf for shelf in self.bundles if shelf.manifest and shelf.manifest.python_key == python_key]

    def python_of(self, manifest: Manifest) -> Manifest | None:
        """The manifest of the very Python that a bundle was built on, unless another one has its place by now."""
        shelf = self.pythons.get(str(manifest.python_key))
        found = shelf.manifest if shelf else None
        return found if found and found.sha256 == manifest.python_sha256 else None

    def openssl_of(self, manifest: Manifest) -> OpenSsl | None:
        """The OpenSSL inside of a bundle or a Python, if that is known."""
        python = self.python_of(manifest)
        return manifest.openssl or (python.openssl if python else None)


def take_inventory(cache: Cache, *, everything: bool = False) -> Inventory:
    """Read what lies in *cache*; *everything*: also what is no bundle's.

    Claims are looked at before and after the rest: a build whose claim is in neither list has published before
    we looked, or has not begun.

    :raises CacheError: S3 said no.
    """
    with ThreadPoolExecutor(_REQUESTS_AT_ONCE) as pool:
        first_claims = _claims(cache)
        names = (*_KINDS, *((layout.BUILDS, layout.SOURCES, layout.PROBES) if everything else ()))
        listed = dict(zip(names, pool.map(lambda name: list(cache.store.objects(f"{name}/")), names), strict=True))
        directories = [(kind, key, objects) for kind in _KINDS for key, objects in _by_directory(listed[kind]).items()]
        shelves = tuple(pool.map(lambda directory: _shelf(cache, *directory), directories))
    return Inventory(
        shelves=shelves,
        claims=tuple({found.object.name: found for found in (*first_claims, *_claims(cache))}.values()),
        builds=_by_directory(listed.get(layout.BUILDS, ())),
        sources=_by_directory(listed.get(layout.SOURCES, ())),
        probes=tuple(listed.get(layout.PROBES, ())),
    )


def find_shelf(cache: Cache, prefix: str) -> Shelf:
    """The directory of the one key, of a bundle or of a Python, that begins with *prefix*.

    :raises OptionError: there is none, or more than one.
    """
    if not re.fullmatch(rf"[0-9a-f]{{{_SHORTEST_PREFIX},64}}", prefix):
        raise OptionError(
            f"{prefix!r} is no key: {_SHORTEST_PREFIX} to 64 hexadecimal digits, as mrjob-pybundle ls has"
        )
    found = {
        (kind, key): objects
        for kind in reversed(_KINDS)
        for key, objects in _by_directory(cache.store.objects(layout.keys(kind, prefix))).items()
    }
    if not found:
        raise OptionError(f"no key in {cache.root} begins with {prefix}. See mrjob-pybundle ls.")
    if len(found) > 1:
        names = ", ".join(f"{key[:20]} ({kind})" for kind, key in sorted(found))
        raise OptionError(f"{prefix} is the beginning of several keys: {names}. Give more digits.")
    (((kind, key), objects),) = found.items()
    return _shelf(cache, kind, key, objects)


def find_claim(cache: Cache, build_id: str) -> tuple[str, Claim] | None:
    """The claim of a build, as it is now, and the venv key that it is on."""
    key = next((found.key for found in _claims(cache) if found.claim and found.claim.build_id == build_id), None)
    claim = cache.claims.read(key) if key else None
    return (key, claim) if key and claim and claim.build_id == build_id else None


def running_builds(cache: Cache) -> list[Claim]:
    """The claims in *cache*, oldest first."""
    return sorted((found.claim for found in _claims(cache) if found.claim), key=lambda claim: claim.since)


def _by_directory(objects: Iterable[StoredObject]) -> dict[str, tuple[StoredObject, ...]]:
    """Directory → objects: ``venv/<key>/manifest.json`` lies in ``<key>``."""
    found: dict[str, list[StoredObject]] = {}
    for stored in objects:
        directory = layout.directory_name(stored.name)
        if directory is not None:
            found.setdefault(directory, []).append(stored)
    return {name: tuple(inside) for name, inside in found.items()}


def _shelf(cache: Cache, kind: str, key: str, objects: tuple[StoredObject, ...]) -> Shelf:
    here = Shelf(kind, key, objects)
    manifest, damage = None, None
    if here.find(layout.MANIFEST):
        content = cache.store.read(layout.of_key(kind, key, layout.MANIFEST))
        try:
            manifest = Manifest.parse(kind, content) if content is not None else None
        except ValueError as error:
            damage = str(error)
    vanished = bool(here.find(layout.MANIFEST)) and manifest is None and damage is None
    return Shelf(kind, key, objects, manifest, damage, _tombstone(cache, here), tuple(_pins(cache, here)), vanished)


def _pins(cache: Cache, shelf: Shelf) -> Iterator[FoundPin]:
    for stored in sorted(shelf.objects, key=lambda stored: stored.modified):
        content = cache.store.read(stored.name) if layout.is_pin(stored.name) else None
        if content is not None:
            yield FoundPin(stored, _pin(content))


def _pin(content: bytes) -> Pin | None:
    try:
        return Pin.parse(content)
    except ValueError:
        return None


def _tombstone(cache: Cache, shelf: Shelf) -> Mapping[str, Any] | None:
    if not shelf.find(layout.RETIRED):
        return None
    try:
        said = json.loads(cache.store.read(layout.of_key(shelf.kind, shelf.key, layout.RETIRED)) or b"{}")
    except ValueError:
        return {}  # that it is there, and since when, is what counts
    return said if isinstance(said, dict) else {}


def _claims(cache: Cache) -> list[FoundClaim]:
    found = []
    for stored in cache.store.objects(f"{layout.CLAIMS}/"):
        content = cache.store.read(stored.name)
        if content is not None:  # not released since it was listed
            key = layout.key_of_claim(stored.name)
            found.append(FoundClaim(key, _claim(content), stored.modified, stored))
    return found


def _claim(content: bytes) -> Claim | None:
    try:
        return Claim.parse(content)
    except ValueError:
        return None
