"""What AWS's errors mean: whether the same may work later, and who has to do something first."""

from __future__ import annotations

import socket

import pytest
from boto3.exceptions import RetriesExceededError, S3UploadFailedError
from botocore import exceptions
from botocore.stub import Stubber

from mrjob_pybundle.aws.clients import Credentials
from mrjob_pybundle.aws.errors import explain, explained, may_pass
from mrjob_pybundle.errors import CacheError, TransientError

#: code, HTTP status
PASSING = [
    ("SlowDown", 503),
    ("503", 503),  # of a HEAD request, whose answer has no body
    ("500", 500),
    ("502", 502),
    ("504", 504),
    ("429", 429),
    ("ServiceUnavailable", 503),
    ("InternalError", 500),
    ("InternalFailure", 500),
    ("InternalServerError", 500),
    ("InternalServerException", 400),
    ("Throttling", 400),
    ("ThrottlingException", 400),
    ("TooManyRequestsException", 429),
    ("RequestLimitExceeded", 503),
    ("RequestTimeout", 400),
    ("OperationAborted", 409),
    ("ConditionalRequestConflict", 409),
    ("IncompleteAnswer", 500),  # ours: see aws/clients.py
    ("", 500),
]
LASTING = [
    ("AccessDenied", 403),
    ("AccessDeniedException", 400),
    ("403", 403),
    ("AllAccessDisabled", 403),
    ("NoSuchBucket", 404),
    ("NoSuchKey", 404),
    ("404", 404),
    ("InvalidBucketName", 400),
    ("PermanentRedirect", 301),
    ("AuthorizationHeaderMalformed", 400),
    ("ExpiredToken", 400),
    ("ExpiredTokenException", 400),
    ("RequestExpired", 400),
    ("RequestTimeTooSkewed", 403),
    ("InvalidAccessKeyId", 403),
    ("SignatureDoesNotMatch", 403),
    ("UnrecognizedClientException", 400),
    ("InvalidClientTokenId", 403),
    ("ValidationException", 400),
    ("InvalidRequestException", 400),
    ("PreconditionFailed", 412),
    ("EntityTooLarge", 400),
    ("NotImplemented", 501),
    ("BucketAlreadyExists", 409),
]


def _error(code: str, status: int) -> exceptions.ClientError:
    """What botocore itself makes of such an answer."""
    client = Credentials("us-east-1", "key", "secret").s3_client()
    with Stubber(client) as stubber:
        stubber.add_client_error("get_object", code, "in words", status)
        with pytest.raises(exceptions.ClientError) as raised:
            client.get_object(Bucket="my-bucket", Key="key")
    return raised.value


@pytest.mark.parametrize(("code", "status"), PASSING)
def test_it_may_work_later(code: str, status: int) -> None:
    assert isinstance(explain(_error(code, status), "reading"), TransientError)


@pytest.mark.parametrize(("code", "status"), LASTING)
def test_somebody_must_do_something_first(code: str, status: int) -> None:
    error = explain(_error(code, status), "reading")
    assert isinstance(error, CacheError)
    assert not isinstance(error, TransientError)


def test_nobody_listens() -> None:
    with socket.socket() as free:  # bound, and not listening
        free.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{free.getsockname()[1]}"
        client = Credentials("us-east-1", "key", "secret", emr_endpoint=endpoint).emr_client(retries=False)
        with pytest.raises(TransientError, match="No connection to AWS"), explained("asking"):
            client.describe_cluster(ClusterId="j-1")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (exceptions.EndpointConnectionError(endpoint_url="x", error="x"), True),
        (exceptions.ConnectTimeoutError(endpoint_url="x"), True),
        (exceptions.ReadTimeoutError(endpoint_url="x"), True),
        (exceptions.ConnectionClosedError(endpoint_url="x"), True),
        (exceptions.ProxyConnectionError(proxy_url="x"), True),
        (exceptions.ResponseStreamingError(error="x"), True),
        (exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2), True),
        (exceptions.FlexibleChecksumError(error_msg="x"), True),
        (exceptions.SSLError(endpoint_url="x", error="EOF occurred in violation of protocol"), True),
        (exceptions.SSLError(endpoint_url="x", error="[SSL: CERTIFICATE_VERIFY_FAILED] self-signed"), False),
        (exceptions.NoCredentialsError(), False),
        (exceptions.PartialCredentialsError(provider="x", cred_var="x"), False),
        (exceptions.CredentialRetrievalError(provider="x", error_msg="x"), False),
        (exceptions.ProfileNotFound(profile="x"), False),
        (exceptions.NoRegionError(), False),
        (exceptions.InvalidRegionError(region_name="x y"), False),
        (exceptions.ParamValidationError(report="x"), False),
        (RetriesExceededError(OSError("x")), True),
        (S3UploadFailedError("x"), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_never_was_an_answer(error: Exception, expected: bool) -> None:
    assert may_pass(error) is expected


@pytest.mark.parametrize(("code", "status", "expected"), [("SlowDown", 503, True), ("AccessDenied", 403, False)])
def test_a_failed_upload_is_what_made_it_fail(code: str, status: int, expected: bool) -> None:
    """As boto3 raises it: while it handles botocore's."""
    failed = S3UploadFailedError("Failed to upload")
    failed.__context__ = _error(code, status)
    assert may_pass(failed) is expected
