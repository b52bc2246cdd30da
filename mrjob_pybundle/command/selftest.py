"""``selftest``: see whether mrjob-pybundle works on one's own AWS account."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mrjob.conf import find_mrjob_conf
from mrjob.job import MRJob

from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.cache.builds import is_build_id
from mrjob_pybundle.command.switches import Commands
from mrjob_pybundle.context import OPTION_NAMES, Context
from mrjob_pybundle.errors import OptionError
from mrjob_pybundle.mrjob_plugin import combined_options
from mrjob_pybundle.selftest import conf, plan, report
from mrjob_pybundle.selftest.cases import CASES, Case
from mrjob_pybundle.selftest.cleaning import Aws, clean, runs_in, who_began
from mrjob_pybundle.selftest.names import Names
from mrjob_pybundle.selftest.person import user_name, who_i_am
from mrjob_pybundle.selftest.roles import Roles
from mrjob_pybundle.selftest.run import Run
from mrjob_pybundle.selftest.run_lock import locked
from mrjob_pybundle.selftest.scrub import NOBODY, scrubber

log = logging.getLogger("mrjob.pybundle")


def _when(case: Case) -> str:
    if case.makes_roles:
        return " (only with --iam)"
    return "" if case.is_core else " (only by name, or with --all)"


_CASES = "\n".join(f"  {case.name:<16}{case.shows}{_when(case)}" for case in CASES)


def add(commands: Commands) -> None:
    """Add the command."""
    command = commands.subparsers.add_parser(
        "selftest",
        help="see whether it works on your AWS account: says what it will do, and cost, before it asks",
        description="Run jobs and builds on the account and region of your profile and mrjob.conf, and report what\n"
        "was seen. First it says what it will do, create, remove, and cost at most, and asks.",
        epilog=f"cases:\n{_CASES}\n\ndocs/selftest.md says more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("cases", metavar="CASE", nargs="*", help="only these cases, and those that they need")
    command.add_argument("-c", "--conf-path", action="append", metavar="FILE", help="another mrjob.conf to read")
    command.add_argument("--all", action="store_true", help="all cases, not only the core")
    command.add_argument(
        "--iam",
        action="store_true",
        help="also the policies of docs/security.md, in IAM roles that it makes and removes",
    )
    command.add_argument(
        "--anyway", action="store_true", help="where AWS is a sandbox: try also what it may not be able to do"
    )
    command.add_argument("--yes", action="store_true", help="do not ask")
    command.add_argument("--dry-run", action="store_true", help="only say what would be done")
    command.add_argument(
        "--dir", type=Path, metavar="DIR", help="for report and logs (default: mrjob-pybundle-selftest-RUN)"
    )
    command.add_argument(
        "--clean", metavar="RUN", nargs="?", const="", help="remove what is left of a run that did not get to its end"
    )
    command.add_argument("--run-id", type=_run_id, metavar="RUN", help=argparse.SUPPRESS)  # tests prepare a cache
    command.set_defaults(run=_selftest)


def _run_id(text: str) -> str:
    if not is_build_id(text):
        raise argparse.ArgumentTypeError(f"not a run's id, such as 20261122-101112-0a1b2c3d: {text}")
    return text


def _selftest(args: argparse.Namespace) -> int:
    MRJob.set_up_logging()
    user_confs = [str(Path(path).resolve()) for path in args.conf_path or filter(None, [find_mrjob_conf()])]
    opts = combined_options({*OPTION_NAMES, *conf.OPTION_NAMES}, {}, user_confs)
    conf.check(opts)
    context = Context.of(opts)
    base = S3Uri.parse(opts["cloud_tmp_dir"])
    iam = context.credentials.client("iam", opts["iam_endpoint"])
    aws = Aws(context.s3, context.credentials.emr_client(), iam, context.emr_poll_seconds)
    if args.clean is not None:
        return _clean(args.clean, base, aws)
    account = context.account()  # without credentials, nothing else is said
    names = Names(args.run_id, base) if args.run_id else Names.new(base)
    runs_in(names, aws)  # no question, and no launch, where the bucket is wrong
    planned = _plan(args, names, context, opts)
    print(planned.text(), flush=True)
    if args.dry_run or not (args.yes or _is_agreed()):
        return 0
    directory = _make_directory((args.dir or Path(f"mrjob-pybundle-selftest-{names.id}")).absolute())
    _say(f"\nWhat each command says, as it comes: {directory}/CASE-NUMBER.err and .out")
    scrub = _scrubber(account, context, opts)
    roles = Roles(names, iam, context.credentials.client("sts"), opts["region"], opts["iam_service_role"])
    with locked(names.id) as lock:
        results = Run(planned, aws, directory, lock, roles, _say).carry_out(user_confs)
    (directory / "report.md").write_text(report.as_markdown(results, scrub), "utf-8")
    (directory / "report.json").write_text(report.as_json(results, scrub), "utf-8")
    print(f"The report, without names of yours: {directory}/report.md and .json; logs, with them, lie beside it.")
    return results.status


def _make_directory(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
        (path / "report.md").touch()
    except OSError as error:
        raise OptionError(f"Cannot write to {path}: {error.strerror}. Name another place with --dir.") from error
    return path


def _plan(args: argparse.Namespace, names: Names, context: Context, opts: Mapping[str, Any]) -> plan.Plan:
    cases = plan.choose(args.cases, everything=args.all, with_roles=args.iam)
    endpoint = urlsplit(context.credentials.emr_client().meta.endpoint_url)
    stand_in = None if _is_of_aws(endpoint.hostname or "") else endpoint.netloc
    done = [case for case in cases if args.anyway or not (stand_in and case.only_on_aws)]
    offered = plan.look_at_instance_types(context.credentials, opts["region"], done)
    quota, at_once = plan.look_at_quota(context.credentials, done)
    return plan.Plan(names, opts["region"], cases, stand_in, at_once, quota, offered, args.anyway)


def _is_of_aws(host: str) -> bool:
    return host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".api.aws"))


def _is_agreed() -> bool:
    if not sys.stdin.isatty():
        raise OptionError("Nobody can be asked: stdin is no terminal. --yes says yes, --dry-run only shows this.")
    try:
        return input("Go on? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:  # Ctrl-D
        return False


def _say(text: str) -> None:
    print(text, flush=True)


def _clean(run_id: str, base: S3Uri, aws: Aws) -> int:
    """Remove what is left of a run, or of the only one that there is."""
    if not run_id:
        found = runs_in(Names("", base), aws)
        if len(found) > 1:
            raise OptionError(
                f"There are several runs below {base}: say which: --clean {found[0]} (or {', '.join(found[1:])})"
            )
        if not found:
            _say(f"nothing of any run is left below {base}/")
            return 0
        run_id = found[0]
        begun_by = who_began(Names(run_id, base), aws)
        if begun_by != who_i_am():
            raise OptionError(
                f"The only run below {base} is {run_id}, which {begun_by} has begun. If it is not going on any more:"
                f" --clean {run_id}"
            )
    if not is_build_id(run_id):
        raise OptionError(f"{run_id} is not a run's id, such as 20261122-101112-0a1b2c3d.")
    with locked(run_id):
        if not clean(Names(run_id, base), aws, _say):
            _say(f"nothing of run {run_id} is left")
    return 0


def _scrubber(account: str, context: Context, opts: Mapping[str, Any]) -> Callable[[str], str]:
    """Takes out what names this account, its people and its things, as far as options tell."""
    buckets = {S3Uri.parse(opts[name]).bucket for name in ("cloud_tmp_dir", "pybundle_cache_uri") if opts[name]}
    subnets = opts["subnet"] if isinstance(opts["subnet"], list) else [opts["subnet"]]
    roles = ("iam_instance_profile", "iam_service_role", "pybundle_build_iam_instance_profile")
    things = {
        "account": [account],
        "bucket": buckets,
        "key": [opts["ec2_key_pair"]],
        "subnet": subnets,
        # Some are told of without their path.
        "role": [name for option in roles for name in (opts[option], (opts[option] or "").rpartition("/")[2])],
        "endpoint": [context.credentials.emr_client().meta.endpoint_url],
    }
    users = {user_name(), opts["owner"]} - NOBODY - {None}
    words = {"user": users, "home": [os.environ.get("HOME")] if users else []}
    return scrubber({kind: [str(text) for text in texts if text] for kind, texts in things.items()}, words)
