"""Our options: how mrjob learns of them, and what they say once they are checked."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrjob.conf import combine_lists, combine_path_lists, combine_paths
from mrjob.util import expand_path

from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.bundle.configure_args import check_configure_args
from mrjob_pybundle.errors import OptionError

#: The runner's name, for ``-r`` and in conf files.
ALIAS = "pybundle-emr"

#: A 3.13 whose digest is known (see ``cpython_releases.py``).
DEFAULT_PYTHON_VERSION = "3.13.14"
DEFAULT_BUILD_TIMEOUT_MINUTES = 90
DEFAULT_OVERLAP_PATIENCE_SECONDS = 600

#: A sign of life goes through S3, and a program on the master looks for it.
_SHORTEST_PATIENCE_SECONDS = 10

#: Oldest CPython that build-binaries.sh compiles, besides 2.7.
_OLDEST_PYTHON_3 = (3, 7)


def _switch(name: str, text: str, **kwargs: Any) -> tuple[list[str], dict[str, Any]]:
    """The first sentence of *text* is what the command's short help has."""
    return [name], {"help": text, **kwargs}


#: Added to mrjob's table of options (``mrjob.options._RUNNER_OPTS``): name → combiner and switches.
RUNNER_OPTS: dict[str, dict[str, Any]] = {
    "pybundle_cache_uri": {
        "cloud_role": "launch",
        "combiner": combine_paths,
        "switches": [
            _switch(
                "--pybundle-cache-uri",
                "S3 URI of the team's cache of bundles. Default: pybundle/ in the bucket of cloud_tmp_dir",
                metavar="URI",
            )
        ],
    },
    "pybundle_venv_build": {
        "cloud_role": "launch",
        "combiner": combine_paths,
        "switches": [
            _switch(
                "--pybundle-venv-build",
                "Script that fills the virtual environment. Mostly by pip install. Default: Python and mrjob",
                metavar="FILE",
            )
        ],
    },
    "pybundle_build_files": {
        "cloud_role": "launch",
        "combiner": combine_path_lists,
        "switches": [
            _switch(
                "--pybundle-build-file",
                "File or directory beside venv-build.sh. Can be repeated",
                metavar="PATH",
                action="append",
            )
        ],
    },
    "pybundle_python_version": {
        "cloud_role": "launch",
        "switches": [
            _switch(
                "--pybundle-python-version",
                f"CPython version, for example 3.11.15. Default: {DEFAULT_PYTHON_VERSION}",
                metavar="X.Y.Z",
            )
        ],
    },
    "pybundle_python_source": {
        "cloud_role": "launch",
        "combiner": combine_paths,
        "switches": [
            _switch(
                "--pybundle-python-source",
                "CPython's source tarball. A path, an s3:// or an https:// URI. Default: python.org's of that version",
                metavar="URI",
            )
        ],
    },
    "pybundle_python_sha256": {
        "cloud_role": "launch",
        "switches": [_switch("--pybundle-python-sha256", "sha256 that the source tarball must have", metavar="HEX")],
    },
    "pybundle_configure_args": {
        "cloud_role": "launch",
        "combiner": combine_lists,
        "switches": [
            _switch(
                "--pybundle-configure-arg",
                "Further argument of CPython's ./configure. Like --pybundle-configure-arg=--with-x. Can be repeated",
                action="append",
                metavar="ARG",
            )
        ],
    },
    "pybundle_optimize": {
        "cloud_role": "launch",
        "switches": [
            _switch(
                "--pybundle-optimize",
                "Compile Python with PGO and LTO (the default). Profile-guided and link-time optimization",
                action="store_true",
            ),
            _switch("--no-pybundle-optimize", "Compile Python faster; it then runs slower", action="store_false"),
        ],
    },
    "pybundle_build_instance_type": {
        "cloud_role": "launch",
        "switches": [
            _switch(
                "--pybundle-build-instance-type",
                "Instance type of build clusters. Default: one with 16 vCPUs of the job's architecture",
                metavar="TYPE",
            )
        ],
    },
    "pybundle_build_iam_instance_profile": {
        "cloud_role": "launch",
        "switches": [
            _switch(
                "--pybundle-build-iam-instance-profile",
                "EC2 instance profile of build clusters. Default: the job's (iam_instance_profile)",
                metavar="NAME",
            )
        ],
    },
    "pybundle_build_bootstrap_actions": {
        "cloud_role": "launch",
        "combiner": combine_lists,
        "switches": [
            _switch(
                "--pybundle-build-bootstrap-action",
                "Script, and its arguments, that build clusters run first. As for --bootstrap-action. Can be repeated",
                action="append",
                metavar="ACTION",
            )
        ],
    },
    "pybundle_build_timeout_minutes": {
        "cloud_role": "launch",
        "switches": [
            _switch(
                "--pybundle-build-timeout-minutes",
                f"A build may take this long. Default: {DEFAULT_BUILD_TIMEOUT_MINUTES}",
                type=int,
                metavar="N",
            )
        ],
    },
    "pybundle_rebuild": {
        "cloud_role": "launch",
        "switches": [
            _switch(
                "--pybundle-rebuild",
                "Build although it is cached, and publish it",
                action="store_true",
            )
        ],
    },
    "pybundle_overlap": {
        "cloud_role": "launch",
        "switches": [
            _switch(
                "--pybundle-overlap",
                "Start the job's cluster while its bundle is still being built."
                " Default: for jobs of at most 10 instances, unless the latest build has failed",
                action="store_true",
            ),
            _switch("--no-pybundle-overlap", "Start the job's cluster when its bundle is there", action="store_false"),
        ],
    },
    "pybundle_overlap_patience_seconds": {
        "cloud_role": "launch",
        "switches": [
            _switch(
                "--pybundle-overlap-patience-seconds",
                "A cluster that waits for its job's bundle ends when it has had no sign of life of the submitter for so"
                f" long. Default: {DEFAULT_OVERLAP_PATIENCE_SECONDS}",
                type=float,
                metavar="N",
            )
        ],
    },
    "pybundle_fast_tasks": {
        "switches": [
            _switch(
                "--pybundle-fast-tasks",
                "Tasks start and work faster than mrjob's own, with the same bytes (the default)",
                action="store_true",
            ),
            _switch("--no-pybundle-fast-tasks", "Tasks start, read and write as mrjob's own do", action="store_false"),
        ],
    },
    "pybundle_bucket_owner": {
        "cloud_role": "launch",
        "switches": [_switch("--pybundle-bucket-owner", "AWS account that must own the cache's bucket", metavar="ID")],
    },
}

