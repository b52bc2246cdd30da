"""AWS with regions and accounts, over HTTP: middleware for moto, which knows of both, and minds neither much.

Who asks is told by the access key id: each has an account. A signature names the region that is asked. EMR answers for
that account and region alone. S3's buckets lie in a region: elsewhere they are looked for in vain, and S3 says where
("Bucket region" and "Request redirection" in the Amazon S3 User Guide and API Reference). It does not call it a
redirect where one of the two is a region that an account has to opt in to, and says nothing at all in another
partition, which knows neither the bucket nor who asks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mrjob_pybundle.sandbox.api.requests import Request, describe

_SCOPE = re.compile(r"Credential=[^/,\s]+/\d+/([^/]+)/")
_TELLING = ("HeadBucket", "ListObjectsV2")
_TO_OPT_IN_TO = ("af-south-1", "ap-east-1", "eu-south-1", "me-south-1")
_PARTITIONS = {"cn": "aws-cn", "us-gov": "aws-us-gov"}


def regions_and_accounts(
    accounts: Mapping[str, str], requests: list[tuple[str, Request]] | None = None
) -> Callable[[Any], Any]:
    """Middleware. *accounts*: access key id → account id; all others have moto's.

    *requests* gets what was asked, each with the region that was.
    """

    def middleware(application: Any) -> Any:
        def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            request = describe(environ)
            scope = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
            region = scope[1] if scope else ""
            if requests is not None:
                requests.append((region, request))
            if request.access_key_id in accounts:
                environ["HTTP_X_MOTO_ACCOUNT_ID"] = accounts[request.access_key_id]
            if request.service == "elasticmapreduce":
                environ["HTTP_HOST"] = f"{region}.elasticmapreduce.amazonaws.com"
            lies_in = _region_of(request.bucket) if request.service == "s3" and request.bucket else ""
            if lies_in and region and lies_in != region and request.operation != "GetBucketLocation":
                return _refused(environ, start_response, region, lies_in)
            if not lies_in or request.operation not in _TELLING:
                passed: Iterable[bytes] = application(environ, start_response)
                return passed

            def start_telling(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
                kept = [(name, value) for name, value in headers if name.lower() != "x-amz-bucket-region"]
                return start_response(status, [*kept, ("x-amz-bucket-region", lies_in)], *more)

            told: Iterable[bytes] = application(environ, start_telling)
            return told

        return answer

    return middleware


def _region_of(bucket: str) -> str:
    from moto.s3.models import s3_backends

    partition, account = s3_backends.bucket_accounts.get(bucket, ("aws", ""))
    found = s3_backends[account][partition].buckets.get(bucket) if account else None
    return str(found.region_name) if found else ""


def _refused(environ: dict[str, Any], start_response: Any, asked: str, region: str) -> list[bytes]:
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    told = [("x-amz-bucket-region", region)]
    if _partition(asked) != _partition(region):
        status, code, told = "403 Forbidden", "InvalidAccessKeyId", []
        text = "The AWS Access Key Id you provided does not exist in our records."
    elif asked in _TO_OPT_IN_TO or region in _TO_OPT_IN_TO:
        status, code = "400 Bad Request", "IllegalLocationConstraintException"
        text = f"The {region} location constraint is incompatible for the region specific endpoint this was sent to."
    else:
        status, code = "301 Moved Permanently", "PermanentRedirect"
        text = "The bucket you are attempting to access must be addressed using the specified endpoint."
    body = f"<Error><Code>{code}</Code><Message>{text}</Message></Error>".encode()
    if environ["REQUEST_METHOD"] == "HEAD":
        body = b""
    start_response(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body))), *told])
    return [body]


def _partition(region: str) -> str:
    return next((name for prefix, name in _PARTITIONS.items() if region.startswith(f"{prefix}-")), "aws")
