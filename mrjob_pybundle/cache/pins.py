"""Pins: what clusters are started with that no job of ours starts stays in the cache until somebody unpins it.

A pin lies beside the bundle's archives, and beside the bootstrap script that clusters fetch. It is named by that
script's digest, so a bundle may have several: after it was built again, or with another version of the script.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.bundle.spec import Bundle, canonical_json
from mrjob_pybundle.cache import layout
from mrjob_pybundle.cache.store import Store


@dataclass(frozen=True)
class Pin:
    """What a pin holds, and for whom."""

    owner: str
    #: of :attr:`mrjob_pybundle.bundle.spec.Bundle.id`
    bundle_id: str
    venv_sha256: str
    python_key: str
    python_sha256: str

    @classmethod
    def of(cls, bundle: Bundle, owner: str) -> Pin:
        """*owner*'s pin of a bundle."""
        return cls(owner, bundle.id, bundle.venv.sha256, bundle.python.key, bundle.python.sha256)

    @classmethod
    def parse(cls, content: bytes) -> Pin:
        """Read a pin as it lies in the cache.

        :raises ValueError: that is no pin.
        """
        try:
            said = json.loads(content)
            return cls(*(str(said[name]) for name in cls.__dataclass_fields__))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(repr(error)) from error

    @property
    def content(self) -> bytes:
        """What lies in the cache: a JSON object."""
        return canonical_json(vars(self)).encode("ascii")


class Pins:
    """The pins in a store, by venv keys. Every method raises :class:`CacheError` when S3 says no."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def put(self, bundle: Bundle, script_name: str, script: str, owner: str) -> S3Uri:
        """Pin a bundle, and put the bootstrap script of that name (``bootstrap-<sha256>.sh``) beside the pin.

        Returns where the script lies. The pin comes last: who sees one finds its script.
        """
        name = layout.pinned_script(bundle.venv.key, script_name)
        self._store.write(name, script.encode("utf-8"))
        self._store.write(layout.pin_of(name), Pin.of(bundle, owner).content)
        return self._store.uri(name)

    def take_away(self, name: str) -> None:
        """Delete the pin of that name. Its script stays for the clusters that were started with it."""
        self._store.delete(name)
