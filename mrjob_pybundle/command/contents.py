"""``ls`` and ``show``: what is in the cache."""

from __future__ import annotations

import argparse
import json

from mrjob_pybundle.cache.inventory import find_shelf, take_inventory
from mrjob_pybundle.command import tables
from mrjob_pybundle.command.constraints import constraints_text
from mrjob_pybundle.command.switches import Commands, context_of


def add(commands: Commands) -> None:
    """Add the commands."""
    listing = commands.about_cache("ls", _ls, "[--json]", "list what is in the cache")
    show = commands.about_cache(
        "show", _show, "KEY [--json | --constraints]", "show all that is known of a bundle or a Python"
    )
    show.add_argument("key", metavar="KEY", help="the key, or as much of it as is unique")
    instead = show.add_mutually_exclusive_group()
    for command in (listing, instead):
        command.add_argument("--json", action="store_true", help="as JSON; times in seconds since 1970, sizes in bytes")
    instead.add_argument(
        "--constraints", action="store_true", help="a constraints file for pip that pins what is inside"
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
    if args.json:
        print(json.dumps(tables.shelf_json(shelf, inventory), indent=2))
    else:
        tables.write(tables.shelf_text(shelf, inventory, str(cache.root)))
    return 0
