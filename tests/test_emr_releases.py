"""EMR releases and instance types: what is known, and what is refused before anything is launched."""

from __future__ import annotations

import pytest

from mrjob_pybundle import emr_releases
from mrjob_pybundle.errors import OptionError


@pytest.mark.parametrize(
    ("label", "os_family", "python_for_spark"),
    [
        ("emr-5.30.0", "amzn2", (3, 7)),
        ("emr-5.36.2", "amzn2", (3, 7)),
        ("emr-6.0.0", "amzn2", (3, 7)),
        ("emr-6.1.0", "amzn2", (3, 8)),
        ("emr-6.9.0", "amzn2", (3, 10)),
        ("emr-6.15.0", "amzn2", (3, 11)),
        ("emr-7.0.0", "amzn2023", (3, 11)),
        ("emr-7.14.0", "amzn2023", (3, 11)),
    ],
)
def test_releases(label: str, os_family: str, python_for_spark: tuple[int, int]) -> None:
    release = emr_releases.release(label)
    assert release.os_family == os_family
    assert release.newest_python_for_spark == python_for_spark


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ("emr-5.29.0", "too old"),
        ("emr-4.9.6", "too old"),
        ("emr-8.0.0", "not known"),
        ("emr-7.x", "not known"),
        ("7.14.0", "not known"),
        ("emr-spark-8.0.0", "has no Hadoop"),
    ],
)
def test_refused_releases(label: str, reason: str) -> None:
    with pytest.raises(OptionError, match=reason):
        emr_releases.release(label)


def test_python_3_13_is_refused_on_amazon_linux_2() -> None:
    emr_releases.check_python("3.12.13", "amzn2")
    emr_releases.check_python("3.13.5", "amzn2023")
    with pytest.raises(OptionError, match="cannot be compiled on Amazon Linux 2"):
        emr_releases.check_python("3.13.5", "amzn2")


def test_a_python_too_new_for_spark_is_refused() -> None:
    release = emr_releases.release("emr-7.14.0")
    emr_releases.check_python_for_spark("3.11.15", release)
    with pytest.raises(OptionError, match=r"at most Python 3\.11, not 3\.12\.13"):
        emr_releases.check_python_for_spark("3.12.13", release)


@pytest.mark.parametrize(
    "instance_type",
    [
        "a1.xlarge",
        "m6g.xlarge",
        "m6gd.8xlarge",
        "c7gn.large",
        "im4gn.large",
        "g5g.xlarge",
        "t4g.small",
        "r8g.metal-24xl",
    ],
)
def test_arm(instance_type: str) -> None:
    assert emr_releases.architecture(instance_type) == "aarch64"


@pytest.mark.parametrize(
    "instance_type",
    [
        "m5.xlarge",
        "g4dn.xlarge",
        "g6e.2xlarge",
        "c5.4xlarge",
        "x2idn.16xlarge",
        "u-6tb1.metal",
        "m4.large",
        "gr6.4xlarge",
        "i3en.large",
    ],
)
def test_intel_and_amd(instance_type: str) -> None:
    assert emr_releases.architecture(instance_type) == "x86_64"


def test_mixed_architectures_are_refused() -> None:
    assert emr_releases.common_architecture(["m6g.xlarge", "r6g.xlarge"]) == "aarch64"
    with pytest.raises(OptionError, match=r"aarch64 \(m6g.xlarge\) and x86_64 \(m5.xlarge\)"):
        emr_releases.common_architecture(["m5.xlarge", "m6g.xlarge", "m5.2xlarge"])
