"""Taking things out of the cache, without anybody missing them.

Nothing is deleted that could still be fetched. First a manifest is **retired**: a tombstone is written beside it, then
it goes, and no new job finds its archive. An archive that no manifest names is deleted by a later :func:`collect`, and
only when whoever knew of it has had a day to fetch it or to start a cluster, no build is under way that could use or
publish it, and no living cluster names it in the arguments of a bootstrap action or of a step. A build whose cluster
EMR does not know is under way: it may be another account's.

Clusters live in regions and accounts, and jobs note in which a bundle is used. The regions of our own account are all
asked. What a bundle's clusters elsewhere may need stays, until ``gc`` has run there, and found that they do not.

What is to be done is planned by :func:`plan`, which is pure; the rest of this module carries it out.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Protocol

from mrjob_pybundle.aws.emr import KNOWN_AFTER_END, Emr, Life, Place
from mrjob_pybundle.cache import layout
from mrjob_pybundle.cache.builds import build_id_of
from mrjob_pybundle.cache.cache import Cache
from mrjob_pybundle.cache.claims import Claim
from mrjob_pybundle.cache.inventory import Inventory, Shelf, running_builds
from mrjob_pybundle.cache.store import StoredObject
from mrjob_pybundle.errors import CacheError, OptionError

log = logging.getLogger("mrjob.pybundle")

DAY = 24 * 3600.0

#: Between an archive's losing its manifest, or being written, and its deletion: a job that found it may not have
#: launched its cluster yet, and a build takes hours at most.
GRACE_SECONDS = DAY
#: What a build leaves behind, its log above all, is kept that long.
LEFTOVER_SECONDS = 7 * DAY

#: A claim of that age whose cluster EMR does not know is of a build that has ended, wherever that was.
FORGOTTEN_SECONDS = KNOWN_AFTER_END.total_seconds()

#: What people call what lies there.
_CALLED = {layout.PYTHON: "Python", layout.VENV: "bundle"}

_DIGEST = re.compile(r"[0-9a-f]{64}")
_REQUESTS_AT_ONCE = 16


@dataclass(frozen=True)
class InUse:
    """What living clusters name, and which may live where nobody was asked."""

    cluster_ids: frozenset[str] = frozenset()
    #: every sha256 in their bootstrap actions and the arguments of their steps: it names archives and scripts
    digests: frozenset[str] = frozenset()
    #: of those that are build clusters
    build_ids: frozenset[str] = frozenset()
    #: of clusters that claims name and EMR does not know
    unknown_ids: frozenset[str] = frozenset()
    #: where EMR has said what lives; ``None``: everywhere
    places: frozenset[Place] | None = None


@dataclass(frozen=True)
class Wish:
    """Which manifests a person wants retired: those for which all that is given holds. (Seconds.)"""

    older_than: float | None = None
    unused_for: float | None = None


@dataclass(frozen=True)
class Deletion:
    """Objects that go together, and what they are to a person."""

    what: str
    objects: tuple[StoredObject, ...]
    #: the directory that they lie in, as it was when this was planned, where what else lies there matters
    shelf: Shelf | None = None
    #: whether a build that has begun since may want them
    is_for_builds: bool = False


@dataclass(frozen=True)
class Plan:
    """What :func:`collect` is to do, or has done."""

    retire: tuple[Shelf, ...] = ()
    delete: tuple[Deletion, ...] = ()
    #: claims of builds that have ended long ago: venv key and build id
    release: tuple[tuple[str, str], ...] = ()
    #: directories whose archives no manifest names, and that clusters elsewhere may need
    kept: tuple[tuple[Shelf, tuple[Place, ...]], ...] = ()
    #: what was to go, until something changed beside it
    left: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes that are deleted."""
        return sum(found.size for deletion in self.delete for found in deletion.objects)


# planning


def plan(inventory: Inventory, in_use: InUse, now: float, wish: Wish = Wish()) -> Plan:
    """What may go, of *inventory* (all of it), when it is *now*. Pure."""
    return _Planner(inventory, in_use, now, wish).plan()


