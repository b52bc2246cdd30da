"""What each fault is to real clients: boto3, as we set it up, and the AWS CLI."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    FlexibleChecksumError,
    ResponseStreamingError,
)

from mrjob_pybundle.aws.errors import error_code
from mrjob_pybundle.sandbox import BUCKET
from mrjob_pybundle.sandbox.api.faults import (
    ACCESS_DENIED,
    ACCESS_DENIED_BY_EMR,
    CONFLICT,
    INTERNAL_ERROR,
    INTERNAL_SERVER_ERROR,
    SLOW_DOWN,
    THROTTLED,
    CutShort,
    Delay,
    Do,
    Drip,
    FlipBits,
    HangUp,
    Hide,
    LoseAnswer,
    Refuse,
    Rule,
    damage_stored,
)
from tests.faults.conftest import Aws

OUR_ATTEMPTS = 5
CLUSTER = {"Instances": {"MasterInstanceType": "m5.xlarge", "InstanceCount": 1}}


@pytest.mark.parametrize("fault", [SLOW_DOWN, INTERNAL_ERROR, HangUp(), LoseAnswer(), Delay(0.1), Drip(0.1)])
def test_what_passes_is_got_over_by_the_client(aws: Aws, fault: object) -> None:
    aws.put("passing", b"abc")
    with aws.faults.injected(Rule("GetObject", fault, times=2)) as strikes:  # type: ignore[arg-type]
        assert aws.get("passing") == b"abc"
    assert strikes


@pytest.mark.parametrize(
    ("fault", "attempts"),
    [(SLOW_DOWN, OUR_ATTEMPTS), (INTERNAL_ERROR, OUR_ATTEMPTS), (ACCESS_DENIED, 1), (CONFLICT, 1)],
)
def test_errors_of_s3(aws: Aws, fault: Refuse, attempts: int) -> None:
    aws.put("refused", b"abc")
    with aws.faults.injected(Rule("GetObject", fault)) as strikes, pytest.raises(ClientError) as caught:
        aws.get("refused")
    assert error_code(caught.value) == fault.code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == fault.status
    assert len(strikes) == attempts


@pytest.mark.parametrize(
    ("fault", "attempts"),
    [(THROTTLED, OUR_ATTEMPTS), (INTERNAL_SERVER_ERROR, OUR_ATTEMPTS), (ACCESS_DENIED_BY_EMR, 1)],
)
def test_errors_of_emr(aws: Aws, fault: Refuse, attempts: int) -> None:
    with aws.faults.injected(Rule("ListClusters", fault)) as strikes, pytest.raises(ClientError) as caught:
        aws.emr.list_clusters()
    assert error_code(caught.value) == fault.code
    assert len(strikes) == attempts


def test_a_refused_request_is_not_carried_out(aws: Aws) -> None:
    for fault in (INTERNAL_ERROR, HangUp()):
        with aws.faults.injected(Rule("PutObject", fault, key="*/never")):
            with pytest.raises((ClientError, BotoCoreError)):
                aws.put("never", b"x" * 200_000)
    assert "Contents" not in aws.s3.list_objects_v2(Bucket=BUCKET, Prefix="never")


def test_a_lost_answer_leaves_what_was_done(aws: Aws) -> None:
    with aws.faults.injected(Rule("RunJobFlow", LoseAnswer())) as strikes, pytest.raises(ConnectionClosedError):
        aws.emr_without_retries.run_job_flow(Name="ambiguous", ReleaseLabel="emr-7.14.0", **CLUSTER)
    assert len(strikes) == 1
    listed = aws.emr.list_clusters()["Clusters"]
    assert [cluster["Name"] for cluster in listed].count("ambiguous") == 1


def test_a_retried_conditional_put_meets_itself(aws: Aws) -> None:
    with aws.faults.injected(Rule("PutObject", LoseAnswer(), conditional=True, times=1)):
        aws.put("unconditional", b"not struck")
        with pytest.raises(ClientError) as caught:
            aws.s3.put_object(Bucket=BUCKET, Key="mine", Body=b"mine", IfNoneMatch="*")
    assert error_code(caught.value) == "PreconditionFailed"
    assert aws.get("mine") == b"mine"


def test_a_body_that_ends_early(aws: Aws) -> None:
    aws.put("cut", b"x" * 100_000)
    with aws.faults.injected(Rule("GetObject", CutShort(), key="*/cut")), pytest.raises(ResponseStreamingError):
        aws.get("cut")


def test_an_answer_of_emr_that_ends_early(aws: Aws) -> None:
    """botocore alone takes half a JSON document for an answer without content."""
    with aws.faults.injected(Rule("ListClusters", CutShort(), times=2)) as strikes:
        assert "Clusters" in aws.emr.list_clusters()
    assert len(strikes) == 2
    with aws.faults.injected(Rule("RunJobFlow", CutShort())) as strikes, pytest.raises(ClientError) as caught:
        aws.emr_without_retries.run_job_flow(Name="cut short", ReleaseLabel="emr-7.14.0", **CLUSTER)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert len(strikes) == 1


def test_a_body_that_is_not_what_was_stored(aws: Aws) -> None:
    aws.put("flipped", b"x" * 100_000)
    with aws.faults.injected(Rule("GetObject", FlipBits(), key="*/flipped")), pytest.raises(FlexibleChecksumError):
        aws.get("flipped")


def test_damage_in_the_bucket_is_nobodys_checksum_error(aws: Aws) -> None:
    aws.put("stored", b"x" * 1000)
    damage_stored(aws.s3, BUCKET, "stored", random.Random(1))
    found = aws.get("stored")
    assert len(found) == 1000
    assert sum(byte != ord("x") for byte in found) == 1


def test_a_cluster_that_is_not_listed_yet(aws: Aws) -> None:
    cluster_id = aws.emr.run_job_flow(Name="shy", ReleaseLabel="emr-7.14.0", **CLUSTER)["JobFlowId"]
    with aws.faults.injected(Rule("ListClusters", Hide("shy"), times=2)):
        listings = [{c["Id"] for c in aws.emr.list_clusters()["Clusters"]} for _ in range(3)]
    assert [cluster_id in ids for ids in listings] == [False, False, True]


def test_rules_say_which_requests(aws: Aws) -> None:
    """By operation, object and principal; after so many; so often; and by chance, which the seed decides."""
    aws.put("one", b"1")
    aws.put("two", b"2")
    seen: list[str] = []

    def strikes_of(rule: Rule, seed: int = 0) -> list[int]:
        with aws.faults.injected(rule, seed=seed) as strikes:
            counts = []
            for number in range(8):
                before = len(strikes)
                aws.get("one" if number % 2 else "two")
                counts.append(len(strikes) - before)
        return counts

    see = Do(lambda request: seen.append(request.key))
    assert strikes_of(Rule("GetObject", see, key="sandbox/one")) == [0, 1] * 4
    assert strikes_of(Rule("Get*", see, who="me", after=3, times=2)) == [0, 0, 0, 1, 1, 0, 0, 0]
    assert strikes_of(Rule("*", see, who="you")) == [0] * 8
    by_chance = [strikes_of(Rule("*", see, chance=0.5), seed=7) for _ in range(2)]
    assert by_chance[0] == by_chance[1]
    assert 0 < sum(by_chance[0]) < 8
    assert set(seen) == {"one", "two"}


def test_something_done_before_or_after_a_request(aws: Aws) -> None:
    found: list[bool] = []

    def look(_: object) -> None:
        found.append("Contents" in aws.s3.list_objects_v2(Bucket=BUCKET, Prefix="looked-for"))

    before, after = (Rule("PutObject", Do(look, after=late), key="*/looked-for", times=1) for late in (False, True))
    with aws.faults.injected(before, after):
        aws.put("looked-for", b"")
        assert found == [False]
        aws.s3.delete_object(Bucket=BUCKET, Key="looked-for")
        aws.put("looked-for", b"")
    assert found == [False, True]


@pytest.mark.parametrize("fault", [SLOW_DOWN, CutShort()])
def test_the_cli_notices(aws: Aws, tmp_path: Path, fault: object) -> None:
    aws.put("for-cli", b"x" * 100_000)
    command = ["aws", "s3", "cp", "--only-show-errors", f"s3://{BUCKET}/for-cli", str(tmp_path / "file")]
    with aws.faults.injected(Rule("GetObject", fault, key="*/for-cli")) as strikes:  # type: ignore[arg-type]
        run = subprocess.run(command, env=aws.sandbox.environment, capture_output=True, text=True)
    assert run.returncode != 0
    assert run.stderr
    assert 1 < len(strikes) <= 10
