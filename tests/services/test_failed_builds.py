"""A build of which the cache has no word: its author is told what EMR knows. No master runs."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from mrjob_pybundle.aws.clients import Credentials
from mrjob_pybundle.aws.s3 import S3Uri
from tests.services.test_builds import Author
from tests.team import Team


@pytest.fixture
def author(bucket: S3Uri, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Author]:
    from moto.backends import get_backend

    get_backend("emr")["123456789012"]["us-east-1"].clusters.clear()  # none of them ends by itself
    author = Author(Team(bucket.bucket, tmp_path, capsys))
    yield author
    author.process.kill()
    author.process.communicate()


@pytest.mark.parametrize(
    ("log", "lines"),
    [
        (
            gzip.compress(b"fatal error: Unable to locate credentials\n"),
            ["    fatal error: Unable to locate credentials", "EMR's own log, for there is none in the cache: {}"],
        ),
        (None, ["There is no log of it in the cache. EMR's own comes within minutes, if its step ran: {}"]),
        (b"half", ["There is no log of it in the cache. EMR's own comes within minutes, if its step ran: {}"]),
    ],
    ids=["has come", "has not come", "damaged"],
)
def test_the_log_that_emr_keeps(author: Author, bucket: S3Uri, log: bytes | None, lines: list[str]) -> None:
    emr, s3 = Credentials("us-east-1").emr_client(), Credentials("us-east-1").s3_client()
    cluster_id = author.reads(r"launched cluster (j-\w+)")[1]
    (step,) = emr.list_steps(ClusterId=cluster_id)["Steps"]
    key = f"tmp/logs/{cluster_id}/steps/{step['Id']}/stderr.gz"
    if log is not None:
        s3.put_object(Bucket=bucket.bucket, Key=key, Body=log)
    emr.terminate_job_flows(JobFlowIds=[cluster_id])
    said = author.ends().splitlines()
    wanted = [line.format(f"s3://{bucket.bucket}/{key}") for line in lines]
    assert said[-1].endswith(wanted[-1])
    assert said[-len(wanted) : -1] == wanted[:-1]
    assert author.process.returncode == 4
