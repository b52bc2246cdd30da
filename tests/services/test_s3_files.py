"""A job's files on their way to S3: mrjob's file system, which asks less and sends small files side by side."""

from __future__ import annotations

import threading
from collections import Counter
from itertools import repeat
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from mrjob.fs.s3 import S3Filesystem

from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.job.s3_files import S3Files


@pytest.fixture
def files(aws_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> S3Files:
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    boto3.setup_default_session()
    return S3Files(S3Filesystem(s3_region="us-east-1"))


def _on_every_request(call: Any) -> None:
    assert boto3.DEFAULT_SESSION is not None
    boto3.DEFAULT_SESSION.events.register("before-call.s3", lambda model, **_: call(model.name))


def test_files_are_sent_side_by_side_and_no_question_is_asked_twice(
    files: S3Files, bucket: S3Uri, tmp_path: Path
) -> None:
    operations: Counter[str] = Counter()
    together = threading.Barrier(3)  # breaks, and fails the test, unless three files are under way at once

    def look(operation: str) -> None:
        operations[operation] += 1
        if operation == "PutObject":
            together.wait(timeout=30)

    _on_every_request(look)
    assert not files.exists(f"{bucket}/output/")
    with files.side_by_side():
        files.mkdir(f"{bucket}/files/")
        for number in range(3):
            path = tmp_path / str(number)
            path.write_text(f"content {number}")
            files.put(str(path), f"{bucket}/files/{number}")
            path.write_text("what the next step has here")
    assert operations == {"GetBucketLocation": 1, "ListObjects": 1, "PutObject": 3}
    assert [b"".join(files.cat(f"{bucket}/files/{number}")) for number in range(3)] == [
        b"content 0",
        b"content 1",
        b"content 2",
    ]


def test_a_file_that_s3_refuses_is_an_error_in_the_end(files: S3Files, bucket: S3Uri, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    files.get_bucket(bucket.bucket).delete()
    with pytest.raises(ClientError, match="PutObject operation"), files.side_by_side():
        files.put(str(tmp_path / "file"), f"{bucket}/file")


def test_after_a_refusal_no_more_is_sent(files: S3Files, bucket: S3Uri, tmp_path: Path) -> None:
    sent: Counter[str] = Counter()
    _on_every_request(lambda operation: sent.update([operation]))
    (tmp_path / "file").write_text("x")
    files.get_bucket(bucket.bucket).delete()
    many = (f"{bucket}/{number}" for number in range(100))
    with pytest.raises(ClientError, match="PutObject operation"), files.side_by_side():
        list(map(files.put, repeat(str(tmp_path / "file")), many))
    assert sent["PutObject"] <= 2 * 8


def test_large_files_are_sent_in_parts(aws_environment: dict[str, str], bucket: S3Uri, tmp_path: Path) -> None:
    files = S3Files(S3Filesystem(s3_region="us-east-1", part_size=6 << 20))
    content = bytes(13 << 20)
    (tmp_path / "file").write_bytes(content)
    with files.side_by_side():
        files.put(str(tmp_path / "file"), f"{bucket}/file")
    assert b"".join(files.cat(f"{bucket}/file")) == content
    assert files.md5sum(f"{bucket}/file").endswith("-3")


def test_a_bucket_is_made_where_there_is_none(files: S3Files) -> None:
    files.mkdir("s3://made-for-a-job/files/")
    assert "made-for-a-job" in files.get_all_bucket_names()
