"""The plan of ``gc``, for caches of all kinds: it never names what anybody could still want."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mrjob_pybundle.aws.emr import Place
from mrjob_pybundle.cache.claims import Claim
from mrjob_pybundle.cache.housekeeping import DAY, InUse, Plan, Wish, plan
from mrjob_pybundle.cache.inventory import FoundClaim, FoundPin, Inventory, Manifest, Shelf
from mrjob_pybundle.cache.pins import Pin
from mrjob_pybundle.cache.store import StoredObject

NOW = 1_000 * DAY

# Few names, so that they meet; ages on both sides of every limit.
ages = st.sampled_from([0.0, 0.5, 0.99, 1.01, 2.0, 6.9, 7.1, 40.0]).map(lambda days: NOW - days * DAY)
pythons = st.sampled_from([character * 64 for character in "ab"])
venvs = st.sampled_from([character * 64 for character in "cd"])
digests = st.sampled_from([character * 64 for character in "123456"])
builds = st.sampled_from([f"2026112{number}-101112-0a1b2c3d" for number in range(4)])
clusters = st.sampled_from(["j-1", "j-2", "j-3"])


pins = st.one_of(
    st.none(),
    st.builds(
        Pin,
        owner=st.just("ada"),
        bundle_id=st.just("0" * 20),
        venv_sha256=digests,
        python_key=pythons,
        python_sha256=digests,
    ),
)

STATES = ("published", "removed", "damaged", "bare")


@st.composite
def shelves(draw: st.DrawFn, kind: str, key: str, states: tuple[str, ...]) -> Shelf:
    directory = f"{kind}/{key}"
    names = [f"{digest}.tar.gz" for digest in draw(st.sets(digests, max_size=3))]
    state = draw(st.sampled_from(states))
    manifest, retired = None, None
    if state == "published":
        manifest = Manifest(
            sha256=draw(digests),
            size=1,
            unpacked_size=1,
            python_key=draw(pythons) if kind == "venv" else None,
            python_sha256=draw(digests) if kind == "venv" else None,
            inputs={},
            build_id=draw(builds),
            owner="ada",
            built_at=draw(ages),
            seconds=1,
            source_sha256=draw(digests) if kind == "python" else None,
            text={},
        )
    if state == "removed":
        names.append("retired")
        retired = draw(st.sampled_from([{}, {"python_key": draw(pythons)}]))
    if state in ("published", "damaged"):
        names.append("manifest.json")
    if kind == "venv":
        names += draw(st.sets(st.sampled_from(["used", "1/us-east-1/used", "1/eu-west-1/used", "2/us-east-1/used"])))
    if draw(st.booleans()):
        names.append("probe")
    pinned = draw(st.dictionaries(digests, pins, max_size=2)) if kind == "venv" else {}
    names += [f"pins/bootstrap-{digest}.json" for digest in pinned]
    names += [
        f"pins/bootstrap-{digest}.sh" for digest in (draw(st.sets(digests, max_size=2)) if kind == "venv" else ())
    ]
    objects = tuple(StoredObject(f"{directory}/{name}", 1, draw(ages)) for name in names)
    by_name = {stored.name: stored for stored in objects}
    found = [FoundPin(by_name[f"{directory}/pins/bootstrap-{digest}.json"], pin) for digest, pin in pinned.items()]
    return Shelf(kind, key, objects, manifest, "damaged" if state == "damaged" else None, retired, tuple(found))


@st.composite
def claims(draw: st.DrawFn, key: str) -> FoundClaim:
    claim = draw(
        st.one_of(
            st.none(),
            st.builds(
                Claim,
                build_id=builds,
                owner=st.just("ada"),
                since=ages,
                cluster_id=st.one_of(st.none(), clusters),
            ),
        )
    )
    stored = StoredObject(f"claims/{key}.json", 1, draw(ages))
    return FoundClaim(key, claim, stored.modified, stored)


@st.composite
def inventories(draw: st.DrawFn, states: tuple[str, ...] = STATES) -> Inventory:
    def directories(kind: str, names: Any) -> dict[str, tuple[StoredObject, ...]]:
        return {
            name: (StoredObject(f"{kind}/{name}/x", 1, draw(ages)), StoredObject(f"{kind}/{name}/y", 1, draw(ages)))
            for name in draw(st.sets(names, max_size=3))
        }

    return Inventory(
        shelves=(
            *(draw(shelves("python", key, states)) for key in draw(st.sets(pythons))),
            *(draw(shelves("venv", key, states)) for key in draw(st.sets(venvs))),
        ),
        claims=tuple(draw(claims(key)) for key in draw(st.sets(venvs))),
        builds=directories("builds", builds),
        sources=directories("sources", digests),
        probes=tuple(StoredObject(f"doctor/{number}", 1, draw(ages)) for number in range(draw(st.integers(0, 2)))),
    )


in_uses = st.builds(
    InUse,
    cluster_ids=st.frozensets(clusters),
    digests=st.frozensets(digests),
    build_ids=st.frozensets(builds, max_size=1),
)
days = st.one_of(st.none(), st.sampled_from([0.0, 1.0, 7.0, 30.0]).map(lambda number: number * DAY))
wishes = st.builds(Wish, older_than=days, unused_for=days)


def _deleted(found: Plan) -> dict[str, StoredObject]:
    return {stored.name: stored for deletion in found.delete for stored in deletion.objects}


def _is_building(inventory: Inventory, in_use: InUse) -> bool:
    """Told in other words than the plan does."""
    if in_use.build_ids:
        return True
    for found in inventory.claims:
        if found.claim is None or found.modified > NOW - DAY or found.claim.cluster_id in in_use.cluster_ids:
            return True
    return False


def _nothing_that_is_wanted_goes(inventory: Inventory, in_use: InUse, wish: Wish) -> None:
    found = plan(inventory, in_use, NOW, wish)
    deleted = _deleted(found)
    manifests = [shelf.manifest for shelf in inventory.shelves if shelf.manifest]
    pinned = [found.pin for shelf in inventory.shelves for found in shelf.pins if found.pin]
    named = {m.sha256 for m in manifests} | {m.python_sha256 for m in manifests}
    named |= {p.venv_sha256 for p in pinned} | {p.python_sha256 for p in pinned}
    building = _is_building(inventory, in_use)
    damaged = any(shelf.damage or _has_damaged_pin(shelf) for shelf in inventory.shelves)
    alive = {c.key for c in inventory.claims if c.claim is None or c.modified > NOW - DAY} | {
        c.key
        for c in inventory.claims
        if c.claim and (c.claim.cluster_id in in_use.cluster_ids or c.claim.build_id in in_use.build_ids)
    }
    for name, stored in deleted.items():
        kind, directory, *rest = name.split("/")
        assert rest != ["manifest.json"], "manifests are retired, not deleted"
        if name.endswith(".tar.gz"):
            digest = rest[0].removesuffix(".tar.gz")
            assert digest not in named
            assert digest not in in_use.digests
            assert stored.modified <= NOW - DAY
        if name.endswith(".sh"):
            assert not in_use.digests.intersection({rest[-1].removeprefix("bootstrap-").removesuffix(".sh")})
        if kind in ("python", "venv"):
            (shelf,) = (one for one in inventory.shelves if (one.kind, one.key) == (kind, directory))
            assert not shelf.damage
            assert not _has_damaged_pin(shelf)
            assert rest[-1] not in {stored.name.rpartition("/")[2] for stored in _kept_by_pins(shelf)}
            tombstone, manifest = shelf.find("retired"), shelf.find("manifest.json")
            for mark in (tombstone, manifest):
                assert mark is None or mark.modified <= NOW - DAY, "somebody may still be about to fetch it"
        if kind == "venv":
            assert directory not in alive, "a build may be about to publish it"
        if kind == "python":
            assert not building, "a build may want it"
            assert not damaged
            for venv in inventory.of("venv"):
                on = venv.manifest.python_key if venv.manifest else (venv.retired or {}).get("python_key", directory)
                marks = [venv.find(mark) for mark in ("retired", "manifest.json")]
                assert on != directory or all(mark is None or mark.modified <= NOW - DAY for mark in marks)
        if kind == "builds":
            assert directory not in {m.build_id for m in manifests} | in_use.build_ids
            assert stored.modified <= NOW - 7 * DAY
        if kind == "sources":
            assert directory not in {m.source_sha256 for m in manifests}
            assert stored.modified <= NOW - 7 * DAY
            assert not building
    for key, _ in found.release:
        assert key not in alive


def _has_damaged_pin(shelf: Shelf) -> bool:
    return any(found.pin is None for found in shelf.pins)


def _kept_by_pins(shelf: Shelf) -> set[StoredObject]:
    """Pins, and their scripts."""
    pins = {found.object.name.removesuffix(".json") for found in shelf.pins}
    return {stored for stored in shelf.objects if stored.name.rpartition(".")[0] in pins}


@settings(max_examples=150)
@given(inventory=inventories(("published",)), in_use=in_uses, wish=wishes)
def test_only_what_was_asked_for_is_retired(inventory: Inventory, in_use: InUse, wish: Wish) -> None:
    on_pythons = {shelf.manifest.python_key for shelf in inventory.of("venv") if shelf.manifest}
    for shelf in plan(inventory, in_use, NOW, wish).retire:
        manifest = shelf.manifest
        assert manifest is not None
        assert not shelf.pins
        assert wish != Wish()
        assert wish.older_than is None or manifest.built_at <= NOW - wish.older_than
        if wish.unused_for is not None:
            assert max(manifest.built_at, shelf.used or 0) <= NOW - wish.unused_for
        assert shelf.kind == "venv" or shelf.key not in on_pythons


def _more_in_use_is_less_deleted(inventory: Inventory, in_use: InUse, more: InUse, wish: Wish) -> None:
    """So EMR need not be asked where nothing would be deleted if no cluster lived."""
    both = InUse(
        in_use.cluster_ids | more.cluster_ids, in_use.digests | more.digests, in_use.build_ids | more.build_ids
    )
    fewer, all_of_them = plan(inventory, both, NOW, wish), plan(inventory, in_use, NOW, wish)
    assert _deleted(fewer).keys() <= _deleted(all_of_them).keys()
    assert set(fewer.release) <= set(all_of_them.release)
    assert {id(shelf) for shelf in fewer.retire} <= {id(shelf) for shelf in all_of_them.retire}


def _in_the_end_only_what_is_named_is_left(inventory: Inventory) -> None:
    """When all is long past, nobody builds and no manifest is damaged, what no manifest names goes."""
    sound = tuple(shelf for shelf in inventory.shelves if not shelf.damage and not _has_damaged_pin(shelf))
    readable = tuple(found for found in inventory.claims if found.claim)
    inventory = replace(inventory, shelves=sound, claims=readable)
    found = plan(inventory, InUse(), NOW + 100 * DAY)
    named = {shelf.manifest.sha256 for shelf in sound if shelf.manifest} | {
        shelf.manifest.python_sha256 for shelf in sound if shelf.manifest
    }
    pinned = [found.pin for shelf in sound for found in shelf.pins if found.pin]
    named |= {sha256 for pin in pinned for sha256 in (pin.venv_sha256, pin.python_sha256)}
    archives = {stored.name for shelf in sound for digest, stored in shelf.archives.items() if digest not in named}
    assert {name for name in _deleted(found) if name.endswith(".tar.gz")} == archives
    scripts = {one.name for shelf in sound for one in set(shelf.objects) - _kept_by_pins(shelf) if "/pins/" in one.name}
    assert scripts <= _deleted(found).keys()
    probes = {stored.name for shelf in sound for stored in shelf.objects if stored.name.endswith("/probe")}
    assert probes <= _deleted(found).keys()
    assert len(found.release) == len(readable)


places = st.sampled_from([Place("us-east-1", "1"), Place("eu-west-1", "1"), Place("us-east-1", "2")])


def _what_clusters_elsewhere_may_need_stays(inventory: Inventory, in_use: InUse, asked: frozenset[Place]) -> None:
    found = plan(inventory, replace(in_use, places=asked), NOW)
    deleted = _deleted(found)
    assert deleted.keys() <= _deleted(plan(inventory, in_use, NOW)).keys(), "EMR need not be asked where that is empty"
    for venv in inventory.of("venv"):
        noted = {name: Place(name.split("/")[3], name.split("/")[2]) for name in _names(venv) if name.count("/") == 4}
        elsewhere = {name for name, place in noted.items() if place not in asked}
        if not elsewhere:
            continue
        assert not elsewhere & deleted.keys()
        assert not any(name.endswith(".tar.gz") for name in _names(venv) & deleted.keys())
        python = venv.manifest.python_key if venv.manifest else (venv.retired or {}).get("python_key")
        for shelf in inventory.of("python"):
            if python in (shelf.key, None):
                assert not any(name.endswith(".tar.gz") for name in _names(shelf) & deleted.keys())


def _names(shelf: Shelf) -> set[str]:
    return {stored.name for stored in shelf.objects}


@settings(max_examples=200)
@given(inventory=inventories(), in_use=in_uses, more=in_uses, wish=wishes, asked=st.frozensets(places))
def test_plans(inventory: Inventory, in_use: InUse, more: InUse, wish: Wish, asked: frozenset[Place]) -> None:
    """One cache for all that is true of every plan: to draw one takes longer than to look at it."""
    _nothing_that_is_wanted_goes(inventory, in_use, wish)
    _more_in_use_is_less_deleted(inventory, in_use, more, wish)
    _in_the_end_only_what_is_named_is_left(inventory)
    _what_clusters_elsewhere_may_need_stays(inventory, in_use, asked)
    assert plan(inventory, in_use, NOW).retire == (), "without a wish, no manifest goes"
