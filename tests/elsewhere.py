"""AWS with regions and accounts, over HTTP: middleware for moto, which knows of both, and minds neither much.

Who asks is told by the access key id: each has an account. A signature names the region that is asked. EMR answers for
that account and region alone. S3's buckets lie in a region: elsewhere they are looked for in vain, and S3 says where
("Bucket region" and "Request redirection" in the Amazon S3 User Guide and API Reference).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mrjob_pybundle.sandbox.api.requests import Request, describe

_SCOPE = re.compile(r"Credential=[^/,\s]+/\d+/([^/]+)/")
_TELLING = ("HeadBucket", "ListObjectsV2")


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
                return _redirected(environ, start_response, lies_in)
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


def _redirected(environ: dict[str, Any], start_response: Any, region: str) -> list[bytes]:
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    text = "The bucket you are attempting to access must be addressed using the specified endpoint."
    body = f"<Error><Code>PermanentRedirect</Code><Message>{text}</Message></Error>".encode()
    if environ["REQUEST_METHOD"] == "HEAD":
        body = b""
    headers = [
        ("Content-Type", "application/xml"),
        ("Content-Length", str(len(body))),
        ("x-amz-bucket-region", region),
    ]
    start_response("301 Moved Permanently", headers)
    return [body]
