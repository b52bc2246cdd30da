"""The ``mrjob-pybundle`` command."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import math
import os
import sys
from pathlib import Path
from typing import Any

import mrjob_pybundle_hook  # noqa: F401  (makes mrjob importable, also where Python reads no .pth file)
from mrjob_pybundle import __version__
from mrjob_pybundle.command import run
from mrjob_pybundle.errors import PyBundleError

log = logging.getLogger("mrjob.pybundle")

_ABOUT_OPTIONS = "options of the job: those of -r pybundle-emr, as switches, besides what is in mrjob.conf"


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
    commands = _Commands(parser)

    commands.add("key", _key, "", "print the keys of a job's bundle, and what goes into them, as JSON")
    listing = commands.add("ls", _ls, "[--json]", "list what is in the cache")
    show = commands.add("show", _show, "KEY [--json]", "show all that is known of a bundle or a Python")
    commands.add("why", _why, "", "say why a job's bundle is not cached: what differs from the one most like it")
    remove = commands.add(
        "rm", _rm, "KEY…", "remove bundles or Pythons: no new job finds them; running clusters keep what they need"
    )
    gc = commands.add(
        "gc",
        _gc,
        "[--older-than DAYS] [--unused-for DAYS] [--dry-run]",
        "delete archives that nobody can need any more, and what builds have left",
    )
    commands.add("build", _build, "", "have a job's bundle in the cache, now; builds nothing if it is there")
    watch = commands.add("watch", _watch, "[BUILD]", "show log and stages of a build until it ends")
    stop = commands.add("stop", _stop, "BUILD", "end a build and its cluster")
    commands.add(
        "create-cluster", _create_cluster, "", "create a persistent cluster with a job's bundle on it, print its id"
    )
    commands.add("doctor", _doctor, "", "check what a job and its build need, and say what to do")
    commands.subparsers.add_parser("run", help=run.ABOUT, add_help=False)  # main gives it what follows, unparsed
    _add_sandbox(commands.subparsers)

    show.add_argument("key", metavar="KEY", help="the key, or as much of it as is unique")
    remove.add_argument("keys", metavar="KEY", nargs="+", help="the key, or as much of it as is unique")
    for command in (listing, show):
        command.add_argument("--json", action="store_true", help="as JSON; times in seconds since 1970, sizes in bytes")
    gc.add_argument("--older-than", type=_days, metavar="DAYS", help="remove bundles that were built longer ago")
    gc.add_argument("--unused-for", type=_days, metavar="DAYS", help="remove bundles that no job used for so long")
    gc.add_argument("--dry-run", action="store_true", help="only say what would be done")
    watch.add_argument("build", metavar="BUILD", nargs="?", help="its id; may be left out if only one is running")
    stop.add_argument("build", metavar="BUILD", help="its id")
    return parser


def _days(text: str) -> float:
    with contextlib.suppress(ValueError):
        days = float(text)
        if 0 <= days < math.inf:
            return days
    raise argparse.ArgumentTypeError(f"not a number of days: {text}")


class _Commands:
    def __init__(self, parser: argparse.ArgumentParser) -> None:
        from mrjob_pybundle.mrjob_plugin import add_runner_switches

        self.subparsers: Any = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
        self._switches = argparse.ArgumentParser(add_help=False)
        add_runner_switches(self._switches.add_argument_group(_ABOUT_OPTIONS))

    def add(self, name: str, run: Any, usage: str, about: str) -> Any:
        command = self.subparsers.add_parser(
            name,
            help=about,
            description=f"{about[0].upper()}{about[1:]}.",
            usage=" ".join(filter(None, ("mrjob-pybundle", name, usage, "[OPTION…]"))),
            parents=[self._switches],
        )
        command.set_defaults(run=run)
        return command


def _runner(args: argparse.Namespace, runner_class: Any = None) -> Any:
    from mrjob.job import MRJob

    from mrjob_pybundle.runner import PyBundleEMRJobRunner

    MRJob.set_up_logging(quiet=args.quiet, verbose=args.verbose)
    names = {*PyBundleEMRJobRunner.OPT_NAMES, "conf_paths"}
    opts = {name: value for name, value in vars(args).items() if name in names}
    return (runner_class or PyBundleEMRJobRunner)(**opts)


# the cache


def _key(args: argparse.Namespace) -> int:
    spec = _runner(args).bundle_spec
    keys = {
        "python": {"key": spec.python.key, "inputs": spec.python.inputs()},
        "venv": {"key": spec.key, "inputs": spec.inputs()},
    }
    print(json.dumps(keys, indent=2))
    return 0


def _ls(args: argparse.Namespace) -> int:
    from mrjob_pybundle.cache.inventory import take_inventory
    from mrjob_pybundle.command import tables

    cache = _runner(args).cache
    inventory = take_inventory(cache)
    if args.json:
        print(json.dumps(tables.inventory_json(inventory, str(cache.root)), indent=2))
    else:
        tables.write(tables.inventory_text(inventory, str(cache.root)))
    return 0


def _show(args: argparse.Namespace) -> int:
    from mrjob_pybundle.cache.inventory import find_shelf, take_inventory
    from mrjob_pybundle.command import tables

    cache = _runner(args).cache
    shelf, inventory = find_shelf(cache, args.key), take_inventory(cache)
    if args.json:
        print(json.dumps(tables.shelf_json(shelf, inventory), indent=2))
    else:
        tables.write(tables.shelf_text(shelf, inventory, str(cache.root)))
    return 0


def _why(args: argparse.Namespace) -> int:
    from mrjob_pybundle.command import tables

    runner = _runner(args)
    spec, cache = runner.bundle_spec, runner.cache
    if cache.find(spec) is not None:
        tables.write(f"The bundle is cached (key {spec.key[:12]}): a job builds nothing.")
        return 0
    lines = [f"The bundle is not cached (key {spec.key[:12]})."]
    if cache.find_python(spec.python) is not None:
        lines.append(
            f"Its Python is (key {spec.python.key[:12]}): a job makes the environment anew, and compiles nothing."
        )
    explanation = runner.why()
    lines += tables.explanation_lines(explanation) if explanation else [f"No other bundle is in {cache.root}, either."]
    tables.write("\n".join(lines))
    return 0


def _rm(args: argparse.Namespace) -> int:
    from mrjob_pybundle.cache.housekeeping import retire_key
    from mrjob_pybundle.cache.inventory import find_shelf, take_inventory

    runner = _runner(args)
    cache = runner.cache
    for key in args.keys:
        shelf = find_shelf(cache, key)
        retire_key(cache, shelf, take_inventory(cache), runner.owner, cache.clock())
        what = "bundle" if shelf.kind == "venv" else "Python"
        print(f"removed {what} {shelf.key[:12]}: no new job uses it. gc deletes its archive in a day at the earliest.")
    return 0


def _gc(args: argparse.Namespace) -> int:
    from mrjob_pybundle.cache.housekeeping import DAY, Wish, collect, make_plan
    from mrjob_pybundle.cache.inventory import take_inventory
    from mrjob_pybundle.command import tables

    runner = _runner(args)
    cache = runner.cache
    wish = Wish(*(None if days is None else days * DAY for days in (args.older_than, args.unused_for)))
    inventory = take_inventory(cache, everything=True)
    now = cache.clock()
    plan = make_plan(inventory, runner.emr_client, now, wish)
    if not args.dry_run:
        collect(cache, plan, runner.owner, now)
    tables.write(tables.plan_text(plan, done=not args.dry_run))
    return 0


# builds


def _build(args: argparse.Namespace) -> int:
    runner = _runner(args)
    spec = runner.bundle_spec
    bundle, is_new = runner.build_bundle()
    print(f"bundle {spec.key}\npython {spec.python.key}")
    print(
        f"{'built' if is_new else 'cached already: nothing was built'}, {runner.cache.archive_uri('venv', bundle.venv)}"
    )
    return 0


def _watch(args: argparse.Namespace) -> int:
    from mrjob_pybundle.command import watching

    runner = _runner(args)
    cache = runner.cache
    build_id = args.build or watching.only_build(cache)
    ended = watching.ended_build(build_id, cache)
    if ended is None:
        status = watching.watch(build_id, cache, runner.aws())
    else:
        status, text = ended
        sys.stdout.write(text.decode("utf-8", "replace"))
    sys.stdout.flush()
    print(f"Build {build_id}: {watching.outcome(status)}", file=sys.stderr)
    return 0 if status.state == "SUCCEEDED" else 1


def _stop(args: argparse.Namespace) -> int:
    from mrjob_pybundle.command import watching

    runner = _runner(args)
    cluster_id = watching.stop(args.build, runner.cache, runner.aws())
    print(f"ending cluster {cluster_id} of build {args.build}; what it has published already stays in the cache")
    return 0


# clusters


def _create_cluster(args: argparse.Namespace) -> int:
    print(_runner(args).make_persistent_cluster())
    return 0


# doctor


def _doctor(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.text import Text

    from mrjob_pybundle.command.doctor import Verdict, examine

    styles = {Verdict.OK: "green", Verdict.FAILED: "bold red", Verdict.NOTE: "yellow", Verdict.NOT_CHECKED: "yellow"}
    console = Console(soft_wrap=True, highlight=False)
    failed = False
    for finding in examine(lambda runner_class: _runner(args, runner_class)):
        failed = failed or finding.verdict is Verdict.FAILED
        verdict = (f"{finding.verdict.value:<12}", styles[finding.verdict])
        console.print(Text.assemble(verdict, f"{finding.check}: {finding.text}"))
    return 1 if failed else 0


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
    command.add_argument(
        "--image",
        type=_image,
        action="append",
        default=[],
        metavar="ID=TREE",
        help="nodes of jobs with that image_id have the file tree TREE as their root; scripts/make-node-root.sh makes"
        " such trees; repeatable",
    )
    command.add_argument("command", nargs="+", metavar="COMMAND", help="the command and its arguments, after --")
    command.set_defaults(run=_sandbox)


def _image(text: str) -> tuple[str, Path]:
    image_id, separator, tree = text.partition("=")
    if not (image_id and separator and tree):
        raise argparse.ArgumentTypeError(f"not of the form ID=TREE: {text}")
    return image_id, Path(tree)


def _sandbox(args: argparse.Namespace) -> int:
    from mrjob_pybundle import sandbox

    return sandbox.run(args.dir, args.nodes, args.command, args.engine, dict(args.image))
