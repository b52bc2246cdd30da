"""What the sandbox makes of requests that real clients send."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import boto3

from mrjob_pybundle.sandbox import Sandbox
from mrjob_pybundle.sandbox.requests import Request, describe


def test_requests_of_boto3(tmp_path: Path) -> None:
    seen: list[Request] = []

    def watch(application: Any) -> Any:
        def watching(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            seen.append(describe(environ))
            return application(environ, start_response)  # type: ignore[no-any-return]

        return watching

    with Sandbox(tmp_path / "sandbox", middleware=[watch]) as sandbox:
        names = {"region_name": "us-east-1", "aws_access_key_id": "me", "aws_secret_access_key": "secret"}
        s3 = boto3.client("s3", endpoint_url=sandbox.endpoint, **names)
        emr = boto3.client("emr", endpoint_url=sandbox.endpoint, **names)
        seen.clear()
        s3.put_object(Bucket="sandbox", Key="it's a/$(key)%41/é", Body=b"x")
        s3.get_object(Bucket="sandbox", Key="it's a/$(key)%41/é")
        s3.head_object(Bucket="sandbox", Key="it's a/$(key)%41/é")
        s3.list_objects_v2(Bucket="sandbox", Prefix="it's a/")
        s3.delete_objects(Bucket="sandbox", Delete={"Objects": [{"Key": "no"}]})
        s3.get_bucket_location(Bucket="sandbox")
        emr.list_clusters()
    key = "it's a/$(key)%41/é"
    assert seen == [
        Request("me", "s3", "PutObject", "sandbox", key),
        Request("me", "s3", "GetObject", "sandbox", key),
        Request("me", "s3", "HeadObject", "sandbox", key),
        Request("me", "s3", "ListObjectsV2", "sandbox"),
        Request("me", "s3", "DeleteObjects", "sandbox"),
        Request("me", "s3", "GetBucketLocation", "sandbox"),
        Request("me", "elasticmapreduce", "ListClusters"),
    ]
