"""What we know of Amazon EMR releases and EC2 instance types. Pure data and look-ups.

This is the one place for it. build-binaries.sh, which looks at the machine that it is on, has package names of its own;
tests hold the two together, and ``docs/emr.md`` too.

Sources: the Amazon EMR Release Guide ("Application versions in Amazon EMR 6.x releases", "Spark release history"), the
EMR Serverless User Guide (Spark of 6.8 to 7.8), the release notes of 7.14.0 and emr-spark-8.0.0, EC2's naming of
instance types, Spark's documentation and issues. Where a comment says "believed", we have read no document.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mrjob_pybundle.errors import OptionError

#: The release of a job that names none, in mrjob's *image_version* notation.
DEFAULT_IMAGE_VERSION = "7.14.0"

#: A version of Python: (major, minor).
MinorVersion = tuple[int, int]


@dataclass(frozen=True)
class OsFamily:
    """An operating system whose releases can share bundles.

    Its *name* stands in keys; *package_manager* and *openssl_devel* (the package that CPython's ssl is compiled
    against) are what build-binaries.sh uses on it. No compiler flag differs between families.
    """

    name: str
    title: str
    package_manager: str
    openssl_devel: str
    #: The newest Python that can be compiled there, if there is a limit.
    newest_python: MinorVersion | None
    #: The release of glibc that its first release came with. Later ones may have symbols of newer ones.
    oldest_glibc: str


AMAZON_LINUX_2 = OsFamily(
    "amzn2",
    "Amazon Linux 2",
    "yum",
    # Plain OpenSSL is 1.0.2; CPython 3.10+ needs 1.1.1 (PEP 644).
    openssl_devel="openssl11-devel",
    # CPython 3.13's sqlite3 needs SQLite 3.15.2 ("What's New In Python 3.13"); there it is 3.7.17 (say other projects).
    newest_python=(3, 12),
    oldest_glibc="2.26",
)
AMAZON_LINUX_2023 = OsFamily(
    "amzn2023", "Amazon Linux 2023", "dnf", "openssl-devel", newest_python=None, oldest_glibc="2.34"
)

FAMILIES = {family.name: family for family in (AMAZON_LINUX_2, AMAZON_LINUX_2023)}


@dataclass(frozen=True)
class Spark:
    """A version of Spark, with the Pythons that its Python side runs on, both included."""

    version: str
    oldest_python: MinorVersion
    newest_python: MinorVersion


#: Newest Python: 3.8 came with Spark 3.0 (SPARK-29536), 3.9 with 3.1 (koalas #2167), 3.10 with 3.3 (SPARK-37257), 3.11
#: with 3.4 (SPARK-41454), 3.12 with 4.0 (SPARK-44120, SPARK-45390: Spark 3 imports distutils).
#: Oldest Python: 2.7 to 3.5 went with 3.1 (SPARK-32138), 3.6 with 3.3 (its "Overview" says 3.7+), 3.7 with 3.5
#: (SPARK-43347).
_SPARK_2_4 = Spark("2.4", (2, 7), (3, 7))
_SPARK_3_0 = Spark("3.0", (2, 7), (3, 8))
_SPARK_3_1 = Spark("3.1", (3, 6), (3, 9))
_SPARK_3_2 = Spark("3.2", (3, 6), (3, 9))
_SPARK_3_3 = Spark("3.3", (3, 7), (3, 10))
_SPARK_3_4 = Spark("3.4", (3, 7), (3, 11))
_SPARK_3_5 = Spark("3.5", (3, 8), (3, 11))


@dataclass(frozen=True)
class Line:
    """EMR releases from *since* on, as far as the next line: what they run on, and their Spark."""

    since: MinorVersion
    family: OsFamily
    spark: Spark


#: Oldest first. Before 5.30: Amazon Linux 1. Patch releases don't change any of this. Spark was read for 6.0 to 6.4,
#: 6.8, 6.10, 6.12, 6.14, 7.6 and 7.8 to 7.13 (3.5.4 to 3.5.6); that it is the same in between is believed.
LINES = (
    Line((5, 30), AMAZON_LINUX_2, _SPARK_2_4),  # believed
    Line((6, 0), AMAZON_LINUX_2, _SPARK_2_4),
    Line((6, 1), AMAZON_LINUX_2, _SPARK_3_0),
    Line((6, 3), AMAZON_LINUX_2, _SPARK_3_1),
    Line((6, 6), AMAZON_LINUX_2, _SPARK_3_2),  # believed
    Line((6, 8), AMAZON_LINUX_2, _SPARK_3_3),
    Line((6, 12), AMAZON_LINUX_2, _SPARK_3_4),
    Line((7, 0), AMAZON_LINUX_2023, _SPARK_3_5),  # for 7.14 believed
)

#: 16 vCPUs: compiling CPython, above all its profiling run, scales with cores.
_BUILD_INSTANCE_TYPES = {"x86_64": "c5.4xlarge", "aarch64": "c6g.4xlarge"}


@dataclass(frozen=True)
class Release:
    """An EMR release: its *label* (``emr-7.14.0``), number, operating system and Spark."""

    label: str
    number: tuple[int, ...]
    family: OsFamily
    spark: Spark

    @property
    def os_family(self) -> str:
        """The name of the operating system's family, as in keys."""
        return self.family.name


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
    lines = [line for line in LINES if line.since <= number]
    if not lines:
        raise OptionError(
            f"EMR release {label} is too old: bundles need Amazon Linux 2, which is in emr-5.30.0 and newer."
        )
    if number[0] > LINES[-1].since[0]:
        raise OptionError(
            f"EMR release {label} is not known to this version of mrjob-pybundle."
            f" Use a 7.x release, for example emr-{DEFAULT_IMAGE_VERSION}."
        )
    return Release(label, number, lines[-1].family, lines[-1].spark)


