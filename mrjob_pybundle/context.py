"""Where a team's cache is, who asks for it, and how AWS is reached: what every command needs, and many need alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from botocore.exceptions import ClientError

from mrjob_pybundle import options
from mrjob_pybundle.aws.clients import Credentials, learn_bucket_regions
from mrjob_pybundle.aws.emr import Emr
from mrjob_pybundle.aws.errors import explained, http_status
from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.cache.cache import Cache

#: How often a build's status is read, at most (seconds).
_S3_POLL_SECONDS = 3.0

#: What botocore signs for, and asks S3 as a whole, where nobody has named a region.
_NO_REGION = "aws-global"

_CREDENTIALS = ("region", "aws_access_key_id", "aws_secret_access_key", "aws_session_token")
_ENDPOINTS = ("s3_endpoint", "emr_endpoint")

#: mrjob's names of the options that a context is made of.
OPTION_NAMES = (
    *_CREDENTIALS,
    *_ENDPOINTS,
    "cloud_tmp_dir",
    "owner",
    "check_cluster_every",
    "pybundle_cache_uri",
    "pybundle_bucket_owner",
)


@dataclass(frozen=True)
class Context:
    """A team's cache, and AWS. Clients are made when they are first needed; nothing is asked before."""

    credentials: Credentials
    cache_uri: S3Uri
    #: AWS account id that must own the cache's bucket; ``None``: anybody
    bucket_owner: str | None
    #: who runs this, for the others of the team
    owner: str
    #: how often EMR is asked for the state of a cluster that is waited for (seconds)
    emr_poll_seconds: float

    @classmethod
    def of(cls, opts: Mapping[str, Any]) -> Context:
        """What mrjob's combined options lead to: *opts* has at least those of :data:`OPTION_NAMES`.

        :raises OptionError: an option's value can't work; the message names the option.
        """
        return cls(
            credentials=Credentials(**{name: opts[name] for name in (*_CREDENTIALS, *_ENDPOINTS)}),
            cache_uri=options.cache_uri(opts),
            bucket_owner=options.bucket_owner(opts),
            owner=opts["owner"] or "no_user",
            emr_poll_seconds=options.seconds("check_cluster_every", opts["check_cluster_every"]),
        )

    @cached_property
    def s3(self) -> Any:
        """A boto3 client."""
        return self._s3_and_regions[0]

    @cached_property
    def bucket_regions(self) -> Mapping[str, str]:
        """Bucket → region, as far as S3 has told by the way; always of a bucket that is in another region."""
        return self._s3_and_regions[1]

    def find_bucket(self, bucket: str) -> None:
        """Have S3 tell where a bucket is (HeadBucket), if it does.

        :raises CacheError: it could not be asked.
        """
        with explained(f"asking for s3://{bucket} (HeadBucket)"):
            try:
                self.s3.head_bucket(Bucket=bucket)
            except ClientError as error:
                if http_status(error) >= 500:
                    raise

    def region_of(self, bucket: str) -> str:
        """The region of a bucket that S3 has answered about; ``""`` if that does not tell.

        Whoever asks in another region is told where it is, so who was told nothing has asked in the right one.
        """
        asked_in = str(self.s3.meta.region_name)
        return self.bucket_regions.get(bucket) or ("" if asked_in == _NO_REGION else asked_in)

    @cached_property
    def _s3_and_regions(self) -> tuple[Any, Mapping[str, str]]:
        client = self.credentials.s3_client()
        return client, learn_bucket_regions(client)

    @cached_property
    def emr(self) -> Emr:
        """EMR in the region of the options."""
        return Emr(self.credentials)

    def emr_in(self, region: str | None) -> Emr:
        """EMR in another region, with the same credentials; ``None``: in that of the options."""
        return self.emr if region in (None, self.emr.region) else Emr(self.credentials.in_region(str(region)))

    def account(self) -> str:
        """The id of the account whose credentials these are (GetCallerIdentity, which nobody need be allowed).

        :raises CacheError: AWS did not say.
        """
        with explained("asking which account this is (GetCallerIdentity)"):
            return str(self.credentials.client("sts").get_caller_identity()["Account"])

    @cached_property
    def cache(self) -> Cache:
        """The team's cache."""
        return Cache(self.cache_uri, self.s3, self.bucket_owner)

    @property
    def s3_poll_seconds(self) -> float:
        """How often S3 is asked for news of a build (seconds)."""
        return min(_S3_POLL_SECONDS, self.emr_poll_seconds)
