"""CPython's source tarballs in the cache, from where build masters get them."""

from __future__ import annotations

from pathlib import Path

from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.cache import layout
from mrjob_pybundle.cache.store import Store


class Sources:
    """The source tarballs in a store. Every method raises :class:`CacheError` when S3 says no."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def stage(self, path: Path, sha256: str, name: str) -> S3Uri:
        """Put a source tarball into the cache unless it is there."""
        staged = layout.source(sha256, name)
        if not self._store.exists(staged):
            with path.open("rb") as body:
                self._store.write_once(staged, body)
        return self._store.uri(staged)

    def find(self, sha256: str, name: str) -> S3Uri | None:
        """The staged source tarball with that digest, or ``None``."""
        staged = layout.source(sha256, name)
        return self._store.uri(staged) if self._store.exists(staged) else None
