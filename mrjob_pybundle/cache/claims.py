"""Claims: who is building what. Only one of many authors can write one, and the others wait for that build."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.bundle.spec import canonical_json
from mrjob_pybundle.cache import layout
from mrjob_pybundle.cache.store import ChangedError, Store, age
from mrjob_pybundle.errors import CacheError


@dataclass(frozen=True)
class Claim:
    """Who is building what a key names."""

    build_id: str
    owner: str
    #: seconds since the epoch, by the claimant's clock; for people, who can tell when a clock is wrong
    since: float
    cluster_id: str | None = None
    #: where the cluster is, or is to be; ``None`` in a claim of before they were named, and while nobody knows
    region: str | None = None
    #: AWS account id
    account: str | None = None
    #: is it to take the place of a bundle that is there? Who wants that waits for no other build's
    rebuild: bool = False
    #: grows each time that a claimant who is preparing a build says so: no two claims have the same ETag
    beat: int = 0
    #: S3's, of the claim as it was read or written
    etag: str | None = field(default=None, compare=False)
    #: seconds since it was written, by S3's clock, when it was read
    age: float = field(default=0.0, compare=False)

    @classmethod
    def parse(cls, content: bytes) -> Claim:
        """Read a claim as it lies in the cache.

        :raises ValueError: that is no claim.
        """
        try:
            said = json.loads(content)
            since, beat = float(said["since"]), int(said.get("beat", 0))
            place = {name: said.get(name) for name in ("cluster_id", "region", "account")}
            rebuild = bool(said.get("rebuild"))
            return cls(said["build_id"], said["owner"], since, beat=beat, rebuild=rebuild, **place)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(repr(error)) from error

    @property
    def content(self) -> bytes:
        """What lies in the cache: a JSON object."""
        return canonical_json(
            {
                "account": self.account,
                "beat": self.beat,
                "build_id": self.build_id,
                "cluster_id": self.cluster_id,
                "owner": self.owner,
                "rebuild": self.rebuild,
                "region": self.region,
                "since": self.since,
            }
        ).encode("ascii")


class Claims:
    """The claims in a store, by venv keys. Every method raises :class:`CacheError` when S3 says no."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def uri(self, key: str) -> S3Uri:
        """Where the claim on *key* lies."""
        return self._store.uri(layout.claim(key))

    def read(self, key: str) -> Claim | None:
        """The claim on *key*, if there is one."""
        response = self._store.get(layout.claim(key))
        if response is None:
            return None
        try:
            return replace(Claim.parse(response["Body"]), etag=response["ETag"], age=age(response))
        except ValueError as error:
            raise CacheError(f"{self.uri(key)} is not a build claim ({error}); delete it to go on") from error

    def stake(self, key: str, mine: Claim) -> Claim:
        """Claim *key* for a build of mine. The result is mine, or that of who was first."""
        name = layout.claim(key)

        def attempt() -> Claim | None:
            try:
                return replace(mine, etag=self._store.create(name, mine.content))
            except ChangedError:
                return self.read(key)  # None: gone again, so try again

        return self._store.until_settled("writing", name, attempt)

    def replace(self, key: str, old: Claim, new: Claim) -> Claim | None:
        """Put *new* where *old* is: to take it over, or to add the cluster's id. ``None`` if it has changed."""
        name = layout.claim(key)

        def attempt() -> tuple[Claim | None]:
            try:
                return (replace(new, etag=self._store.replace(name, new.content, old.etag)),)
            except ChangedError:
                # a retried PUT meets what its first attempt has written
                now = self.read(key)
                return (now if now == new else None,)

        (claim,) = self._store.until_settled("writing", name, attempt)
        return claim

    def release(self, key: str, build_id: str) -> None:
        """Remove the claim on *key* if it is that build's."""
        name = layout.claim(key)

        def attempt() -> bool | None:
            claim = self.read(key)
            if claim is None or claim.build_id != build_id:
                return True
            try:
                self._store.delete_unchanged(name, claim.etag)
            except ChangedError:
                return None
            return True

        self._store.until_settled("deleting", name, attempt)
