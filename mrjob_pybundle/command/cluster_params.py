"""``cluster-params``: what a cluster needs to have a job's bundle, for those who start clusters without mrjob."""

from __future__ import annotations

import argparse
import json
import logging
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mrjob_pybundle.aws.emr import Place
from mrjob_pybundle.bundle.spec import Bundle
from mrjob_pybundle.command.switches import Commands, runner_of
from mrjob_pybundle.context import Context
from mrjob_pybundle.errors import CacheError
from mrjob_pybundle.job.spark import configurations_of_cluster
from mrjob_pybundle.nodes.bootstrap import NodePaths, bootstrap_arguments, bootstrap_script, bootstrap_script_name

log = logging.getLogger("mrjob.pybundle")

_ACTION_NAME = "mrjob-pybundle"


@dataclass(frozen=True)
class Params:
    """What a cluster needs to have a bundle."""

    #: of the bootstrap action
    path: str
    args: tuple[str, ...]
    #: EMR's ``Configurations``
    configurations: tuple[Mapping[str, Any], ...]
    #: takes what ``python`` takes, on every node
    jobrunner: str


def add(commands: Commands) -> None:
    """Add the command."""
    command = commands.about_job(
        "cluster-params",
        _cluster_params,
        "[--format FORMAT] [--no-spark]",
        "print what a cluster that another program starts needs to have a job's bundle; pins it in the cache",
    )
    command.add_argument(
        "--format",
        choices=sorted(FORMATS),
        default="boto3",
        help="for whom: boto3's run_job_flow (the default), Airflow's job_flow_overrides, the AWS CLI, or Terraform",
    )
    command.add_argument("--no-spark", action="store_true", help="leave Spark on the Python that EMR gives it")


def _cluster_params(args: argparse.Namespace) -> int:
    runner = runner_of(args)
    if not args.no_spark:
        runner.check_spark("Spark is to run on the bundle (--no-spark leaves it alone)")
    bundle, _ = runner.build_bundle()
    params = _pin(bundle, runner.context, with_spark=not args.no_spark)
    made_for = runner.bundle_spec.python
    log.info(
        "For clusters of %s on %s instances. Their Python: %s", made_for.os_family, made_for.arch, params.jobrunner
    )
    log.info("It stays in %s until: mrjob-pybundle unpin %s", runner.cache.root, bundle.venv.key[:12])
    print(FORMATS[args.format](params))
    return 0


def _pin(bundle: Bundle, context: Context, *, with_spark: bool) -> Params:
    """Have the bundle stay, its bootstrap script beside it."""
    cache, jobrunner, script = context.cache, NodePaths(bundle.id).jobrunner, bootstrap_script(bundle)
    path = cache.pins.put(bundle, bootstrap_script_name(script), script, context.owner)
    _note_use(bundle, context)
    return Params(
        path=str(path),
        args=tuple(bootstrap_arguments(bundle, cache, context.region_of(cache.root.bucket))),
        configurations=tuple(configurations_of_cluster(jobrunner)) if with_spark else (),
        jobrunner=jobrunner,
    )


def _note_use(bundle: Bundle, context: Context) -> None:
    """Note where clusters will be: once the bundle is unpinned, gc asks there what they need."""
    try:
        noted = context.cache.bundles.note_use(
            bundle.venv.key, context.owner, Place(context.emr.region, context.account())
        )
        why = "" if noted else "no permission to write there"
    except CacheError as error:
        why = str(error)
    if why:
        log.warning("could not note where this bundle is used: %s. Unpin it only when none of its clusters lives", why)


# formats


def _boto3(params: Params) -> str:
    """Keys of RunJobFlow's request."""
    action = {
        "Name": _ACTION_NAME,
        "ScriptBootstrapAction": {"Path": params.path, "Args": list(params.args)},
    }
    return _json({"BootstrapActions": [action], "Configurations": list(params.configurations)})


def _airflow(params: Params) -> str:
    """The same, which goes through Jinja there: ``job_flow_overrides`` is a template field."""
    return _boto3(params).replace("{{", "{{ '{{' }}").replace("{%", "{{ '{%' }}").replace("{#", "{{ '{#' }}")


def _cli(params: Params) -> str:
    """Assignments for a shell: values of ``aws emr create-cluster``'s options."""
    values = {
        "PYBUNDLE_BOOTSTRAP_ACTIONS": json.dumps(
            [{"Name": _ACTION_NAME, "Path": params.path, "Args": list(params.args)}]
        ),
        "PYBUNDLE_CONFIGURATIONS": json.dumps(list(params.configurations)),
        "PYBUNDLE_JOBRUNNER": params.jobrunner,
    }
    return "\n".join(f"{name}={shlex.quote(value)}" for name, value in values.items())


def _terraform(params: Params) -> str:
    """A file of ``locals``, in whose texts ``${`` and ``%{`` would begin a template."""
    local = {
        "pybundle_bootstrap_actions": [{"name": _ACTION_NAME, "path": params.path, "args": list(params.args)}],
        "pybundle_configurations": list(params.configurations),
        "pybundle_jobrunner": params.jobrunner,
    }
    return re.sub(r"[$%](?=\{)", r"\g<0>\g<0>", _json({"locals": local}))


FORMATS: Mapping[str, Callable[[Params], str]] = {
    "boto3": _boto3,
    "airflow": _airflow,
    "cli": _cli,
    "terraform": _terraform,
}


def _json(value: object) -> str:
    return json.dumps(value, indent=2)