class _Planner:
    def __init__(self, inventory: Inventory, in_use: InUse, now: float, wish: Wish) -> None:
        self.inventory = inventory
        self.in_use = in_use
        self.now = now
        self.wish = wish
        manifests = [(shelf, shelf.manifest) for shelf in inventory.shelves if shelf.manifest]
        pins = [found.pin for shelf in inventory.shelves for found in shelf.pins if found.pin]
        self.named: set[str | None] = {sha256 for _, m in manifests for sha256 in (m.sha256, m.python_sha256)}
        self.named |= {sha256 for pin in pins for sha256 in (pin.venv_sha256, pin.python_sha256)}
        self.named_pythons = {m.python_key for _, m in manifests} | {pin.python_key for pin in pins}
        self.named_builds = {m.build_id for _, m in manifests}
        self.named_sources = {m.source_sha256 for _, m in manifests}
        # Any of them might name anything.
        self.has_damage = any(shelf.is_damaged for shelf in inventory.shelves)
        live = [claim for claim in inventory.claims if not self._is_dead(claim.claim, claim.modified)]
        self.claimed = {claim.key for claim in live}
        self.claimed_builds = {found.claim.build_id for found in live if found.claim}
        # A build uses Pythons and sources that nothing else may name, and does not say which.
        self.is_building = bool(live or in_use.build_ids)

    def plan(self) -> Plan:
        return Plan(
            retire=tuple(shelf for shelf in self.inventory.shelves if self._is_to_retire(shelf)),
            delete=(*self._archives(), *self._builds(), *self._sources(), *self._probes()),
            release=tuple(
                (found.key, found.claim.build_id)
                for found in self.inventory.claims
                if found.claim and self._is_dead(found.claim, found.modified)
            ),
            kept=tuple((shelf, self._elsewhere(shelf)) for shelf in self.inventory.shelves if self._is_kept(shelf)),
        )

    def _is_dead(self, claim: Claim | None, modified: float) -> bool:
        """Nobody builds for that claim. (A day: its author may be about to launch a cluster.)"""
        return (
            claim is not None
            and not self._is_younger(modified, GRACE_SECONDS)
            and not (claim.cluster_id in self.in_use.unknown_ids and self._is_younger(modified, FORGOTTEN_SECONDS))
            and claim.cluster_id not in self.in_use.cluster_ids
            and claim.build_id not in self.in_use.build_ids
        )

    def _is_younger(self, moment: float, seconds: float) -> bool:
        return moment > self.now - seconds

    # manifests

    def _is_to_retire(self, shelf: Shelf) -> bool:
        manifest, wish = shelf.manifest, self.wish
        if manifest is None or shelf.pins or (wish.older_than is None and wish.unused_for is None):
            return False
        if shelf.kind == layout.VENV and shelf.key in self.claimed:
            return False
        if shelf.kind == layout.PYTHON and (self.is_building or self.has_damage or shelf.key in self.named_pythons):
            return False
        last_used = max(manifest.built_at, shelf.used or 0.0)
        return not (
            (wish.older_than is not None and self._is_younger(manifest.built_at, wish.older_than))
            or (wish.unused_for is not None and self._is_younger(last_used, wish.unused_for))
        )

    # archives

    def _archives(self) -> Iterator[Deletion]:
        for shelf in self.inventory.shelves:
            if not self._may_be_swept(shelf):
                continue
            archives, orphans = shelf.archives, self._orphans(shelf)
            is_left_by_all = shelf.manifest is None and len(orphans) == len(archives)
            if self._elsewhere(shelf):
                # For whoever runs gc there: nothing here needs it.
                notes = tuple(note for note in shelf.uses if self._was_asked(layout.place_of_use(note.name)))
                if is_left_by_all and notes:
                    yield Deletion(f"notes of the use of {shelf.kind} key {shelf.key[:12]} here", notes, shelf)
                continue
            for archive in orphans:
                yield Deletion(f"{shelf.kind} archive of {shelf.key[:12]}", (archive,), shelf)
            for script in shelf.unpinned_scripts:
                if not self.in_use.digests.intersection(_DIGEST.findall(layout.file_name(script.name))):
                    yield Deletion(f"unpinned bootstrap script of {shelf.key[:12]}", (script,), shelf)
            if is_left_by_all:
                retired = shelf.find(layout.RETIRED)
                marks = (*shelf.uses, *([retired] if retired else []))
                if marks:
                    yield Deletion(f"what was left of {shelf.kind} key {shelf.key[:12]}", marks, shelf)
            probe = shelf.find(layout.PROBE)
            if probe:
                yield Deletion(f"probe of a build of {shelf.kind} key {shelf.key[:12]}", (probe,), shelf)

    def _orphans(self, shelf: Shelf) -> list[StoredObject]:
        archives = shelf.archives
        return [archives[sha256] for sha256 in sorted(archives) if self._is_orphan(sha256)]

    def _is_kept(self, shelf: Shelf) -> bool:
        return bool(self._may_be_swept(shelf) and self._elsewhere(shelf) and self._orphans(shelf))

    def _elsewhere(self, shelf: Shelf) -> tuple[Place, ...]:
        """Where clusters may need what lies there, without our having asked. Of a Python, its bundles' users may."""
        users = [shelf]
        if shelf.kind == layout.PYTHON:
            users = [venv for venv, known in self._pythons_of_venvs if known in (shelf.key, None)]
        places = {layout.place_of_use(note.name) for user in users for note in user.uses}
        return tuple(sorted((p for p in places if p and not self._was_asked(p)), key=str))

    def _was_asked(self, place: Place | None) -> bool:
        return place is None or self.in_use.places is None or place in self.in_use.places

    def _may_be_swept(self, shelf: Shelf) -> bool:
        if shelf.is_damaged or self._is_younger(shelf.changed, GRACE_SECONDS):
            return False
        if shelf.kind == layout.VENV:
            return shelf.key not in self.claimed
        return not (self.is_building or self.has_damage or self._was_let_go_lately(shelf.key))

    def _was_let_go_lately(self, python_key: str) -> bool:
        """Has a bundle on that Python changed within the grace? Who read its manifest may still want the archive."""
        return any(
            known in (python_key, None) and self._is_younger(venv.changed, GRACE_SECONDS)
            for venv, known in self._pythons_of_venvs
        )

    @property
    def _pythons_of_venvs(self) -> list[tuple[Shelf, str | None]]:
        """The directories of venv keys, each with the key of its Python as far as that is known."""
        return [
            (venv, venv.manifest.python_key if venv.manifest else (venv.retired or {}).get("python_key"))
            for venv in self.inventory.of(layout.VENV)
        ]

    def _is_orphan(self, sha256: str) -> bool:
        return sha256 not in self.named and sha256 not in self.in_use.digests

    # leftovers

    def _builds(self) -> Iterator[Deletion]:
        needed = self.named_builds | self.claimed_builds | self.in_use.build_ids
        for build_id, objects in sorted(self.inventory.builds.items()):
            if build_id not in needed and self._is_left_over(objects):
                yield Deletion(f"build {build_id}", objects)

    def _sources(self) -> Iterator[Deletion]:
        for sha256, objects in sorted(self.inventory.sources.items()):
            if sha256 not in self.named_sources and not self.is_building and self._is_left_over(objects):
                yield Deletion(f"source {layout.file_name(objects[0].name)}", objects, is_for_builds=True)

    def _is_left_over(self, objects: Iterable[StoredObject]) -> bool:
        return not self.has_damage and not any(self._is_younger(one.modified, LEFTOVER_SECONDS) for one in objects)

    def _probes(self) -> Iterator[Deletion]:
        old = tuple(one for one in self.inventory.probes if not self._is_younger(one.modified, GRACE_SECONDS))
        if old:
            yield Deletion("probes of mrjob-pybundle doctor", old)


