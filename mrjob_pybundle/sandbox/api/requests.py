"""What a request to the sandbox's AWS asks for, by the names that IAM and the API references use."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

_ACCESS_KEY_ID = re.compile(r"Credential=([^/,\s]+)/")

_OBJECT_OPERATIONS = {"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject", "DELETE": "DeleteObject"}
_BUCKET_OPERATIONS = {"GET": "ListObjectsV2", "HEAD": "HeadBucket", "PUT": "CreateBucket", "DELETE": "DeleteBucket"}
_BUCKET_SETTINGS = {"location": "GetBucketLocation", "policy": "GetBucketPolicy", "encryption": "GetBucketEncryption"}


@dataclass(frozen=True)
class Request:
    """Who asks which service for what. *bucket* and *key* are empty where a request is not about S3."""

    #: the access key id that signed it, ``""`` if nobody did
    access_key_id: str
    #: ``s3``, ``elasticmapreduce``, or another service's lower-case name, ``""`` if it is none we know
    service: str
    #: of the service's API reference: ``PutObject``, ``RunJobFlow``
    operation: str
    bucket: str = ""
    key: str = ""


def describe(environ: dict[str, Any]) -> Request:
    """What the WSGI request *environ* asks for. Reads no body."""
    signer = _ACCESS_KEY_ID.search(environ.get("HTTP_AUTHORIZATION", ""))
    access_key_id = signer[1] if signer else ""
    service, _, operation = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")
    if service:
        return Request(access_key_id, service.lower(), operation)
    if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        return Request(access_key_id, "", "")  # one of the services with a query API: IAM, STS
    # WSGI's paths are bytes that pose as Latin-1.
    path = environ.get("PATH_INFO", "").encode("latin-1", "replace").decode("utf-8", "replace")
    bucket, _, key = path.lstrip("/").partition("/")
    query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    return Request(access_key_id, "s3", _s3_operation(environ["REQUEST_METHOD"], bucket, key, query), bucket, key)


def _s3_operation(method: str, bucket: str, key: str, query: dict[str, list[str]]) -> str:
    if not bucket:
        return "ListBuckets"
    if key:
        if "uploads" in query:
            return "CreateMultipartUpload"
        if "uploadId" in query:
            upload = {"PUT": "UploadPart", "POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload"}
            return upload.get(method, "ListParts")
        return _OBJECT_OPERATIONS.get(method, method)
    if "delete" in query:
        return "DeleteObjects"
    for setting, operation in _BUCKET_SETTINGS.items():
        if setting in query:
            return operation if method == "GET" else operation.replace("Get", "Put")
    return _BUCKET_OPERATIONS.get(method, method)
