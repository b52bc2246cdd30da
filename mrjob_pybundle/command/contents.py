"""``ls`` and ``show``: what is in the cache."""

from __future__ import annotations

import argparse
import json
import logging

from mrjob_pybundle.cache.contents import contents_of
from mrjob_pybundle.cache.inventory import Inventory, Shelf, find_shelf, take_inventory
from mrjob_pybundle.command import tables
from mrjob_pybundle.command.constraints import constraints_text
from mrjob_pybundle.command.switches import Commands, context_of
from mrjob_pybundle.errors import CacheError, OptionError

log = logging.getLogger("mrjob.pybundle")


def add(commands: Commands) -> None:
    """Add the commands."""
    listing = commands.about_cache("ls", _ls, "[--json]", "list what is in the cache")
    show = commands.about_cache(
        "show", _show, "KEY [--json | --constraints | --sbom]", "show all that is known of a bundle or a Python"
    )
    show.add_argument("key", metavar="KEY", help="the key, or as much of it as is unique")
    instead = show.add_mutually_exclusive_group()
    for command in (listing, instead):
        command.add_argument("--json", action="store_true", help="as JSON; times in seconds since 1970, sizes in bytes")
    instead.add_argument(
        "--constraints", action="store_true", help="a constraints file for pip that pins what is inside"
    )
    instead.add_argument(
        "--sbom", action="store_true", help="a bill of materials of what is inside: CycloneDX 1.6, as JSON"
    )


def _ls(args: argparse.Namespace) -> int:
    cache = context_of(args).cache
    inventory = take_inventory(cache)
    if args.json:
        print(json.dumps(tables.inventory_json(inventory, str(cache.root)), indent=2))
    else:
        tables.write(tables.inventory_text(inventory, str(cache.root)))
    return 0


def _show(args: argparse.Namespace) -> int:
    cache = context_of(args).cache
    shelf = find_shelf(cache, args.key)
    if args.constraints:
        print(constraints_text(shelf), end="")
        return 0
    inventory = take_inventory(cache)
    if args.sbom:
        print(_sbom(shelf, inventory))
    elif args.json:
        print(json.dumps(tables.shelf_json(shelf, inventory), indent=2))
    else:
        tables.write(tables.shelf_text(shelf, inventory, str(cache.root)))
    return 0


def _sbom(shelf: Shelf, inventory: Inventory) -> str:
    """A bill of materials, as JSON. What it lacks because nobody has recorded it, a line in the log says.

    :raises OptionError: the extra is not installed; or the key's manifest was taken away, or is damaged.
    :raises CacheError: the manifest does not say what is inside as it should.
    """
    try:
        from mrjob_pybundle.command.sbom import sbom_text
    except ImportError as error:
        raise OptionError(f"show --sbom needs an extra ({error}): pip install 'mrjob-pybundle[sbom]'") from error
    if shelf.manifest is None:
        raise OptionError(f"{shelf.key[:12]} was removed, or its manifest is damaged: what was inside is not known.")
    contents = contents_of(shelf.manifest, inventory.python_of(shelf.manifest))
    if contents.remark:
        log.warning("%s", contents.remark)
    try:
        return sbom_text(shelf.key, shelf.manifest, contents)
    except ValueError as error:
        raise CacheError(f"The manifest of {shelf.key[:12]} has names that no package can have: {error}") from error
