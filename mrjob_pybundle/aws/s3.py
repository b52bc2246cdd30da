"""S3 URIs, and reading a small object."""

from __future__ import annotations

import logging
import random
import re
import time
from dataclasses import dataclass
from typing import Any

from mrjob_pybundle.errors import OptionError

log = logging.getLogger("mrjob.pybundle")

#: See "General purpose bucket naming rules" in the Amazon S3 User Guide.
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


@dataclass(frozen=True)
class S3Uri:
    """``s3://bucket/key``. The key of a "directory" has no slash at its end."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, uri: str) -> S3Uri:
        """Parse an ``s3://`` URI (``s3a://`` and ``s3n://`` as well, which mrjob takes, too).

        :raises OptionError: *uri* is none, or its bucket can't exist.
        """
        match = re.fullmatch(r"s3[an]?://([^/]*)/?(.*)", str(uri), re.DOTALL)
        if match is None:
            raise OptionError(f"{uri!r} is not an S3 URI such as s3://my-bucket/pybundle/")
        bucket, key = match.groups()
        if not _BUCKET.fullmatch(bucket):
            raise OptionError(f"{uri!r} is not an S3 URI: no bucket can be named {bucket!r}")
        return cls(bucket, key.rstrip("/"))

    def __truediv__(self, name: str) -> S3Uri:
        return S3Uri(self.bucket, f"{self.key}/{name}" if self.key else name)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}" if self.key else f"s3://{self.bucket}"


_BODY_ATTEMPTS = 5


def read_object(s3_client: Any, **parameters: Any) -> dict[str, Any]:
    """GetObject's answer about a small object, its ``Body`` as bytes. *parameters* are GetObject's.

    botocore sends a request again that got no answer, but leaves a body that ends early, or arrives damaged, to us.

    :raises ClientError: S3 said no.
    :raises BotoCoreError: S3 could not be reached, or no attempt brought the whole body.
    """
    from botocore.exceptions import FlexibleChecksumError, HTTPClientError, IncompleteReadError

    for attempt in range(1, _BODY_ATTEMPTS + 1):
        response: dict[str, Any] = s3_client.get_object(**parameters)
        try:
            body = bytes(response["Body"].read())
            wanted = response.get("ContentLength", len(body))
            if len(body) != wanted:
                raise IncompleteReadError(actual_bytes=len(body), expected_bytes=wanted)
            return {**response, "Body": body}
        except (FlexibleChecksumError, HTTPClientError, IncompleteReadError) as error:
            if attempt == _BODY_ATTEMPTS:
                raise
            log.debug("reading %s again: %s", parameters["Key"], error)
            time.sleep(random.uniform(0, 0.25 * 2**attempt))
    raise AssertionError("unreachable")
