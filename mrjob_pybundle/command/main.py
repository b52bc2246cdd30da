"""The ``mrjob-pybundle`` command."""

from __future__ import annotations

import argparse
import logging
import os
import sys

import mrjob_pybundle_hook  # noqa: F401  (makes mrjob importable, also where Python reads no .pth file)
from mrjob_pybundle import __version__
from mrjob_pybundle.command import builds, contents, create_cluster, doctor, keys, removal, run, sandbox
from mrjob_pybundle.command.switches import Commands
from mrjob_pybundle.errors import PyBundleError

log = logging.getLogger("mrjob.pybundle")


def main(argv: list[str] | None = None) -> int:
    """Run the command. Returns its exit status: 0, 1 after an error that a person can act on, 2 for bad usage."""
    words = sys.argv[1:] if argv is None else argv
    if words[:1] == ["run"]:
        run.main(words[1:])
    args = _parser().parse_args(words)
    try:
        status = int(args.run(args))
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # Who read our output has seen enough. Python would complain when it flushes it once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except PyBundleError as error:
        log.debug("the error in full:", exc_info=error)
        print(f"mrjob-pybundle: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mrjob-pybundle",
        description="Bundles of Python for mrjob on Amazon EMR: the team's cache, and a sandbox.",
        epilog="COMMAND --help tells more. All but run and sandbox take the options of a job and read its mrjob.conf.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = Commands(parser)
    for verbs in (keys, contents, removal, builds, create_cluster, doctor):
        verbs.add(commands)
    commands.subparsers.add_parser("run", help=run.ABOUT, add_help=False)  # main gives it what follows, unparsed
    sandbox.add(commands)
    return parser
