"""``rm``, ``unpin`` and ``gc``: taking away what nobody needs."""

from __future__ import annotations

import argparse
import contextlib
import math
from collections.abc import Iterable, Iterator

from mrjob_pybundle.bundle.libraries import OpenSsl
from mrjob_pybundle.cache.housekeeping import DAY, Wish, collect, make_plan, retire_key
from mrjob_pybundle.cache.inventory import Inventory, Shelf, find_shelf, take_inventory
from mrjob_pybundle.command import tables
from mrjob_pybundle.command.switches import Commands, context_of
from mrjob_pybundle.errors import OptionError


def add(commands: Commands) -> None:
    """Add the commands."""
    remove = commands.about_cache(
        "rm",
        _rm,
        "{KEY… | --older-openssl RELEASE}",
        "remove bundles or Pythons: no new job finds them; running clusters keep what they need",
    )
    remove.add_argument("keys", metavar="KEY", nargs="*", help="the key, or as much of it as is unique")
    remove.add_argument(
        "--older-openssl",
        type=_openssl,
        metavar="RELEASE",
        help="all bundles and Pythons with an OpenSSL that is older than this",
    )
    unpin = commands.about_cache(
        "unpin", _unpin, "KEY", "let go of what cluster-params has pinned: no program starts clusters with it any more"
    )
    unpin.add_argument("key", metavar="KEY", help="the bundle's key, or as much of it as is unique")
    gc = commands.about_cache(
        "gc",
        _gc,
        "[--older-than DAYS] [--unused-for DAYS] [--dry-run]",
        "delete archives that nobody can need any more, and what builds have left",
    )
    gc.add_argument("--older-than", type=_days, metavar="DAYS", help="remove bundles that were built longer ago")
    gc.add_argument("--unused-for", type=_days, metavar="DAYS", help="remove bundles that no job used for so long")
    gc.add_argument("--dry-run", action="store_true", help="only say what would be done")


def _days(text: str) -> float:
    with contextlib.suppress(ValueError):
        days = float(text)
        if 0 <= days < math.inf:
            return days
    raise argparse.ArgumentTypeError(f"not a number of days: {text}")


def _openssl(text: str) -> OpenSsl:
    release = OpenSsl.parse(text)
    if release is None:
        raise argparse.ArgumentTypeError(f"not a release of OpenSSL, such as 3.2.2: {text}")
    return release


def _rm(args: argparse.Namespace) -> int:
    if bool(args.keys) == (args.older_openssl is not None):
        raise OptionError("rm takes keys, or --older-openssl and no keys.")
    context = context_of(args)
    cache = context.cache
    shelves: Iterable[Shelf]
    if args.older_openssl:
        shelves = _with_older_openssl(take_inventory(cache), args.older_openssl)
    else:
        shelves = (find_shelf(cache, key) for key in args.keys)
    for shelf in shelves:
        retire_key(cache, shelf, take_inventory(cache), context.owner, cache.store.clock())
        what = "bundle" if shelf.kind == "venv" else "Python"
        print(f"removed {what} {shelf.key[:12]}: no new job uses it. gc deletes its archive in a day at the earliest.")
    return 0


def _with_older_openssl(inventory: Inventory, release: OpenSsl) -> Iterator[Shelf]:
    """Bundles, then Pythons that have none any more: what is left would be built on again."""
    kept: set[str | None] = set()
    for shelf in (*inventory.bundles, *inventory.pythons.values()):
        assert shelf.manifest is not None
        openssl = inventory.openssl_of(shelf.manifest)
        is_older = openssl is not None and openssl < release
        if openssl is None:
            print(f"kept {shelf.kind} {shelf.key[:12]}: which OpenSSL it has is not known")
        elif is_older and shelf.pins:
            print(f"kept {shelf.kind} {shelf.key[:12]}: it is pinned, for other programs start clusters with it")
        if is_older and not shelf.pins and shelf.key not in kept:
            yield shelf
        else:
            kept.add(shelf.manifest.python_key)


def _unpin(args: argparse.Namespace) -> int:
    cache = context_of(args).cache
    shelf = find_shelf(cache, args.key)
    if not shelf.pins:
        raise OptionError(f"{shelf.kind} {shelf.key[:12]} is not pinned. mrjob-pybundle ls lists what is.")
    for found in shelf.pins:
        cache.pins.take_away(found.object.name)
    print(f"unpinned bundle {shelf.key[:12]}: rm and gc may take it. Clusters that live keep what they need.")
    return 0


def _gc(args: argparse.Namespace) -> int:
    context = context_of(args)
    cache = context.cache
    wish = Wish(*(None if days is None else days * DAY for days in (args.older_than, args.unused_for)))
    inventory = take_inventory(cache, everything=True)
    now = cache.store.clock()
    plan = make_plan(inventory, context, now, wish)
    if not args.dry_run:
        plan = collect(cache, plan, context.owner, now)
    tables.write(tables.plan_text(plan, done=not args.dry_run))
    return 0
