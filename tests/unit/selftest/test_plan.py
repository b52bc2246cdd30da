"""What a run says before it does anything."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mrjob_pybundle.aws.releases import build_instance_type
from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.errors import OptionError
from mrjob_pybundle.selftest import conf
from mrjob_pybundle.selftest.cases import BY_NAME, CASES
from mrjob_pybundle.selftest.names import Names, run_id_in
from mrjob_pybundle.selftest.plan import AT_ONCE, Plan, choose, room_for
from mrjob_pybundle.selftest.prices import PRICES, Cluster, dollars

NAMES = Names("20261122-101112-0a1b2c3d", S3Uri("the-team", "tmp"))


def _plan(*named: str, everything: bool = False, stand_in: str | None = None, region: str = "us-east-1") -> Plan:
    return Plan(NAMES, region, choose(named, everything=everything), stand_in, 4, "not checked", "all there")


def test_every_instance_has_a_price() -> None:
    assert {cluster.instance_type for case in CASES for cluster in case.clusters} == PRICES.keys()
    assert {build_instance_type(arch) for arch in ("x86_64", "aarch64")} < PRICES.keys()


def test_a_price_is_for_as_long_as_a_case_may_take() -> None:
    """What its limits do not end, the run does when the case has ended."""
    for case in CASES:
        assert all(cluster.minutes > case.minutes for cluster in case.clusters if cluster.instances > 1), case.name


def test_prices_are_rounded_up() -> None:
    assert dollars([Cluster("m5.xlarge", 2, 60)], "us-east-1") == 0.52
    assert dollars([Cluster("m5.xlarge", 1, 1)], "us-east-1") == 0.01
    assert dollars([], "us-east-1") == 0
    assert dollars([Cluster("m5.xlarge", 2, 60)], "sa-east-1") > 0.8


def test_the_sum_is_that_of_the_cases() -> None:
    plan = _plan()
    lines = [line for line in plan.text().splitlines() if line.split(" ")[0] in BY_NAME]
    assert [line.split()[0] for line in lines] == [case.name for case in CASES if case.is_core]
    each = [float(price) for line in lines for price in re.findall(r"\$(\d+\.\d\d)", line)]
    assert 0 <= sum(each) - plan.dollars < 0.01 * len(each)
    assert f"At most ${plan.dollars:.2f} in all" in plan.text()


def test_the_core_costs_little() -> None:
    assert _plan().dollars < 5
    assert _plan(everything=True).dollars < 8


def test_it_says_what_it_makes_and_how_that_goes_away() -> None:
    text = _plan().text()
    assert "s3://the-team/tmp/selftest-20261122-101112-0a1b2c3d/" in text
    assert "mrjob-pybundle selftest --clean 20261122-101112-0a1b2c3d" in text


def test_cases_come_with_those_that_they_need() -> None:
    assert [case.name for case in choose(["nodes"])] == ["doctor", "build", "pooled", "nodes"]
    for case in CASES:
        before = [other.name for other in CASES[: CASES.index(case)]]
        assert set(case.needs) <= set(before), "whoever is needed begins first, or all would wait for each other"


def test_a_case_that_there_is_not() -> None:
    with pytest.raises(OptionError, match=r"There is no case builds\. There are: doctor, build"):
        choose(["builds"])


def test_what_cannot_be_checked_launches_nothing() -> None:
    plan = _plan("spark", "graviton", stand_in="127.0.0.1:1")
    assert plan.clusters == []
    assert plan.dollars == 0


def test_what_may_not_be_checked_can_be_tried() -> None:
    plan = Plan(NAMES, "us-east-1", choose(["spark"]), "127.0.0.1:1", 4, "not checked", "all there", tries_all=True)
    assert [cluster.instances for cluster in plan.clusters] == [1, 2], "of its build, and its own"


def test_names_carry_the_runs_id() -> None:
    assert run_id_in(NAMES.label) == NAMES.id
    assert run_id_in("selftest-of-theirs") is None
    assert NAMES.has_cluster("selftest-20261122-101112-0a1b2c3d-cold.selftest.20261122.101113.000001", [])
    assert NAMES.has_cluster("mrjob-pybundle build 20261122-101115-00000000", ["20261122-101115-00000000"])
    theirs = [
        "mrjob-pybundle build 20261122-101115-00000001",
        "selftest-20261122-101112-0a1b2c3e-cold.selftest.20261122.101113.000001",
        "my selftest-20261122-101112-0a1b2c3d-cold",
        "mr_job.ada.20261122.101113.000001",
    ]
    assert [name for name in theirs if NAMES.has_cluster(name, ["20261122-101115-00000000"])] == []
    assert all(len(NAMES.role(whose)) <= 64 for whose in ("submitter", "build-master", "job-node"))


def test_as_many_cases_at_a_time_as_the_quota_has_room_for() -> None:
    core = choose([])
    assert room_for(core, 10_000) == AT_ONCE
    assert room_for(core, 8 + 24 + 24) == 2, "two, beside the cluster that stays"
    assert room_for(core, 8 + 24) == 1
    with pytest.raises(OptionError, match="is 31 vCPUs, and 32 are needed"):
        room_for(core, 31)
    assert room_for(choose(["doctor"]), 0) == AT_ONCE


def test_the_document_has_all_cases() -> None:
    text = (Path(__file__).parents[3] / "docs" / "selftest.md").read_text("utf-8")
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| ([^|]*) \| ([^|]*) \|$", text, flags=re.MULTILINE)
    when = {True: "always"}
    assert rows == [
        (case.name, case.shows, "`--iam`" if case.makes_roles else when.get(case.is_core, "`--all`")) for case in CASES
    ]


def test_the_document_says_what_it_costs() -> None:
    text = (Path(__file__).parents[3] / "docs" / "selftest.md").read_text("utf-8").replace("\n", " ")
    core, most = _plan(), _plan(everything=True)
    with_roles = Plan(
        NAMES, "us-west-2", choose([], everything=True, with_roles=True), None, 4, "not checked", "all there"
    )
    said = f"at most ${core.dollars:.2f}, all but `--iam` ${most.dollars:.2f}, and with that ${with_roles.dollars:.2f}."
    assert said in text


GOOD = {
    "cloud_tmp_dir": "s3://the-team/tmp/",
    "iam_instance_profile": "Nodes",
    "iam_service_role": "Service",
    "region": "us-east-1",
    "subnet": "subnet-0123456789abcdef0",
    "pybundle_python_version": "3.13.14",
    "extra_cluster_params": {
        "OSReleaseLabel": "2023.7.20250331.0",
        "Instances": {"AdditionalMasterSecurityGroups": []},
    },
}


def test_a_conf_that_names_all() -> None:
    conf.check(GOOD)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"cloud_tmp_dir": None}, "must name cloud_tmp_dir .*mrjob would create"),
        ({"iam_instance_profile": None, "iam_service_role": None}, "must name iam_instance_profile, iam_service_role"),
        ({"region": None}, "must name the region"),
        ({"subnet": ["subnet-1", "subnet-2"]}, "have one subnet"),
        ({"pybundle_python_version": "2.7.18"}, "need Python 3"),
        ({"extra_cluster_params": {"Name": "mine"}}, "says Name, on which names, prices and ends"),
        ({"extra_cluster_params": {"Instances": {"TerminationProtected": True}}}, "Instances.TerminationProtected"),
    ],
)
def test_a_conf_with_which_more_would_be_made_or_stay(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        conf.check({**GOOD, **wrong})
