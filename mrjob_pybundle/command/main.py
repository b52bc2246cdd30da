"""The ``mrjob-pybundle`` command."""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import mrjob_pybundle_hook  # noqa: F401  (makes mrjob importable, also where Python reads no .pth file)
from mrjob_pybundle import __version__
from mrjob_pybundle.command import (
    builds,
    cluster_params,
    contents,
    create_cluster,
    doctor,
    keys,
    removal,
    run,
    sandbox,
    selftest,
    shell,
)
from mrjob_pybundle.command.switches import Commands
from mrjob_pybundle.errors import PyBundleError, show


def main(argv: list[str] | None = None) -> int:
    """Run the command. Returns its exit status: 0, 130 after Ctrl-C, or that of the error's class (see the README)."""
    words = sys.argv[1:] if argv is None else argv
    if argv is None and isinstance(sys.stdout, io.TextIOWrapper):  # a letter that a terminal lacks is no reason to end
        sys.stdout.reconfigure(errors="backslashreplace")
    if words[:1] == ["run"]:
        run.main(words[1:])
    parser = _parser(words)
    try:
        args = parser.parse_args(words)
    except ValueError as error:  # mrjob's switches for arguments of commands: quotes that are not closed
        parser.error(str(error))
    with _loggers_as_they_were():
        return _run(args)


@contextmanager
def _loggers_as_they_were() -> Iterator[None]:
    """A program that calls :func:`main` again and again is told everything once: mrjob adds handlers each time."""
    loggers = [logging.getLogger(name) for name in ("mrjob", "__main__")]
    before = [(list(logger.handlers), logger.level) for logger in loggers]
    try:
        yield
    finally:
        for logger, (handlers, level) in zip(loggers, before, strict=True):
            logger.handlers[:] = handlers
            logger.setLevel(level)


def _run(args: argparse.Namespace) -> int:
    try:
        status = int(args.run(args))
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # Who read our output has seen enough. Python would complain when it flushes it once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except PyBundleError as error:
        show(error, prefix="mrjob-pybundle: ")
        return error.exit_status
    except KeyboardInterrupt:
        return 130


def _parser(words: list[str]) -> argparse.ArgumentParser:
    """The parser of a command line of these *words*."""
    parser = argparse.ArgumentParser(
        prog="mrjob-pybundle",
        description="Bundles of Python for mrjob on Amazon EMR: the team's cache, and a sandbox.",
        epilog="COMMAND --help tells more. All but run, selftest and sandbox take the options of a job and read its"
        " mrjob.conf, which selftest reads, too.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = Commands(parser, called=next((word for word in words if not word.startswith("-")), None))
    for verbs in (keys, contents, removal, builds, create_cluster, cluster_params, shell, doctor):
        verbs.add(commands)
    commands.subparsers.add_parser("run", help=run.ABOUT, add_help=False)  # main gives it what follows, unparsed
    selftest.add(commands)
    sandbox.add(commands)
    return parser
