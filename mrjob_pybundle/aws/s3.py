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

#: "General purpose bucket naming rules" in the Amazon S3 User Guide; before 2018, us-east-1 also had capitals, ``_``
#: and up to 255 characters. An access point's alias is such a name, too.
_BUCKET = r"[A-Za-z0-9._-]{3,255}"
#: What botocore takes in the place of a bucket's name: access points' ARNs (``VALID_S3_ARN`` in botocore.handlers).
_ARN = (
    r"arn:aws[^:/]*:(?:s3|s3-object-lambda):[a-z0-9-]*:\d{12}:accesspoint[/:][A-Za-z0-9.-]{1,63}"
    r"|arn:aws[^:/]*:s3-outposts:[a-z0-9-]+:\d{12}:outpost[/:][A-Za-z0-9-]{1,63}[/:]accesspoint[/:][A-Za-z0-9-]{1,63}"
)
_URI = re.compile(rf"s3[an]?://(?:(?P<arn>{_ARN})|(?P<bucket>[^/]*))(?:/(?P<key>.*))?", re.DOTALL)

#: "Directory bucket naming rules" in the Amazon S3 User Guide.
_DIRECTORY_BUCKET_ENDING = "--x-s3"


@dataclass(frozen=True)
class S3Uri:
    """``s3://bucket/key``. The key of a "directory" has no slash at its end."""

    #: or an access point's ARN
    bucket: str
    key: str

    @classmethod
    def parse(cls, uri: str) -> S3Uri:
        """Parse an ``s3://`` URI (``s3a://`` and ``s3n://`` as well, which mrjob takes, too).

        :raises OptionError: *uri* is none, or its bucket can't exist.
        """
        match = _URI.fullmatch(str(uri))
        if match is None:
            raise OptionError(f"{uri!r} is not an S3 URI such as s3://my-bucket/pybundle/")
        bucket = match["arn"] or match["bucket"]
        if not match["arn"] and not re.fullmatch(_BUCKET, bucket):
            raise OptionError(f"{uri!r} is not an S3 URI: no bucket can be named {bucket!r}")
        key = (match["key"] or "").rstrip("/")
        if "\0" in key or not _is_utf_8(key):
            raise OptionError(f"{uri!r} is not an S3 URI: no object can be named so")
        return cls(bucket, key)

    @classmethod
    def parse_shared(cls, option: str, uri: str) -> S3Uri:
        """Parse the URI of a place that clusters use, by the AWS CLI and Hadoop, too.

        :raises OptionError: as with :meth:`parse`, and where they cannot use it; the message names *option*.
        """
        parsed = cls.parse(uri)
        if parsed.bucket.startswith("arn:"):
            raise OptionError(
                f"{option}: {uri} names a bucket by an ARN, which neither EMR nor Hadoop takes."
                " Use the access point's alias, which is a name (aws s3control get-access-point tells it)."
            )
        if parsed.bucket.endswith(_DIRECTORY_BUCKET_ENDING):
            raise OptionError(
                f"{option}: {parsed.bucket} is a directory bucket (S3 Express One Zone), which mrjob cannot list, and"
                " whose permissions are others. Use a general purpose bucket."
            )
        return parsed

    def __truediv__(self, name: str) -> S3Uri:
        return S3Uri(self.bucket, f"{self.key}/{name}" if self.key else name)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}" if self.key else f"s3://{self.bucket}"


def _is_utf_8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


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
