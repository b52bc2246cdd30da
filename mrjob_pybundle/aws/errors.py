"""What a person is told when S3 or EMR says no."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mrjob_pybundle.errors import CacheError, PyBundleError

#: Codes by which AWS says that we may not.
DENIED = ("AccessDenied", "AccessDeniedException", "403", "Forbidden", "AllAccessDisabled")


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
    """The one line that a person reads when AWS has answered *error* while *doing* something."""
    code = error_code(error)
    kind = type(error).__name__
    if kind in ("NoCredentialsError", "PartialCredentialsError"):
        return CacheError(
            f"No AWS credentials ({doing}). Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,"
            " or run 'aws configure' or 'aws sso login'."
        )
    if code in ("ExpiredToken", "ExpiredTokenException", "RequestExpired") or "Expired" in kind:
        return CacheError(f"Your AWS credentials have expired ({doing}). Renew them and run the job again.")
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
    if not code:
        return CacheError(f"AWS gave no usable answer, even after retries ({doing}): {_message(error)}")
    return CacheError(f"AWS said no ({doing}): {_message(error)}")


def _message(error: Exception) -> str:
    return " ".join(str(error).split())
