"""``sandbox``: runs a command with an EMR and an S3 of its own, on this machine."""

from __future__ import annotations

import argparse
import threading
from pathlib import Path

from mrjob_pybundle import sandbox
from mrjob_pybundle.command.switches import Commands


def add(commands: Commands) -> None:
    """Add the command."""
    command = commands.subparsers.add_parser(
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
        choices=sandbox.ENGINES,
        default=sandbox.ENGINES[0],
        help="what runs the steps: a stand-in for Hadoop Streaming, or Hadoop, which needs Java and"
        " scripts/fetch-hadoop.sh (default: %(default)s)",
    )
    command.add_argument(
        "--image",
        type=_image,
        action="append",
        default=[],
        metavar="ID=TREE",
        help="nodes of jobs with that image_id have the file tree TREE as their root; scripts/make-node-root.sh makes"
        " such trees; repeatable",
    )
    command.add_argument(
        "--start-seconds",
        type=_seconds,
        default=0.0,
        metavar="N",
        help="how long clusters stay in STARTING, as EMR's do for minutes (default: no longer than it takes)",
    )
    command.add_argument("command", nargs="+", metavar="COMMAND", help="the command and its arguments, after --")
    command.set_defaults(run=_sandbox)


def _image(text: str) -> tuple[str, Path]:
    image_id, separator, tree = text.partition("=")
    if not (image_id and separator and tree):
        raise argparse.ArgumentTypeError(f"not of the form ID=TREE: {text}")
    return image_id, Path(tree)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= threading.TIMEOUT_MAX:
        raise argparse.ArgumentTypeError(f"not a number of seconds: {text}")
    return seconds


def _sandbox(args: argparse.Namespace) -> int:
    return sandbox.run(args.dir, args.nodes, args.command, args.engine, dict(args.image), args.start_seconds)
