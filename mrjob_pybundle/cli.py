"""The ``mrjob-pybundle`` command."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import Any

from mrjob_pybundle import __version__
from mrjob_pybundle.errors import PyBundleError
from mrjob_pybundle.mrjob_plugin import add_runner_switches

log = logging.getLogger("mrjob.pybundle")


def main(argv: list[str] | None = None) -> int:
    """Run the command. Returns its exit status: 0, 1 after an error that a person can act on, 2 for bad usage."""
    args = _parser().parse_args(argv)
    try:
        return int(args.run(args))
    except PyBundleError as error:
        log.debug("the error in full:", exc_info=error)
        print(f"mrjob-pybundle: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mrjob-pybundle",
        description="Bundles of Python for mrjob on Amazon EMR: the team's cache, and a sandbox.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_key(commands)
    _add_sandbox(commands)
    return parser


# mrjob-pybundle key


def _add_key(commands: Any) -> None:
    command = commands.add_parser(
        "key",
        help="print the keys of a job's bundle, and what goes into them",
        description="Print both keys that the given options (and mrjob.conf) lead to, and what goes into them, as"
        " JSON. Takes the switches of the pybundle-emr runner.",
    )
    add_runner_switches(command)
    command.set_defaults(run=_key)


def _key(args: argparse.Namespace) -> int:
    spec = _runner(args).bundle_spec
    keys = {
        "python": {"key": spec.python.key, "inputs": spec.python.inputs()},
        "venv": {"key": spec.key, "inputs": spec.inputs()},
    }
    print(json.dumps(keys, indent=2))
    return 0


def _runner(args: argparse.Namespace) -> Any:
    from mrjob.job import MRJob

    from mrjob_pybundle.runner import PyBundleEMRJobRunner

    MRJob.set_up_logging(quiet=args.quiet, verbose=args.verbose)
    opts = {name: value for name, value in vars(args).items() if name not in ("run", "quiet", "verbose")}
    return PyBundleEMRJobRunner(**opts)


# mrjob-pybundle sandbox


def _add_sandbox(commands: Any) -> None:
    from mrjob_pybundle.sandbox import ENGINES

    command = commands.add_parser(
        "sandbox",
        help="run a command with an EMR and an S3 of its own, on this machine",
        description="Run COMMAND in an environment in which mrjob, boto3 and the AWS CLI find an EMR and an S3 on"
        " this machine. S3's content is kept in DIR. Needs the sandbox extra: pip install 'mrjob-pybundle[sandbox]'.",
    )
    command.add_argument(
        "--dir", type=Path, default=Path(".sandbox"), help="where all of it is kept (default: %(default)s)"
    )
    command.add_argument(
        "--nodes",
        type=int,
        default=2,
        help="core nodes of a cluster that says nothing else (default: %(default)s)",
    )
    command.add_argument(
        "--engine",
        choices=ENGINES,
        default=ENGINES[0],
        help="what runs the steps: a stand-in for Hadoop Streaming, or Hadoop, which needs Java and"
        " scripts/fetch-hadoop.sh (default: %(default)s)",
    )
    command.add_argument("command", nargs="+", metavar="COMMAND", help="the command and its arguments, after --")
    command.set_defaults(run=_sandbox)


def _sandbox(args: argparse.Namespace) -> int:
    from mrjob_pybundle import sandbox

    return sandbox.run(args.dir, args.nodes, args.command, args.engine)


if __name__ == "__main__":
    sys.exit(main())
