"""``shell``: a shell, or a command, in a job's bundle on this machine."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from typing import NoReturn

from mrjob_pybundle.command.switches import Commands, runner_of
from mrjob_pybundle.errors import CacheError
from mrjob_pybundle.nodes.here import check_architecture, command_in, have_here

log = logging.getLogger("mrjob.pybundle")


def add(commands: Commands) -> None:
    """Add the command."""
    command = commands.about_job(
        "shell",
        _shell,
        "[OPTION…] [-- COMMAND…]",
        "start a shell, or a command, on this machine in a job's bundle: with the nodes' Python and packages",
    )
    command.add_argument("command", metavar="COMMAND", nargs="*", help="with its arguments (default: a shell)")


def _shell(args: argparse.Namespace) -> NoReturn:
    """Become the command.

    :raises CacheError: the bundle is not cached.
    """
    runner = runner_of(args)
    spec = runner.bundle_spec
    check_architecture(spec.python.arch)
    bundle = runner.cache.bundles.find(spec)
    if bundle is None:
        raise CacheError(
            f"The bundle is not cached (key {spec.key[:12]}), and shell builds none: mrjob-pybundle build does, with"
            " the same options."
        )
    root = have_here(bundle, runner.cache)
    if not args.command:
        log.info("In bundle %s, with CPython %s. To leave: exit", bundle.id, spec.python.version)
        log.info("If your shell's own start files put another python in front of it: . %s/activate", root)
    command = command_in(root, args.command or [os.environ.get("SHELL") or "/bin/sh"])
    sys.stdout.flush()
    os.execvp(command[0], command)
