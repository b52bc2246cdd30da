"""The ``mrjob-pybundle`` command."""

from __future__ import annotations

import argparse
import logging
import os
import sys

from mrjob_pybundle import __version__
from mrjob_pybundle.command import builds, contents, create_cluster, doctor, keys, removal, sandbox
from mrjob_pybundle.command.switches import Commands
from mrjob_pybundle.errors import PyBundleError

log = logging.getLogger("mrjob.pybundle")


def main(argv: list[str] | None = None) -> int:
    """Run the command. Returns its exit status: 0, 1 after an error that a person can act on, 2 for bad usage."""
    args = _parser().parse_args(argv)
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
        epilog="COMMAND --help tells more. All but sandbox take the options of a job and read its mrjob.conf.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = Commands(parser)
    for verbs in (keys, contents, removal, builds, create_cluster, doctor, sandbox):
        verbs.add(commands)
    return parser
