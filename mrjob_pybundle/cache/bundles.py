"""Bundles in the cache: finding them, and noting that they are used."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mrjob_pybundle.aws.emr import Place
from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.bundle.spec import Archive, Bundle, BundleSpec, PythonSpec
from mrjob_pybundle.cache import layout
from mrjob_pybundle.cache.store import Store, StoredObject, json_object
from mrjob_pybundle.errors import CacheError

#: name of a library, name of a version in it
_NEED = re.compile(r"[^\s:/]+:[^\s:/]+", re.ASCII)


@dataclass(frozen=True)
class Hit:
    """A cached bundle."""

    bundle: Bundle
    #: name of a note (:func:`layout.used`) → when that use was noted, in seconds since the epoch, by S3's clock
    uses: Mapping[str, float] = field(default_factory=dict)


class Bundles:
    """The bundles in a store. Every method raises :class:`CacheError` when S3 says no."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, spec: BundleSpec) -> Bundle | None:
        """The cached bundle of *spec*, or ``None`` if an archive, its manifest, or the bucket is missing."""
        hit = self.look_up(spec)
        return hit.bundle if hit else None

    def look_up(self, spec: BundleSpec) -> Hit | None:
        """The cached bundle of *spec* and when it was last used, or ``None`` where :meth:`find` says so.

        Three requests, sent together.
        """
        manifest_name = layout.of_key(layout.VENV, spec.key, layout.MANIFEST)
        with ThreadPoolExecutor(3) as pool:
            manifest_read = pool.submit(self._read_json, manifest_name)
            venv_listed = pool.submit(self._list, layout.VENV, spec.key)
            python_listed = pool.submit(self._list, layout.PYTHON, spec.python.key)
        manifest = manifest_read.result()
        if manifest is None:
            return None
        uri = self._store.uri(manifest_name)
        bundle = Bundle(
            python=_archive(manifest, "python", spec.python.key, uri),
            venv=_archive(manifest, "archive", spec.key, uri),
            arch=spec.python.arch,
        )
        beside = venv_listed.result()
        if not (_is_whole(bundle.venv, beside) and _is_whole(bundle.python, python_listed.result())):
            return None
        uses = {found.name: found.modified for found in beside if layout.file_name(found.name) == layout.USED}
        return Hit(bundle, uses)

    def note_use(self, key: str, owner: str, place: Place | None) -> bool:
        """Note that *owner*'s job uses the bundle of a venv key, now, in that place. ``False`` if we may not."""
        return self._store.write_if_allowed(layout.used(key, place), f"{owner}\n".encode())

    def find_python(self, spec: PythonSpec) -> Archive | None:
        """The cached python archive of *spec*, or ``None``."""
        name = layout.of_key(layout.PYTHON, spec.key, layout.MANIFEST)
        manifest = self._read_json(name)
        if manifest is None:
            return None
        archive = _archive(manifest, "archive", spec.key, self._store.uri(name))
        return archive if _is_whole(archive, self._list(layout.PYTHON, spec.key)) else None

    def directory(self, kind: str, key: str) -> S3Uri:
        """Where a key's manifest and archives lie; *kind* is ``python`` or ``venv``."""
        return self._store.uri(layout.keys(kind, key))

    def archive_uri(self, kind: str, archive: Archive) -> S3Uri:
        """Where *archive* lies; *kind* is ``python`` or ``venv``."""
        return self._store.uri(layout.archive(kind, archive))

    def download(self, kind: str, archive: Archive, path: Path) -> None:
        """Write *archive* into a file; nobody has looked at its digest.

        :raises OSError: it cannot be written.
        """
        self._store.download(layout.archive(kind, archive), path)

    def _read_json(self, name: str) -> dict[str, Any] | None:
        content = self._store.read(name)
        return None if content is None else json_object(content, self._store.uri(name))

    def _list(self, kind: str, key: str) -> list[StoredObject]:
        """What lies beside a key's archive. (A handful.)"""
        return list(self._store.objects(layout.of_key(kind, key, "")))


def _is_whole(archive: Archive, beside: Iterable[StoredObject]) -> bool:
    return any((layout.file_name(found.name), found.size) == (archive.name, archive.size) for found in beside)


def _archive(manifest: dict[str, Any], section: str, key: str, uri: S3Uri) -> Archive:
    """The archive that *section* of a manifest describes; a venv manifest has two."""
    try:
        described = manifest[section]
        found_key = manifest["key"] if section == "archive" else described["key"]
        needs = tuple(described.get("needs", ()))
        archive = Archive(found_key, described["sha256"], described["size"], described["unpacked_size"], needs)
        if archive.key != key or len(bytes.fromhex(archive.sha256)) != 32:
            raise ValueError(f"key {archive.key}, sha256 {archive.sha256}")
        if not all(isinstance(size, int) and size > 0 for size in (archive.size, archive.unpacked_size)):
            raise ValueError(f"sizes {archive.size} and {archive.unpacked_size}")
        if not all(isinstance(need, str) and _NEED.fullmatch(need) for need in needs):
            raise ValueError(f"needs {needs}")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CacheError(
            f"{uri} does not describe what it should ({error!r}); delete it, and it will be built again"
        ) from error
    return archive
