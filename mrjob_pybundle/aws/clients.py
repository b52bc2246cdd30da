"""How AWS is reached: credentials, and clients made of them."""

from __future__ import annotations

from dataclasses import dataclass, field
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
