"""``build``, ``watch`` and ``stop``."""

from __future__ import annotations

import argparse
import sys

from mrjob_pybundle.cache import layout
from mrjob_pybundle.command import watching
from mrjob_pybundle.command.switches import Commands, context_of, runner_of
from mrjob_pybundle.errors import BuildError


def add(commands: Commands) -> None:
    """Add the commands."""
    commands.about_job("build", _build, "", "have a job's bundle in the cache, now; builds nothing if it is there")
    watch = commands.about_cache("watch", _watch, "[BUILD]", "show log and stages of a build until it ends")
    watch.add_argument("build", metavar="BUILD", nargs="?", help="its id; may be left out if only one is running")
    stop = commands.about_cache("stop", _stop, "BUILD", "end a build and its cluster")
    stop.add_argument("build", metavar="BUILD", help="its id")


def _build(args: argparse.Namespace) -> int:
    runner = runner_of(args)
    spec = runner.bundle_spec
    bundle, is_new = runner.build_bundle()
    print(f"bundle {spec.key}\npython {spec.python.key}")
    uri = runner.cache.bundles.archive_uri(layout.VENV, bundle.venv)
    print(f"{'built' if is_new else 'cached already: nothing was built'}, {uri}")
    return 0


def _watch(args: argparse.Namespace) -> int:
    context = context_of(args)
    build_id = args.build or watching.only_build(context.cache)
    ended = watching.ended_build(build_id, context.cache)
    if ended is None:
        status = watching.watch(build_id, context)
    else:
        status, text = ended
        sys.stdout.write(text.decode("utf-8", "replace"))
    sys.stdout.flush()
    print(f"Build {build_id}: {watching.outcome(status)}", file=sys.stderr)
    return 0 if status.state == "SUCCEEDED" else BuildError.exit_status


def _stop(args: argparse.Namespace) -> int:
    cluster_id = watching.stop(args.build, context_of(args))
    print(f"ending cluster {cluster_id} of build {args.build}; what it has published already stays in the cache")
    return 0
