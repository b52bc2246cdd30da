"""How AWS is reached: credentials, and clients made of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from mrjob_pybundle.aws.errors import explain


@dataclass(frozen=True)
class Credentials:
    """How to reach AWS: mrjob's options of the same names. ``None`` leaves it to boto3.

    Making a client raises :class:`OptionError` where they, or the profile that boto3 goes by, can't be right.
    """

    region: str | None
    aws_access_key_id: str | None = None
    aws_secret_access_key: str | None = field(default=None, repr=False)
    aws_session_token: str | None = field(default=None, repr=False)
    s3_endpoint: str | None = None
    emr_endpoint: str | None = None

    def in_region(self, region: str) -> Credentials:
        """The same for another region's EMR, which the endpoint that the options name is none of."""
        return replace(self, region=region, emr_endpoint=None)

    def s3_client(self) -> Any:
        """A boto3 S3 client that retries with back-off (botocore's *standard* mode)."""
        client = self._client("s3", self.s3_endpoint, attempts=5)
        refuse_incomplete_answers(client)
        return client

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


def refuse_incomplete_answers(client: Any) -> None:
    """Have *client*, of S3 or EMR, take an answer that ends early for an error 500.

    Otherwise botocore takes half a JSON document for an answer without content: no cluster id, no clusters; and half of
    S3's word that there is no such object for an error that has no name.
    """
    service = client.meta.service_model.service_id.hyphenize()
    client.meta.events.register(f"before-parse.{service}", _refuse_incomplete_answer)
    client.meta.events.register_first(f"needs-retry.{service}", _count_as_failed)


_INCOMPLETE = {
    "rest-xml": b"<Error><Code>IncompleteAnswer</Code><Message>The answer ended early.</Message></Error>",
    "json": b'{"__type": "IncompleteAnswer", "message": "The answer ended early."}',
}


def _refuse_incomplete_answer(response_dict: dict[str, Any], operation_model: Any, **_: Any) -> None:
    body = response_dict["body"]
    if not isinstance(body, bytes) or operation_model.http.get("method") == "HEAD":
        return  # a stream, whose reader counts; or an answer that has a length but never a body
    if len(body) < int(response_dict["headers"].get("content-length", 0)):
        response_dict["status_code"] = 500
        response_dict["body"] = _INCOMPLETE[operation_model.service_model.metadata["protocol"]]


def _count_as_failed(response: tuple[Any, dict[str, Any]] | None, **_: Any) -> None:
    """Whether to try again, and to raise an error, goes by the status in the answer's own object."""
    if response is not None and response[1].get("Error", {}).get("Code") == "IncompleteAnswer":
        response[0].status_code = 500


_BUCKET_ASKED = "pybundle_bucket"


def learn_bucket_regions(s3_client: Any) -> dict[str, str]:
    """Bucket → region, as S3 tells *s3_client* by the way from now on: always about a bucket that is elsewhere.

    To whoever asks in another region it answers where the bucket is, and botocore asks there.
    """
    regions: dict[str, str] = {}

    def note_bucket(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        context[_BUCKET_ASKED] = params.get("Bucket")

    def note_region(response: tuple[Any, dict[str, Any]] | None, request_dict: dict[str, Any], **_: Any) -> None:
        bucket = request_dict["context"].get(_BUCKET_ASKED)
        if response is not None and bucket is not None:
            region = response[1].get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("x-amz-bucket-region")
            regions.update({bucket: region} if region else {})

    s3_client.meta.events.register("before-parameter-build.s3", note_bucket)
    s3_client.meta.events.register("needs-retry.s3", note_region)
    return regions
