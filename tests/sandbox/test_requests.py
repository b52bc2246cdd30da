"""What the sandbox makes of requests that real clients send."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mrjob_pybundle.sandbox.api.requests import Request


def test_requests_of_boto3(clients: Callable[..., Any], requests: list[Request]) -> None:
    s3, emr = clients("s3", "boto3"), clients("emr", "boto3")
    s3.put_object(Bucket="sandbox", Key="it's a/$(key)%41/é", Body=b"x")
    s3.get_object(Bucket="sandbox", Key="it's a/$(key)%41/é")
    s3.head_object(Bucket="sandbox", Key="it's a/$(key)%41/é")
    s3.list_objects_v2(Bucket="sandbox", Prefix="it's a/")
    s3.delete_objects(Bucket="sandbox", Delete={"Objects": [{"Key": "no"}]})
    s3.get_bucket_location(Bucket="sandbox")
    emr.list_clusters()
    key = "it's a/$(key)%41/é"
    assert [request for request in requests if request.access_key_id == "boto3"] == [
        Request("boto3", "s3", "PutObject", "sandbox", key),
        Request("boto3", "s3", "GetObject", "sandbox", key),
        Request("boto3", "s3", "HeadObject", "sandbox", key),
        Request("boto3", "s3", "ListObjectsV2", "sandbox"),
        Request("boto3", "s3", "DeleteObjects", "sandbox"),
        Request("boto3", "s3", "GetBucketLocation", "sandbox"),
        Request("boto3", "elasticmapreduce", "ListClusters"),
    ]
