"""The switches of a job, which most commands take, and what they and mrjob.conf lead to: a context, or a runner."""

from __future__ import annotations

import argparse
from typing import Any

from mrjob.job import MRJob

from mrjob_pybundle.aws.errors import explained
from mrjob_pybundle.context import OPTION_NAMES, Context
from mrjob_pybundle.mrjob_plugin import add_runner_switches, combined_options, find_tmp_dir
from mrjob_pybundle.runner import PyBundleEMRJobRunner

_ABOUT_OPTIONS = "options of the job: those of -r pybundle-emr, as switches, besides what is in mrjob.conf"


class Commands:
    """The parsers of the commands that take a job's options."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.subparsers: Any = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
        self._switches = argparse.ArgumentParser(add_help=False)
        add_runner_switches(self._switches.add_argument_group(_ABOUT_OPTIONS))

    def add(self, name: str, run: Any, usage: str, about: str) -> Any:
        """Add the command *name*, which *run* (its arguments → exit status) runs; the result takes its own options."""
        command = self.subparsers.add_parser(
            name,
            help=about,
            description=f"{about[0].upper()}{about[1:]}.",
            usage=" ".join(filter(None, ("mrjob-pybundle", name, usage, "[OPTION…]"))),
            parents=[self._switches],
        )
        command.set_defaults(run=run)
        return command


def context_of(args: argparse.Namespace) -> Context:
    """The context that a job with these switches would have. Whatever else they and mrjob.conf say may be wrong.

    :raises OptionError: an option that matters here can't work.
    :raises CacheError: the cache lies in mrjob's own bucket, and S3 did not say which that is.
    """
    MRJob.set_up_logging(quiet=args.quiet, verbose=args.verbose)
    opts = combined_options(OPTION_NAMES, vars(args), args.conf_paths)
    if not (opts["pybundle_cache_uri"] or opts["cloud_tmp_dir"]):
        with explained("looking for mrjob's bucket (ListBuckets, GetBucketLocation)"):
            opts["cloud_tmp_dir"] = find_tmp_dir(opts)
    return Context.of(opts)


def runner_of(args: argparse.Namespace, runner_class: Any = None) -> Any:
    """The runner that a job with these switches would have."""
    MRJob.set_up_logging(quiet=args.quiet, verbose=args.verbose)
    names = {*PyBundleEMRJobRunner.OPT_NAMES, "conf_paths"}
    opts = {name: value for name, value in vars(args).items() if name in names}
    return (runner_class or PyBundleEMRJobRunner)(**opts)
