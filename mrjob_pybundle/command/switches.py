"""The switches of a job, which most commands take, and what they and mrjob.conf lead to: a context, or a runner."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection
from typing import Any

from mrjob.job import MRJob

from mrjob_pybundle.aws.errors import explained
from mrjob_pybundle.context import OPTION_NAMES, Context
from mrjob_pybundle.mrjob_plugin import add_runner_switches, combined_options, find_tmp_dir
from mrjob_pybundle.options import RUNNER_OPTS
from mrjob_pybundle.runner import PyBundleEMRJobRunner

#: What changes what a command about the cache does: these of a job's options its help shows. Any is taken.
_ABOUT_THE_CACHE = ("pybundle_cache_uri", "pybundle_bucket_owner", "conf_paths", "region", "quiet", "verbose")
#: Of our options, these are about jobs alone: what is at them when they run, and nothing of their bundles.
_OF_JOBS_ALONE = ("pybundle_fast_tasks", "pybundle_overlap", "pybundle_overlap_patience_seconds")
_ABOUT_A_JOB = (*(name for name in RUNNER_OPTS if name not in _OF_JOBS_ALONE), *_ABOUT_THE_CACHE)

#: mrjob's own words for these are longer, or not true here: errors are said with ``-q``, too.
_SHORTER = {
    "-c": ("another mrjob.conf to read", "FILE"),
    "--no-conf": ("read no mrjob.conf", None),
    "-q": ("say nothing but errors on stderr", None),
    "-v": ("say more, and tracebacks of errors", None),
    "--region": ("AWS region", None),
}

_EPILOG = (
    "All options of -r pybundle-emr are taken, as switches or from mrjob.conf; --help-all shows them. AWS's profile is"
    " the environment variable AWS_PROFILE, as for boto3."
)


class Commands:
    """The parsers of the commands that take a job's options; which only that of the command *called* has to know."""

    def __init__(self, parser: argparse.ArgumentParser, called: str | None) -> None:
        self._called = called
        self.subparsers: Any = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
        self._switches = argparse.ArgumentParser(add_help=False)
        add_runner_switches(self._switches.add_argument_group("options of a job"))
        for action in self._switches._actions:
            if action.option_strings[0] in _SHORTER:
                action.help, action.metavar = _SHORTER[action.option_strings[0]]
        self._switches.add_argument("--help-all", action=_HelpAll, nargs=0, help="show all options and exit")

    def about_job(self, name: str, run: Callable[[argparse.Namespace], int], usage: str, about: str) -> Any:
        """Add the command *name*, about a job and its bundle.

        *run* runs it (its arguments → exit status); *usage* is what follows its name, options last unless it says where
        they stand; the result takes its own options.
        """
        return self._add(name, run, usage, about, _ABOUT_A_JOB)

    def about_cache(self, name: str, run: Callable[[argparse.Namespace], int], usage: str, about: str) -> Any:
        """Add the command *name*, about what is in the cache, as :meth:`about_job` does."""
        return self._add(name, run, usage, about, _ABOUT_THE_CACHE)

    def _add(self, name: str, run: Any, usage: str, about: str, shown: Collection[str]) -> Any:
        hidden = {action.dest for action in self._switches._actions} - {*shown, "help_all"}
        command = self.subparsers.add_parser(
            name,
            help=about,
            description=f"{about[0].upper()}{about[1:]}.",
            usage=" ".join(filter(None, ("mrjob-pybundle", name, *_with_options(usage)))),
            epilog=_EPILOG,
            parents=[self._switches] if name == self._called else [],
            formatter_class=lambda prog: _ShortHelp(prog, hidden),
        )
        command.set_defaults(run=run)
        return command


_OPTIONS = "[OPTION…]"


def _with_options(usage: str) -> tuple[str, ...]:
    return (usage,) if _OPTIONS in usage else (usage, _OPTIONS)


class _ShortHelp(argparse.HelpFormatter):
    """Leaves out options, and of each other's text all but the first sentence."""

    def __init__(self, prog: str, hidden: Collection[str]) -> None:
        super().__init__(prog, max_help_position=34)
        self._hidden = hidden

    def add_argument(self, action: argparse.Action) -> None:
        if action.dest not in self._hidden:
            super().add_argument(action)

    def _expand_help(self, action: argparse.Action) -> str:
        return super()._expand_help(action).partition(". ")[0]


class _HelpAll(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        parser.formatter_class = argparse.HelpFormatter
        parser.print_help()
        parser.exit()


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