#: The environment variable by which tasks learn of pybundle_fast_tasks. Known to ``nodes/mrjob_pybundle_imports.py``.
FAST_TASKS_VARIABLE = "MRJOB_PYBUNDLE_FAST_TASKS"

DEFAULTS: dict[str, Any] = {
    "pybundle_python_version": DEFAULT_PYTHON_VERSION,
    "pybundle_optimize": True,
    "pybundle_build_timeout_minutes": DEFAULT_BUILD_TIMEOUT_MINUTES,
    "pybundle_rebuild": False,
    "pybundle_overlap_patience_seconds": DEFAULT_OVERLAP_PATIENCE_SECONDS,
    "pybundle_fast_tasks": True,
}


#: EMR runs at most 16 bootstrap actions (EMR Management Guide, "Create bootstrap actions").
MAX_BOOTSTRAP_ACTIONS = 16


@dataclass(frozen=True)
class BootstrapAction:
    """What a build cluster runs before the build: a file of the submitter's, or what is at a URI, and its arguments."""

    program: Path | str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Options:
    """Our options, checked. Paths exist; ``None`` means the default that only the runner can know."""

    cache_uri: S3Uri | None
    venv_build: Path | None
    build_files: tuple[Path, ...]
    python_version: str
    python_source: str | None
    python_sha256: str | None
    configure_args: tuple[str, ...]
    optimize: bool
    build_instance_type: str | None
    build_iam_instance_profile: str | None
    build_bootstrap_actions: tuple[BootstrapAction, ...]
    build_timeout_minutes: int
    rebuild: bool
    #: ``None``: as it seems worth it
    overlap: bool | None
    overlap_patience_seconds: float
    fast_tasks: bool
    bucket_owner: str | None


