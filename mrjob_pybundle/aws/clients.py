"""S3 URIs, clients, and what a person is told when S3 or EMR says no."""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mrjob_pybundle.errors import CacheError, OptionError, PyBundleError

log = logging.getLogger("mrjob.pybundle")

#: See "General purpose bucket naming rules" in the Amazon S3 User Guide.
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")

#: Codes by which AWS says that we may not.
DENIED = ("AccessDenied", "AccessDeniedException", "403", "Forbidden", "AllAccessDisabled")


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


@dataclass(frozen=True)
class Credentials:
    """How to reach AWS: mrjob's options of the same names. ``None`` leaves it to boto3."""

    region: str | None
    aws_access_key_id: str | None = None
    aws_secret_access_key: str | None = None
    aws_session_token: str | None = None
    s3_endpoint: str | None = None
    emr_endpoint: str | None = None

    def s3_client(self) -> Any:
        """A boto3 S3 client that retries with back-off (botocore's *standard* mode)."""
        return self._client("s3", self.s3_endpoint, attempts=5)

    def emr_client(self, *, retries: bool = True) -> Any:
        """A boto3 EMR client. Without *retries* it is fit for RunJobFlow, which has no idempotency token."""
        client = self._client("emr", self.emr_endpoint, attempts=5 if retries else 1)
        refuse_incomplete_answers(client)
        return client

    def client(self, service: str, endpoint: str | None = None) -> Any:
        """A boto3 client for any other service."""
        return self._client(service, endpoint, attempts=5)

    def _client(self, service: str, endpoint: str | None, attempts: int) -> Any:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        try:
            return boto3.client(
                service,
                region_name=self.region,
                aws_access_key_id=self.aws_access_key_id,
                aws_secret_access_key=self.aws_secret_access_key,
                aws_session_token=self.aws_session_token,
                endpoint_url=_endpoint_url(endpoint),
                config=Config(retries={"mode": "standard", "total_max_attempts": attempts}),
            )
        except (BotoCoreError, ValueError) as error:  # an endpoint that is no URL is a ValueError
            raise explain(error, f"preparing to ask {service}") from error


def _endpoint_url(host_or_url: str | None) -> str | None:
    if not host_or_url or "://" in host_or_url:
        return host_or_url or None
    return f"https://{host_or_url}"


def refuse_incomplete_answers(emr_client: Any) -> None:
    """Have *emr_client* take an answer that ends early for an error 500.

    Otherwise botocore takes half a JSON document for an answer without content: no cluster id, no clusters.
    """
    emr_client.meta.events.register("before-parse.emr", _refuse_incomplete_answer)
    emr_client.meta.events.register_first("needs-retry.emr", _count_as_failed)


def _refuse_incomplete_answer(response_dict: dict[str, Any], **_: Any) -> None:
    if len(response_dict["body"]) < int(response_dict["headers"].get("content-length", 0)):
        response_dict["status_code"] = 500
        response_dict["body"] = b'{"__type": "IncompleteAnswer", "message": "The answer ended early."}'


def _count_as_failed(response: tuple[Any, dict[str, Any]] | None, **_: Any) -> None:
    """Whether to try again, and to raise an error, goes by the status in the answer's own object."""
    if response is not None and response[1].get("Error", {}).get("Code") == "IncompleteAnswer":
        response[0].status_code = 500


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
            return {**response, "Body": bytes(response["Body"].read())}
        except (FlexibleChecksumError, HTTPClientError, IncompleteReadError) as error:
            if attempt == _BODY_ATTEMPTS:
                raise
            log.debug("reading %s again: %s", parameters["Key"], error)
            time.sleep(random.uniform(0, 0.25 * 2**attempt))
    raise AssertionError("unreachable")


