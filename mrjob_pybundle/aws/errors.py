"""What a person is told when S3 or EMR says no."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mrjob_pybundle.errors import CacheError, NoSuchBucketError, OptionError, PyBundleError, TransientError

#: Codes by which AWS says that we may not.
DENIED = ("AccessDenied", "AccessDeniedException", "403", "Forbidden", "AllAccessDisabled")

#: Codes of a service that is too busy, whatever the HTTP status.
THROTTLED = (
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "TooManyRequestsException",
    "EC2ThrottledException",
    "503",
)

#: Codes of a service that has failed inside, whatever the HTTP status.
INTERNAL = ("InternalError", "InternalFailure", "InternalServerError", "InternalServerException", "ServiceUnavailable")

#: Codes of a request that was cut short, or met another at the same object.
_IN_PASSING = ("RequestTimeout", "RequestTimeoutException", "ConditionalRequestConflict", "OperationAborted")
_PASSING_STATUSES = (408, 429, 500, 502, 503, 504)


def error_code(error: BaseException) -> str:
    """The code in a botocore ClientError's response (``NoSuchKey``, ``404``, ``PreconditionFailed``), or ``""``."""
    response = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def may_pass(error: BaseException) -> bool:
    """Does it make sense to try again, in a while, what has ended in *error*, one of botocore's or boto3's?

    Yes: no connection, no answer or half of one, throttling, failures inside AWS. No: all that somebody has to change
    first, such as credentials, permissions, names and parameters.
    """
    from boto3.exceptions import Boto3Error, RetriesExceededError
    from botocore import exceptions

    if isinstance(error, RetriesExceededError):
        return True  # of s3transfer, which counts only what came to nothing on the way
    if isinstance(error, Boto3Error):
        return error.__context__ is not None and may_pass(error.__context__)
    if isinstance(error, exceptions.ClientError):
        return error_code(error) in (*THROTTLED, *INTERNAL, *_IN_PASSING) or http_status(error) in _PASSING_STATUSES
    if is_about_certificates(error):
        return False
    on_the_way = (
        exceptions.ConnectionError,
        exceptions.HTTPClientError,
        exceptions.IncompleteReadError,
        exceptions.FlexibleChecksumError,
        exceptions.ChecksumError,
    )
    return isinstance(error, on_the_way)


def was_throttled(error: BaseException) -> bool:
    """Did AWS say that it is asked too often? *error* may be :func:`explain`'s."""
    return error_code(error.__cause__ or error) in THROTTLED


def http_status(error: BaseException) -> int:
    """The HTTP status of a botocore ClientError; 0 where there is none."""
    response = getattr(error, "response", None) or {}
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def is_about_certificates(error: BaseException) -> bool:
    """Was there no connection because one side does not trust the other's certificate?"""
    from botocore.exceptions import SSLError

    return isinstance(error, SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error)


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn what botocore raises inside into a :class:`CacheError` of one line, or its :class:`TransientError`.

    *doing* says what was tried and on what: ``"reading s3://bucket/key"``.
    """
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError, Boto3Error) as error:
        raise explain(error, doing) from error
    except RuntimeError as error:
        if not are_stale_credentials(error):
            raise
        raise expired(doing) from error


def are_stale_credentials(error: RuntimeError) -> bool:
    """Did whoever hands out credentials (``credential_process``…) hand out some that have expired? botocore's words."""
    return str(error).startswith("Credentials were refreshed, but")


def explain(error: Exception, doing: str) -> PyBundleError:
    """The one line that a person reads when AWS, or botocore in its place, answered *error* while *doing* something.

    It is an :class:`OptionError` where AWS was never asked, because a setting on our side cannot work, and a
    :class:`TransientError` where trying again makes sense.
    """
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import ClientError

    if isinstance(error, Boto3Error) and isinstance(error.__context__, ClientError):
        error = error.__context__  # what S3 said to one request of an upload
    return _refused(error, doing) if isinstance(error, ClientError) else _unanswered(error, doing)


def _refused(error: Exception, doing: str) -> PyBundleError:
    code = error_code(error)
    if code in ("ExpiredToken", "ExpiredTokenException", "RequestExpired"):
        return expired(doing)
    if code in (
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
        "InvalidClientTokenId",
    ):
        return CacheError(f"AWS does not accept your credentials ({code}, {doing}).")
    if code == "NoSuchBucket":
        return NoSuchBucketError(
            f"There is no such bucket ({doing}). Create it, or set pybundle_cache_uri or cloud_tmp_dir"
            " to one that exists."
        )
    if code in DENIED:
        return CacheError(
            f"No permission ({doing}; AWS says: {_message(error)})."
            " docs/security.md lists what each role must be allowed."
        )
    if code in THROTTLED:
        return TransientError(f"AWS is throttling requests, even after retries ({doing}). Try again in a few minutes.")
    return _error_class(error)(f"AWS said no ({doing}): {_message(error)}")


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
        return expired(doing)
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
        return _error_class(error)(f"AWS gave no usable answer, even after retries ({doing}): {message}")
    if "ConnectionError" in families:
        return _error_class(error)(
            f"No connection to AWS ({doing}): {message}."
            " Is the region right (--region), are endpoints and proxies, and does this machine have a network?"
        )
    return OptionError(
        f"A setting for AWS cannot work ({doing}): {message}."
        " Look at ~/.aws/config, the variables whose names begin with AWS_, and options for endpoints."
    )


def _error_class(error: Exception) -> type[CacheError]:
    return TransientError if may_pass(error) else CacheError


def expired(doing: str) -> PyBundleError:
    """What a person reads whose credentials have expired."""
    return CacheError(f"Your AWS credentials have expired ({doing}). Renew them and run the job again.")


def _message(error: Exception) -> str:
    return " ".join(str(error).split())