def from_mrjob(opts: Mapping[str, Any]) -> Options:
    """Check mrjob's combined options and pick ours.

    :raises OptionError: an option's value can't work; the message names the option.
    """
    sha256 = opts["pybundle_python_sha256"]
    python_version = _python_version(opts["pybundle_python_version"])
    return Options(
        cache_uri=cache_uri(opts) if opts["pybundle_cache_uri"] else None,
        venv_build=_existing_file("pybundle_venv_build", opts["pybundle_venv_build"]),
        build_files=tuple(_existing_path("pybundle_build_files", path) for path in opts["pybundle_build_files"] or ()),
        python_version=python_version,
        python_source=_python_source(opts["pybundle_python_source"]),
        python_sha256=_matching(
            "pybundle_python_sha256",
            r"[0-9a-f]{64}",
            "64 hexadecimal digits",
            sha256.lower() if isinstance(sha256, str) else sha256,
        ),
        configure_args=_configure_args(opts["pybundle_configure_args"], python_version),
        optimize=_boolean("pybundle_optimize", opts["pybundle_optimize"]),
        build_instance_type=opts["pybundle_build_instance_type"] or None,
        build_iam_instance_profile=opts["pybundle_build_iam_instance_profile"] or None,
        build_bootstrap_actions=_bootstrap_actions(opts["pybundle_build_bootstrap_actions"] or ()),
        build_timeout_minutes=_minutes("pybundle_build_timeout_minutes", opts["pybundle_build_timeout_minutes"]),
        rebuild=_boolean("pybundle_rebuild", opts["pybundle_rebuild"]),
        overlap=None if opts["pybundle_overlap"] is None else _boolean("pybundle_overlap", opts["pybundle_overlap"]),
        overlap_patience_seconds=_patience(opts),
        fast_tasks=_boolean("pybundle_fast_tasks", opts["pybundle_fast_tasks"]),
        bucket_owner=bucket_owner(opts),
    )


#: A key of S3 has at most 1,024 bytes, and archives are what lies deepest below the cache's own address.
_LONGEST_CACHE_PREFIX = 1024 - len(f"/v1/venv/{64 * 'f'}/{64 * 'f'}.tar.gz")


def cache_uri(opts: Mapping[str, Any]) -> S3Uri:
    """Where the cache is. Without pybundle_cache_uri in the bucket of cloud_tmp_dir.

    :raises OptionError: that is no S3 URI, or none that clusters can use.
    """
    if not opts["pybundle_cache_uri"]:
        return S3Uri(tmp_dir(opts).bucket, "pybundle")
    uri = S3Uri.parse_shared("pybundle_cache_uri", opts["pybundle_cache_uri"])
    if len(uri.key.encode("utf-8")) > _LONGEST_CACHE_PREFIX:
        raise OptionError(f"pybundle_cache_uri: {uri} is too long: S3's keys have at most 1,024 bytes")
    return uri


def tmp_dir(opts: Mapping[str, Any]) -> S3Uri:
    """mrjob's cloud_tmp_dir.

    :raises OptionError: that is no S3 URI, or none that clusters and mrjob can use.
    """
    uri = opts["cloud_tmp_dir"]
    parsed = S3Uri.parse_shared("cloud_tmp_dir", uri)
    if re.search(r"[?#\t\r\n]", parsed.key):
        raise OptionError(f"cloud_tmp_dir: {uri!r} has a character (? or #, a tab or a line end) that mrjob cuts it at")
    return parsed