def error_code(error: Exception) -> str:
    """The code in a botocore ClientError's response (``NoSuchKey``, ``404``, ``PreconditionFailed``), or ``""``."""
    response = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn what botocore raises inside into a :class:`CacheError` of one line.

    *doing* says what was tried and on what: ``"reading s3://bucket/key"``.
    """
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError, Boto3Error) as error:
        raise explain(error, doing) from error


def explain(error: Exception, doing: str) -> PyBundleError:
    """The one line that a person reads when AWS, or botocore in its place, answered *error* while *doing* something.

    It is an :class:`OptionError` where AWS was never asked, because a setting on our side cannot work.
    """
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import ClientError

    if isinstance(error, Boto3Error) and isinstance(error.__context__, ClientError):
        error = error.__context__  # what S3 said to one request of an upload
    return _refused(error, doing) if error_code(error) else _unanswered(error, doing)


def _refused(error: Exception, doing: str) -> PyBundleError:
    code = error_code(error)
    if code in ("ExpiredToken", "ExpiredTokenException", "RequestExpired"):
        return _expired(doing)
    if code in (
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
        "InvalidClientTokenId",
    ):
        return CacheError(f"AWS does not accept your credentials ({code}, {doing}).")
    if code == "NoSuchBucket":
        return CacheError(
            f"There is no such bucket ({doing}). Create it, or set pybundle_cache_uri or cloud_tmp_dir"
            " to one that exists."
        )
    if code in DENIED:
        return CacheError(
            f"No permission ({doing}; AWS says: {_message(error)})."
            " docs/security.md lists what each role must be allowed."
        )
    if code in ("SlowDown", "Throttling", "ThrottlingException", "TooManyRequestsException", "503"):
        return CacheError(f"AWS is throttling requests, even after retries ({doing}). Try again in a few minutes.")
    return CacheError(f"AWS said no ({doing}): {_message(error)}")


#: Families of botocore's and boto3's own errors, by name: not every version has every class.
_NO_CREDENTIALS = {"NoCredentialsError", "PartialCredentialsError"}
_STALE_CREDENTIALS = {
    *("CredentialRetrievalError", "SSOError", "LoginError", "TokenRetrievalError", "RefreshWithMFAUnsupportedError"),
}
_OF_THE_ANSWER = {
    *("HTTPClientError", "ChecksumError", "FlexibleChecksumError", "IncompleteReadError", "CapacityNotAvailableError"),
    *("PaginationError", "WaiterError", "MetadataRetrievalError", "Boto3Error"),
}


def _unanswered(error: Exception, doing: str) -> PyBundleError:
    """What happened on the way to AWS and back, or before."""
    families = {family.__name__ for family in type(error).__mro__}
    message = _message(error).rstrip(".")
    if "Expired" in type(error).__name__:
        return _expired(doing)
    if families & _NO_CREDENTIALS:
        return CacheError(
            f"No AWS credentials ({doing}). Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,"
            " or run 'aws configure' or 'aws sso login'."
        )
    if families & _STALE_CREDENTIALS:
        return CacheError(f"No AWS credentials ({doing}): {message}. Renew them, for example by 'aws sso login'.")
    if "ProfileNotFound" in families:
        return OptionError(f"{message}. Set AWS_PROFILE to a profile in ~/.aws/config or ~/.aws/credentials.")
    if "ConfigParseError" in families:
        return OptionError(f"{message}. Correct that file, or have AWS_CONFIG_FILE name another.")
    if families & {"InvalidRegionError", "NoRegionError"}:
        return OptionError(f"{message}. Set region (--region) to one such as us-east-1.")
    if "ParamValidationError" in families:
        return OptionError(f"An option has a value that AWS does not take ({doing}): {message}")
    if families & _OF_THE_ANSWER:
        return CacheError(f"AWS gave no usable answer, even after retries ({doing}): {message}")
    if "ConnectionError" in families:
        return CacheError(
            f"No connection to AWS ({doing}): {message}."
            " Is the region right (--region), are endpoints and proxies, and does this machine have a network?"
        )
    return OptionError(
        f"A setting for AWS cannot work ({doing}): {message}."
        " Look at ~/.aws/config, the variables whose names begin with AWS_, and options for endpoints."
    )


def _expired(doing: str) -> PyBundleError:
    return CacheError(f"Your AWS credentials have expired ({doing}). Renew them and run the job again.")


def _message(error: Exception) -> str:
    return " ".join(str(error).split())
