"""What we know of Amazon EMR releases and EC2 instance types. Pure data and look-ups.

Sources: the Amazon EMR Release Guide (application versions and the Amazon Linux of each release), EC2's
naming of instance types, Spark's release notes and setup files for the newest Python of each Spark.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mrjob_pybundle.errors import OptionError

#: The release of a job that names none, in mrjob's *image_version* notation.
DEFAULT_IMAGE_VERSION = "7.14.0"

AMAZON_LINUX_2 = "amzn2"
AMAZON_LINUX_2023 = "amzn2023"

#: Oldest release on Amazon Linux 2 (before: Amazon Linux 1), and majors that have Hadoop.
_OLDEST = (5, 30)
_MAJORS = {5: AMAZON_LINUX_2, 6: AMAZON_LINUX_2, 7: AMAZON_LINUX_2023}

#: (release, newest Python that its Spark runs), oldest first. Spark 2.4, 3.0, 3.1, 3.2, 3.3, 3.4/3.5.
_NEWEST_PYTHON_FOR_SPARK = (
    ((5, 30), (3, 7)),
    ((6, 1), (3, 8)),
    ((6, 3), (3, 9)),
    ((6, 6), (3, 9)),
    ((6, 8), (3, 10)),
    ((6, 12), (3, 11)),
)

#: Amazon Linux 2 has SQLite 3.7.17, and CPython 3.13's sqlite3 needs 3.15.2.
_NEWEST_PYTHON_ON_AMAZON_LINUX_2 = (3, 12)

#: 16 vCPUs: compiling CPython, above all its profiling run, scales with cores.
_BUILD_INSTANCE_TYPES = {"x86_64": "c5.4xlarge", "aarch64": "c6g.4xlarge"}


@dataclass(frozen=True)
class Release:
    """An EMR release: its *label* (``emr-7.14.0``), number, and operating system family."""

    label: str
    number: tuple[int, ...]
    os_family: str

    @property
    def newest_python_for_spark(self) -> tuple[int, int]:
        """The newest CPython (major, minor) that this release's Spark can run."""
        known = [python for release, python in _NEWEST_PYTHON_FOR_SPARK if release <= self.number]
        return known[-1]


def release(label: str) -> Release:
    """Look up a release label.

    :raises OptionError: the release has no Hadoop, is older than Amazon Linux 2, or is not known.
    """
    if label.startswith("emr-spark-"):
        raise OptionError(
            f"EMR release {label} has no Hadoop, which mrjob needs."
            f" Use a 7.x release, for example --release-label emr-{DEFAULT_IMAGE_VERSION}."
        )
    match = re.fullmatch(r"emr-(\d+)\.(\d+)\.(\d+)", label)
    if match is None:
        raise OptionError(
            f"EMR release {label!r} is not known. A release label looks like emr-{DEFAULT_IMAGE_VERSION}."
        )
    number = tuple(int(part) for part in match.groups())
    if number < _OLDEST:
        raise OptionError(
            f"EMR release {label} is too old: bundles need Amazon Linux 2, which is in emr-5.30.0 and newer."
        )
    if number[0] not in _MAJORS:
        raise OptionError(
            f"EMR release {label} is not known to this version of mrjob-pybundle."
            f" Use a 7.x release, for example emr-{DEFAULT_IMAGE_VERSION}."
        )
    return Release(label, number, _MAJORS[number[0]])


def check_python(python_version: str, os_family: str) -> None:
    """Check that *python_version* can be compiled on *os_family*.

    :raises OptionError: it can't.
    """
    if os_family == AMAZON_LINUX_2 and minor_version(python_version) > _NEWEST_PYTHON_ON_AMAZON_LINUX_2:
        newest = ".".join(map(str, _NEWEST_PYTHON_ON_AMAZON_LINUX_2))
        raise OptionError(
            f"CPython {python_version} cannot be compiled on Amazon Linux 2 (EMR 5.x and 6.x): its SQLite"
            f" is too old. Use an EMR 7.x release, or pybundle_python_version {newest}.x or older."
        )


def check_python_for_spark(python_version: str, emr_release: Release) -> None:
    """Check that the Spark of *emr_release* runs *python_version*.

    :raises OptionError: it doesn't.
    """
    newest = emr_release.newest_python_for_spark
    if minor_version(python_version) > newest:
        text = ".".join(map(str, newest))
        raise OptionError(
            f"This job has a Spark step, and the Spark of {emr_release.label} runs at most Python {text},"
            f" not {python_version}. Set pybundle_python_version to a {text} release."
        )


def minor_version(python_version: str) -> tuple[int, int]:
    """``"3.13.5"`` → ``(3, 13)``."""
    major, minor = python_version.split(".")[:2]
    return int(major), int(minor)


def architecture(instance_type: str) -> str:
    """The CPU architecture, as ``uname -m`` gives it, of an EC2 instance type.

    Graviton types have a ``g`` after their generation's number (``m6g``, ``c7gn``, ``im4gn``); the first
    of them was ``a1``.
    """
    family = instance_type.split(".")[0]
    match = re.match(r"([a-z]+)(\d+)([a-z]*)", family)
    is_graviton = family == "a1" or (match is not None and "g" in match[3])
    return "aarch64" if is_graviton else "x86_64"


def common_architecture(instance_types: list[str]) -> str:
    """The architecture that all of *instance_types* have.

    :raises OptionError: they differ: one bundle cannot run on both.
    """
    by_architecture: dict[str, str] = {}
    for instance_type in instance_types:
        by_architecture.setdefault(architecture(instance_type), instance_type)
    if len(by_architecture) > 1:
        examples = " and ".join(f"{name} ({example})" for name, example in sorted(by_architecture.items()))
        raise OptionError(
            f"The job's instances mix CPU architectures: {examples}."
            " A bundle is compiled for one: choose instance types of one architecture."
        )
    return next(iter(by_architecture))


def build_instance_type(arch: str) -> str:
    """The default instance type of a build cluster's master for *arch*."""
    return _BUILD_INSTANCE_TYPES[arch]
