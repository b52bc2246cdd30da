"""The run's own mrjob.conf: includes the user's, for account, region, network and roles, and says all else itself."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.errors import OptionError
from mrjob_pybundle.selftest.doors import PROGRAMS, Conf
from mrjob_pybundle.selftest.names import TAG, Names

#: Besides what a context is made of.
OPTION_NAMES = (
    "cloud_tmp_dir",
    "region",
    "image_id",
    "release_label",
    "image_version",
    "iam_instance_profile",
    "iam_service_role",
    "pybundle_build_iam_instance_profile",
    "extra_cluster_params",
    "iam_endpoint",
    "ec2_key_pair",
    "subnet",
    "pybundle_python_version",
)

#: Of jobs, and of builds that compile nothing.
INSTANCE_TYPE = "m5.xlarge"
#: Its machine ends such a build then.
BUILD_TIMEOUT_MINUTES = 10

#: Where mrjob would create something if nothing is said: what is missing is to be said in the conf.
_MUST_BE_SAID = ("cloud_tmp_dir", "iam_instance_profile", "iam_service_role")

#: With these, clusters would not have the run's names, or not end by themselves.
_NOT_WITH = ("Name", "Steps", "Instances.KeepJobFlowAliveWhenNoSteps", "Instances.TerminationProtected")
_MACHINES = ("Instances.InstanceGroups", "Instances.InstanceFleets", "Instances.InstanceCount")
_MACHINES_OF_OLD = ("Instances.MasterInstanceType", "Instances.SlaveInstanceType", "ManagedScalingPolicy")

#: What the user's conf says of these is about their jobs and their bundles. (``!clear`` is mrjob's tag for that.)
_LISTS = (
    *("setup", "py_files", "upload_files", "upload_dirs", "upload_archives", "libjars", "spark_args"),
    *("hadoop_extra_args", "applications", "emr_configurations", "pybundle_build_files"),
)
_DICTS = ("jobconf", "cmdenv")
_VALUES = (
    *("cluster_id", "instance_type", "instance_fleets", "instance_groups", "docker_image", "master_instance_bid_price"),
    *("core_instance_bid_price", "python_bin", "task_python_bin", "hadoop_streaming_jar", "pybundle_venv_build"),
    *("pybundle_bucket_owner", "pybundle_overlap"),
)
_OF_THEIR_JOBS: Mapping[str, Any] = {
    **{name: [] for name in _LISTS},
    **{name: {} for name in _DICTS},
    **dict.fromkeys(_VALUES),
    "num_task_instances": 0,
    "max_concurrent_steps": 1,
    "pybundle_rebuild": False,
}
_OF_THEIR_CREDENTIALS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
_OF_THEIR_PYTHON = ("pybundle_python_source", "pybundle_python_sha256", "pybundle_configure_args", "image_id")


def check(opts: Mapping[str, Any]) -> None:
    """Refuse a conf with which the run would create what it does not remove, or launch what it would not find again.

    :raises OptionError: so it is; the message names the options.
    """
    missing = [name for name in _MUST_BE_SAID if not opts[name]]
    if missing:
        raise OptionError(
            f"Your mrjob.conf must name {', '.join(missing)} (below emr: or pybundle-emr:): the selftest uses what is"
            " there, and mrjob would create what is not named."
        )
    S3Uri.parse_shared("cloud_tmp_dir", opts["cloud_tmp_dir"])
    if not opts["region"]:
        raise OptionError("Your mrjob.conf must name the region (below emr: or pybundle-emr:).")
    if isinstance(opts["subnet"], list):
        raise OptionError("The selftest's clusters have one subnet: give it a conf that names one, with -c.")
    if str(opts["pybundle_python_version"]).startswith("2."):
        raise OptionError(
            "The selftest's jobs need Python 3: give it a conf with another pybundle_python_version, with -c."
        )
    extra = _flat(opts["extra_cluster_params"] or {})
    found = [name for name in (*_NOT_WITH, *_MACHINES, *_MACHINES_OF_OLD) if name in extra]
    if found:
        raise OptionError(
            f"extra_cluster_params in your mrjob.conf says {', '.join(found)}, on which names, prices and ends of the"
            " selftest's clusters depend. Give it a conf without, with -c."
        )


def _flat(params: Mapping[str, Any]) -> set[str]:
    """Names of parameters, also of those one level below: ``Instances.Placement``."""
    below = {f"{name}.{inner}" for name, value in params.items() if isinstance(value, Mapping) for inner in value}
    return {*params, *below}


def write(names: Names, user_confs: Sequence[str], directory: Path) -> Conf:
    """Write the run's conf files into *directory*."""
    own, other_python, as_role = (directory / f"{name}.conf" for name in ("mrjob", "other-python", "as-role"))
    # mrjob takes paths out of setup commands, and knows backslashes there, but no quotes.
    probe = re.sub(r"([^\w@%+,./-])", r"\\\1", str(PROGRAMS / "probe.sh"))
    said = {
        "owner": "selftest",
        "cloud_tmp_dir": f"{names.directory}/tmp/",
        "cloud_log_dir": f"{names.directory}/logs/",
        "pybundle_cache_uri": f"{names.cache}/",
        "cleanup": ["LOCAL_TMP"],
        "master_instance_type": INSTANCE_TYPE,
        "core_instance_type": INSTANCE_TYPE,
        "num_core_instances": 1,
        "pool_clusters": False,
        "pybundle_optimize": False,
        "pybundle_build_instance_type": INSTANCE_TYPE,
        "pybundle_build_timeout_minutes": BUILD_TIMEOUT_MINUTES,
        "bootstrap": [f"sh {probe}# >{bootstrap_facts(names)} || true"],
        **_OF_THEIR_JOBS,
    }
    own.write_text(_conf(user_confs, said, {TAG: names.id}), "utf-8")
    other_python.write_text(_conf([str(own)], dict.fromkeys(_OF_THEIR_PYTHON)), "utf-8")
    as_role.write_text(_conf([str(own)], dict.fromkeys(_OF_THEIR_CREDENTIALS)), "utf-8")
    return Conf(own, other_python, as_role)


def bootstrap_facts(names: Names) -> str:
    """Where a node keeps what the probe has seen in its bootstrap action, for a task to read."""
    return f"/tmp/mrjob-pybundle-{names.label}.facts"


def _conf(included: Sequence[str], said: Mapping[str, Any], tags: Mapping[str, str] | None = None) -> str:
    """An mrjob.conf in which nothing that the *included* ones say of the same is left. (JSON is YAML, too.)"""
    lines = [f"include: {json.dumps(list(included))}", "runners:", "  pybundle-emr:"]
    lines += [f"    {name}: !clear {json.dumps(value)}" for name, value in said.items()]
    lines += [f"    tags: {json.dumps(dict(tags))}"] if tags else []  # beside those of the user's
    return "\n".join(lines) + "\n"