def check_python(python_version: str, os_family: str) -> None:
    """Check that *python_version* can be compiled on *os_family* (of custom AMIs nothing is known).

    :raises OptionError: it can't.
    """
    family = FAMILIES.get(os_family)
    if family and family.newest_python and minor_version(python_version) > family.newest_python:
        raise OptionError(
            f"CPython {python_version} cannot be compiled on {family.title} (EMR 5.x and 6.x): its SQLite is too old."
            f" Use an EMR 7.x release, or pybundle_python_version {as_text(family.newest_python)}.x or older."
        )


def check_python_for_spark(python_version: str, emr_release: Release, why: str = "This job has a Spark step") -> None:
    """Check that the Spark of *emr_release* runs *python_version*; *why* says what needs it to.

    :raises OptionError: it doesn't.
    """
    spark, minor = emr_release.spark, minor_version(python_version)
    if minor > spark.newest_python:
        limit, text = "at most", as_text(spark.newest_python)
    elif minor < spark.oldest_python:
        limit, text = "at least", as_text(spark.oldest_python)
    else:
        return
    raise OptionError(
        f"{why}, and the Spark of {emr_release.label} runs {limit} Python {text},"
        f" not {python_version}. Set pybundle_python_version to a {text} release."
    )


def as_text(version: MinorVersion) -> str:
    """``(3, 13)`` → ``"3.13"``."""
    return ".".join(map(str, version))


def minor_version(python_version: str) -> MinorVersion:
    """``"3.13.5"`` → ``(3, 13)``."""
    major, minor = python_version.split(".")[:2]
    return int(major), int(minor)


def architecture(instance_type: str) -> str:
    """The CPU architecture, as ``uname -m`` gives it, of an EC2 instance type.

    Graviton types have a ``g`` after their generation's number (``m6g``, ``c7gn``, ``im4gn``); the first of them was
    ``a1``. By that rule ("Amazon EC2 instance type naming conventions") families that are yet to come are known, too.
    """
    family = instance_type.split(".")[0]
    match = re.match(r"([a-z]+)(\d+)([a-z]*)", family)
    is_graviton = family == "a1" or (match is not None and "g" in match[3])
    is_grace = "-gb" in family  # NVIDIA's: p6e-gb200
    return "aarch64" if is_graviton or is_grace else "x86_64"


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


def check_build_instance_type(instance_type: str, arch: str) -> None:
    """Check that a build on *instance_type* makes a bundle for *arch*.

    :raises OptionError: it doesn't.
    """
    found = architecture(instance_type)
    if found != arch:
        raise OptionError(
            f"pybundle_build_instance_type: {instance_type} has {found}, and the job's instances have {arch}."
            " Bundles are compiled on the architecture that they are for."
        )
