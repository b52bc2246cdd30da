"""``key`` and ``why``: what a job's bundle is, and what a cached one that is like it differs in."""

from __future__ import annotations

import argparse
import json

from mrjob_pybundle.cache.inventory import Shelf, find_shelf, take_inventory
from mrjob_pybundle.cache.why import compare_bundles
from mrjob_pybundle.command import tables
from mrjob_pybundle.command.switches import Commands, context_of, runner_of
from mrjob_pybundle.errors import OptionError


def add(commands: Commands) -> None:
    """Add the commands."""
    commands.about_job("key", _key, "", "print the keys of a job's bundle, and what goes into them, as JSON")
    why = commands.about_job(
        "why", _why, "[KEY KEY]", "say why a job's bundle is not cached, or what those of two KEYs differ in"
    )
    why.add_argument("keys", nargs="*", help=argparse.SUPPRESS)


def _key(args: argparse.Namespace) -> int:
    runner = runner_of(args)
    spec = runner.bundle_spec
    keys = {
        "python": {"key": spec.python.key, "inputs": spec.python.inputs()},
        "venv": {"key": spec.key, "inputs": spec.inputs(), "left_out": list(runner.inputs.left_out)},
    }
    print(json.dumps(keys, indent=2))
    return 0


def _why(args: argparse.Namespace) -> int:
    if args.keys:
        return _compare(args)
    runner = runner_of(args)
    spec, cache = runner.bundle_spec, runner.cache
    if cache.bundles.find(spec) is not None:
        tables.write(f"The bundle is cached (key {spec.key[:12]}): a job builds nothing.")
        return 0
    lines = [f"The bundle is not cached (key {spec.key[:12]})."]
    if cache.bundles.find_python(spec.python) is not None:
        lines.append(
            f"Its Python is (key {spec.python.key[:12]}): a job makes the environment anew, and compiles nothing."
        )
    explanation = runner.why()
    lines += tables.explanation_lines(explanation) if explanation else [f"No other bundle is in {cache.root}, either."]
    tables.write("\n".join(lines))
    return 0


def _compare(args: argparse.Namespace) -> int:
    if len(args.keys) != 2:
        raise OptionError("why compares two bundles: give two keys, or none to ask why a job's bundle is not cached.")
    cache = context_of(args).cache
    before, after = (_bundle(find_shelf(cache, key)) for key in args.keys)
    comparison = compare_bundles(before, after, take_inventory(cache), cache)
    tables.write("\n".join(tables.comparison_lines(comparison)))
    return 0


def _bundle(shelf: Shelf) -> Shelf:
    if shelf.manifest is None or shelf.kind != "venv":
        what = "a Python" if shelf.kind == "python" else "removed, or its manifest is damaged"
        raise OptionError(f"{shelf.key[:12]} is {what}: why compares bundles in the cache.")
    return shelf