def bucket_owner(opts: Mapping[str, Any]) -> str | None:
    """The AWS account that must own the cache's bucket, ``None``: any.

    :raises OptionError: that is no account id.
    """
    return _matching(
        "pybundle_bucket_owner",
        r"\d{12}",
        "an AWS account id of 12 digits (in quotes, in a conf file)",
        opts["pybundle_bucket_owner"],
    )


def seconds(option: str, value: object) -> float:
    """A number of seconds, from an option of mrjob's, which checks it only if it is a switch.

    :raises OptionError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise OptionError(f"{option}: {value!r} is not a number of seconds")
    return float(value)


def _patience(opts: Mapping[str, Any]) -> float:
    option = "pybundle_overlap_patience_seconds"
    patience = seconds(option, opts[option])
    if patience < _SHORTEST_PATIENCE_SECONDS:
        raise OptionError(f"{option}: {patience:g} is too short: at least {_SHORTEST_PATIENCE_SECONDS}")
    return patience


def _existing_path(option: str, value: str) -> Path:
    # Read when the job is run, when the program that makes it may be in another directory.
    path = Path(value).absolute()
    if not path.exists():
        raise OptionError(f"{option}: there is no {value}")
    return path


def _existing_file(option: str, value: str | None) -> Path | None:
    if not value:
        return None
    path = _existing_path(option, value)
    if not path.is_file():
        raise OptionError(f"{option}: {value} is not a file")
    return path


def _python_version(value: object) -> str:
    match = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)((?:a|b|rc)\d+)?", str(value))
    if match is None:
        raise OptionError(
            f"pybundle_python_version: {value!r} is not a full CPython version such as {DEFAULT_PYTHON_VERSION}"
            " (in quotes, in a conf file)"
        )
    minor = int(match[1]), int(match[2])
    if minor != (2, 7) and minor < _OLDEST_PYTHON_3:
        raise OptionError(
            f"pybundle_python_version: bundles can be made of CPython 2.7 and of 3.7 and newer, not of {value}"
        )
    return str(value)


def _python_source(value: str | None) -> str | None:
    if not value:
        return None
    if value.startswith("s3://"):
        S3Uri.parse(value)
    elif "://" not in value:
        return str(_existing_file("pybundle_python_source", value))
    elif not value.startswith("https://"):
        raise OptionError(f"pybundle_python_source: {value} is neither a path nor an s3:// or https:// URI")
    return value


def _configure_args(values: list[str] | None, python_version: str) -> tuple[str, ...]:
    for value in values or ():
        if not isinstance(value, str):
            raise OptionError(f"pybundle_configure_args: {value!r} is not a string")
    check_configure_args(values or (), python_version)
    return tuple(values or ())


def _bootstrap_actions(actions: Sequence[str]) -> tuple[BootstrapAction, ...]:
    option = "pybundle_build_bootstrap_actions"
    if len(actions) > MAX_BOOTSTRAP_ACTIONS:
        raise OptionError(f"{option}: EMR runs at most {MAX_BOOTSTRAP_ACTIONS} bootstrap actions, not {len(actions)}")
    return tuple(_bootstrap_action(option, *shlex.split(action)) for action in actions)


def _bootstrap_action(option: str, program: str, *arguments: str) -> BootstrapAction:
    file = None if "://" in program else _existing_file(option, expand_path(program))
    return BootstrapAction(file or program, arguments)


def _boolean(option: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise OptionError(f"{option}: {value!r} is neither true nor false")
    return value


def _minutes(option: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise OptionError(f"{option}: {value!r} is not a number of minutes")
    return value


def _matching(option: str, pattern: str, description: str, value: str | None) -> str | None:
    if not value:
        return None
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise OptionError(f"{option}: {value!r} is not {description}")
    return value
