"""EMR releases and instance types: what is known, and what is refused before anything is launched."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mrjob_pybundle.aws import releases as emr_releases
from mrjob_pybundle.bundle.spec import PythonSpec
from mrjob_pybundle.errors import OptionError
from mrjob_pybundle.master.cluster import cluster_request

DOCUMENT = Path(__file__).parents[3] / "docs" / "emr.md"


@pytest.mark.parametrize(
    ("label", "os_family", "spark", "oldest", "newest"),
    [
        ("emr-5.30.0", "amzn2", "2.4", (2, 7), (3, 7)),
        ("emr-5.36.2", "amzn2", "2.4", (2, 7), (3, 7)),
        ("emr-6.0.0", "amzn2", "2.4", (2, 7), (3, 7)),
        ("emr-6.1.0", "amzn2", "3.0", (2, 7), (3, 8)),
        ("emr-6.2.1", "amzn2", "3.0", (2, 7), (3, 8)),
        ("emr-6.3.0", "amzn2", "3.1", (3, 6), (3, 9)),
        ("emr-6.5.0", "amzn2", "3.1", (3, 6), (3, 9)),
        ("emr-6.6.0", "amzn2", "3.2", (3, 6), (3, 9)),
        ("emr-6.7.0", "amzn2", "3.2", (3, 6), (3, 9)),
        ("emr-6.8.1", "amzn2", "3.3", (3, 7), (3, 10)),
        ("emr-6.11.1", "amzn2", "3.3", (3, 7), (3, 10)),
        ("emr-6.12.0", "amzn2", "3.4", (3, 7), (3, 11)),
        ("emr-6.15.0", "amzn2", "3.4", (3, 7), (3, 11)),
        *((f"emr-7.{minor}.0", "amzn2023", "3.5", (3, 8), (3, 11)) for minor in range(15)),
    ],
)
def test_releases(label: str, os_family: str, spark: str, oldest: tuple[int, int], newest: tuple[int, int]) -> None:
    release = emr_releases.release(label)
    assert release.os_family == os_family
    assert release.spark == emr_releases.Spark(spark, oldest, newest)


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


def test_the_document_has_the_same_table() -> None:
    """Each line of releases is a row of docs/emr.md: first release, operating system, Spark, Pythons."""
    rows = [
        tuple(cell.strip() for cell in row.strip("|").split("|"))
        for row in DOCUMENT.read_text("utf-8").splitlines()
        if re.match(r"\| \d+\.\d+ ", row)
    ]
    text = emr_releases.as_text
    assert rows == [
        (
            f"{text(line.since)} and later",
            line.family.title,
            text(line.family.newest_python) if line.family.newest_python else "no limit of ours",
            line.spark.version,
            f"{text(line.spark.oldest_python)} to {text(line.spark.newest_python)}",
        )
        for line in emr_releases.LINES
    ]


def test_python_3_13_is_refused_on_amazon_linux_2() -> None:
    emr_releases.check_python("3.12.13", "amzn2")
    emr_releases.check_python("3.13.5", "amzn2023")
    emr_releases.check_python("3.13.5", "ami-0abc")
    with pytest.raises(OptionError, match="cannot be compiled on Amazon Linux 2"):
        emr_releases.check_python("3.13.5", "amzn2")


@pytest.mark.parametrize(
    ("label", "runs", "refused", "reason"),
    [
        ("emr-5.36.2", "2.7.18", "3.8.20", r"at most Python 3\.7, not 3\.8\.20"),
        ("emr-6.2.0", "3.8.20", "3.9.23", r"at most Python 3\.8, not"),
        ("emr-6.3.0", "3.9.23", "2.7.18", r"at least Python 3\.6, not 2\.7\.18"),
        ("emr-6.9.0", "3.10.18", "3.11.13", r"at most Python 3\.10, not"),
        ("emr-6.15.0", "3.7.17", "3.12.13", r"at most Python 3\.11, not"),
        ("emr-7.14.0", "3.11.15", "3.12.13", r"at most Python 3\.11, not 3\.12\.13"),
        ("emr-7.0.0", "3.8.20", "3.7.17", r"at least Python 3\.8, not 3\.7\.17.* to a 3\.8 release"),
    ],
)
def test_a_python_that_spark_does_not_run_is_refused(label: str, runs: str, refused: str, reason: str) -> None:
    release = emr_releases.release(label)
    emr_releases.check_python_for_spark(runs, release)
    with pytest.raises(OptionError, match=reason):
        emr_releases.check_python_for_spark(refused, release)


ARM = [
    *("a1.xlarge", "m6g.xlarge", "m6gd.8xlarge", "m7gd.xlarge", "c7gn.large", "r8g.metal-24xl", "x2gd.medium"),
    *("t4g.small", "im4gn.large", "is4gen.large", "i4g.large", "i8ge.large", "hpc7g.4xlarge", "g5g.xlarge"),
    "p6e-gb200.36xlarge",  # with NVIDIA's Grace
    # yet to come
    *("m12g.xlarge", "z9gdn.large", "hpc10g-flex.large"),
]
X86 = [
    *("m4.large", "m5.xlarge", "m5ad.xlarge", "c5.4xlarge", "c7i-flex.large", "r7iz.large", "i3en.large"),
    *("g4dn.xlarge", "g4ad.xlarge", "g6.xlarge", "g6e.2xlarge", "gr6.4xlarge", "x2idn.16xlarge", "u-6tb1.metal"),
    *("u7in-16tb.224xlarge", "hpc7a.96xlarge", "inf2.xlarge", "trn1.32xlarge", "d3en.xlarge"),
    # yet to come
    *("m12i.xlarge", "g12.xlarge"),
]


@pytest.mark.parametrize(("arch", "types"), [("aarch64", ARM), ("x86_64", X86)])
def test_architectures(arch: str, types: list[str]) -> None:
    assert {instance_type: emr_releases.architecture(instance_type) for instance_type in types} == dict.fromkeys(
        types, arch
    )


@pytest.mark.parametrize(
    ("types", "arch", "build_type"),
    [
        (["m6g.xlarge", "r8g.xlarge"], "aarch64", "c6g.4xlarge"),
        (["m5.xlarge", "g5.xlarge"], "x86_64", "c5.4xlarge"),
    ],
)
def test_a_build_cluster_has_the_jobs_architecture(types: list[str], arch: str, build_type: str) -> None:
    """From the job's instance types to the master that compiles."""
    found = emr_releases.common_architecture(types)
    assert found == arch
    instance_type = emr_releases.build_instance_type(found)
    assert emr_releases.architecture(instance_type) == arch
    request = cluster_request({}, "build", ["s3://b/k"], instance_type=instance_type, owner="ada", tags={})
    (group,) = request["Instances"]["InstanceGroups"]
    assert group["InstanceType"] == build_type


def test_architectures_have_keys_of_their_own() -> None:
    keys = {PythonSpec("3.13.5", "00" * 32, (), False, arch, "amzn2023").key for arch in ("aarch64", "x86_64")}
    assert len(keys) == 2


def test_mixed_architectures_are_refused() -> None:
    with pytest.raises(OptionError, match=r"aarch64 \(m6g.xlarge\) and x86_64 \(m5.xlarge\)"):
        emr_releases.common_architecture(["m5.xlarge", "m6g.xlarge", "m5.2xlarge"])
