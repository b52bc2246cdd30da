"""``key`` and ``why``: what a job's bundle is, and what a cached one that is like it differs in."""

from __future__ import annotations

import argparse
import json

from mrjob_pybundle.command import tables
from mrjob_pybundle.command.switches import Commands, runner_of


def add(commands: Commands) -> None:
    """Add the commands."""
    commands.about_job("key", _key, "", "print the keys of a job's bundle, and what goes into them, as JSON")
    commands.about_job("why", _why, "", "say why a job's bundle is not cached: what differs from the one most like it")


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