# what clusters need


class Regions(Protocol):
    """The EMR of every region, and whose we may ask about: see :class:`mrjob_pybundle.context.Context`."""

    @property
    def emr(self) -> Emr: ...
    def emr_in(self, region: str | None) -> Emr: ...
    def account(self) -> str: ...


def ask_emr(regions: Regions, inventory: Inventory) -> InUse:
    """What clusters need, of what is in *inventory*: all those of our account, in every region that uses it.

    :raises CacheError: EMR in our own region did not say. Nothing may be deleted then.
    """
    here = regions.emr.region
    claims = [found.claim for found in inventory.claims if found.claim and found.claim.cluster_id]
    noted = {layout.place_of_use(note.name) for shelf in inventory.shelves for note in shelf.uses}
    places = {place for place in noted if place}
    account = regions.account() if places or any(claim.account for claim in claims) else None
    ours = {place.region for place in places if place.account == account}
    ours |= {claim.region for claim in claims if claim.region and claim.account in (account, None)}
    answers = {here: _ask_region(regions.emr, [c for c in claims if c.region in (here, None)])}
    for region in sorted(ours - {here}):
        try:
            answers[region] = _ask_region(regions.emr_in(region), [c for c in claims if c.region == region])
        except CacheError as error:
            log.warning("EMR in %s did not say what lives there: what it may need stays. %s", region, error)
    foreign = frozenset(str(c.cluster_id) for c in claims if c.region not in (None, *answers))
    return InUse(
        cluster_ids=frozenset().union(*(answer.cluster_ids for answer in answers.values())),
        digests=frozenset().union(*(answer.digests for answer in answers.values())),
        build_ids=frozenset().union(*(answer.build_ids for answer in answers.values())),
        unknown_ids=foreign.union(*(answer.unknown_ids for answer in answers.values())),
        places=frozenset(Place(region, account) for region in answers) if account else frozenset(),
    )


def _ask_region(emr: Emr, claims: Iterable[Claim]) -> InUse:
    living = emr.living_clusters()
    living_ids = {cluster.id for cluster in living}
    named = {str(claim.cluster_id) for claim in claims}
    others = [emr.cluster(cluster_id) for cluster_id in sorted(named - living_ids)]
    return InUse(
        cluster_ids=frozenset(living_ids | {cluster.id for cluster in others if cluster.life is Life.LIVING}),
        digests=frozenset(digest for c in living for text in c.arguments for digest in _DIGEST.findall(text)),
        build_ids=frozenset(filter(None, (build_id_of(cluster.name) for cluster in living))),
        unknown_ids=frozenset(cluster.id for cluster in others if cluster.life is Life.UNKNOWN),
    )


# doing


def retire(cache: Cache, shelf: Shelf, owner: str, now: float) -> None:
    """Take the manifest of *shelf* away, so that no new job finds its archive. The archive stays.

    The tombstone comes first: whoever deletes archives must see that somebody may still be about to fetch them.
    """
    manifest = shelf.manifest
    tombstone = {
        "by": owner,
        "at": datetime.fromtimestamp(now, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "archive": manifest.sha256 if manifest else None,
        "python_key": manifest.python_key if manifest else None,
        "python_sha256": manifest.python_sha256 if manifest else None,
    }
    cache.store.write(layout.of_key(shelf.kind, shelf.key, layout.RETIRED), json.dumps(tombstone, indent=1).encode())
    cache.store.delete(layout.of_key(shelf.kind, shelf.key, layout.MANIFEST))


def retire_key(cache: Cache, shelf: Shelf, inventory: Inventory, owner: str, now: float) -> None:
    """Retire what a person has named.

    :raises OptionError: there is nothing to retire, it is pinned, or bundles are built on it.
    """
    if not shelf.find(layout.MANIFEST):
        raise OptionError(
            f"{shelf.kind} {shelf.key[:12]} has no manifest: it was removed already. gc deletes the rest."
        )
    if shelf.pins:
        raise OptionError(
            f"bundle {shelf.key[:12]} is pinned: other programs start clusters with it. When none does any more:"
            f" mrjob-pybundle unpin {shelf.key[:12]}"
        )
    bundles = inventory.bundles_on(shelf.key)
    if bundles:
        keys = " ".join(bundle.key[:12] for bundle in bundles)
        raise OptionError(
            f"Python {shelf.key[:12]} is that of cached bundles. Remove them first: mrjob-pybundle rm {keys}"
        )
    retire(cache, shelf, owner, now)


def make_plan(inventory: Inventory, regions: Regions, now: float, wish: Wish) -> Plan:
    """:func:`plan`, for what EMR says now. It is asked only if there is anything to delete.

    :raises CacheError: EMR did not say.
    """
    at_most = plan(inventory, InUse(), now, wish)
    if not (at_most.delete or at_most.release or (at_most.retire and inventory.claims)):
        return at_most
    try:
        in_use = ask_emr(regions, inventory)
    except CacheError as error:
        raise CacheError(f"{error} Nothing was deleted.") from error
    return plan(inventory, in_use, now, wish)


def collect(cache: Cache, what: Plan, owner: str, now: float) -> Plan:
    """Carry a plan out, and return what was done. Archives go first, while what was seen of the cache is fresh.

    Asking EMR about all clusters takes its time. So directories are listed again right before: of one in which
    something has come or changed since, nothing goes; nor does what builds use, if one has begun.
    """
    directories = {(shelf.kind, shelf.key): shelf for shelf in (*what.retire, *(d.shelf for d in what.delete)) if shelf}
    ended = {build_id for _, build_id in what.release}
    with ThreadPoolExecutor(_REQUESTS_AT_ONCE) as pool:
        are_unchanged = pool.map(lambda shelf: _is_as_it_was(shelf, cache), directories.values())
        changed = {place for place, is_unchanged in zip(directories, are_unchanged, strict=True) if not is_unchanged}
        is_building = any(claim.build_id not in ended for claim in running_builds(cache))

        def stays(shelf: Shelf | None, *, is_for_builds: bool) -> bool:
            return (is_building and is_for_builds) or (shelf is not None and (shelf.kind, shelf.key) in changed)

        kept = [d for d in what.delete if stays(d.shelf, is_for_builds=d.is_for_builds)]
        still = [shelf for shelf in what.retire if stays(shelf, is_for_builds=shelf.kind == layout.PYTHON)]
        done = replace(
            what,
            delete=tuple(deletion for deletion in what.delete if deletion not in kept),
            retire=tuple(shelf for shelf in what.retire if shelf not in still),
            left=(*(f"{_CALLED[shelf.kind]} {shelf.key[:12]}" for shelf in still), *(d.what for d in kept)),
        )
        list(pool.map(cache.store.delete, [found.name for deletion in done.delete for found in deletion.objects]))
    for key, build_id in done.release:
        cache.claims.release(key, build_id)
    for shelf in done.retire:
        retire(cache, shelf, owner, now)
    return done


def _is_as_it_was(shelf: Shelf, cache: Cache) -> bool:
    """Whether nothing has come into that directory, or changed in it. What went did so by another gc, or an rm, which
    leaves its tombstone.
    """
    return set(cache.store.objects(layout.of_key(shelf.kind, shelf.key, ""))) <= set(shelf.objects)
