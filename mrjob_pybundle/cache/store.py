"""Objects below a prefix in an S3 bucket, and the conditional writes by which authors agree.

S3 is strongly consistent, and its conditional writes (``If-None-Match``, ``If-Match``) are what authors who
need the same bundle at once agree by: see "Conditional requests" in the Amazon S3 User Guide.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from botocore.exceptions import ClientError

from mrjob_pybundle.aws.errors import DENIED, error_code, explained
from mrjob_pybundle.aws.s3 import S3Uri, read_object
from mrjob_pybundle.errors import CacheError

_Result = TypeVar("_Result")

#: S3 answers 409 to concurrent conditional writes of one key, and asks to try again.
_CONFLICT_TRIES = 10
_CONFLICT_PAUSE_SECONDS = 0.2

_NOTHING_THERE = ("NoSuchKey", "NoSuchBucket")
_NO_SUCH_RANGE = ("InvalidRange", "NoSuchKey")
_ABSENT = ("NoSuchKey", "404", "NotFound")
_PRECONDITION_FAILED = ("PreconditionFailed", "412")
_CONFLICT = ("ConditionalRequestConflict", "409", "OperationAborted")


@dataclass(frozen=True)
class StoredObject:
    """An object. *name* is relative to the store's prefix: ``venv/<key>/manifest.json``."""

    name: str
    #: bytes
    size: int
    #: seconds since the epoch, by S3's clock
    modified: float


class ChangedError(Exception):
    """An object was not, or not any more, what a conditional write took it for."""


class Store:
    """The objects below *prefix*, by names relative to it. Every method raises :class:`CacheError` when S3 says no."""

    def __init__(self, prefix: S3Uri, s3_client: Any, bucket_owner: str | None = None) -> None:
        self.prefix = prefix
        self.bucket_owner = bucket_owner
        self._s3 = s3_client

    def uri(self, name: str) -> S3Uri:
        """Where an object of that name lies."""
        return self.prefix / name

    # reading

    def get(self, name: str) -> Any:
        """GetObject's answer with its body as bytes; ``None`` where there is no such object."""
        with self._explained(f"reading {self.uri(name)}"):
            try:
                return read_object(self._s3, **self._at(name))
            except ClientError as error:
                if error_code(error) in _NOTHING_THERE:
                    return None
                raise

    def read(self, name: str) -> bytes | None:
        """The content of an object, ``None`` if there is no such object."""
        response = self.get(name)
        return None if response is None else bytes(response["Body"])

    def read_range(self, name: str, start: int, end: int) -> bytes:
        """The bytes *start* to *end* (exclusive) of an object; fewer if there are not that many."""
        if end <= start:
            return b""
        with self._explained(f"reading {self.uri(name)}"):
            try:
                body: bytes = read_object(self._s3, **self._at(name), Range=f"bytes={start}-{end - 1}")["Body"]
            except ClientError as error:
                if error_code(error) in _NO_SUCH_RANGE:
                    return b""
                raise
            return body

    def download(self, name: str, path: Path) -> None:
        """Write the content of an object into a file, of which there is no more than that if it fails.

        :raises OSError: it cannot be written.
        """
        uri = self.uri(name)
        with self._explained(f"reading {uri}"):
            self._s3.download_file(uri.bucket, uri.key, str(path), ExtraArgs=self._owner())

    def exists(self, name: str) -> bool:
        """Is there an object of that name?"""
        with self._explained(f"reading {self.uri(name)}"):
            try:
                self._s3.head_object(**self._at(name))
            except ClientError as error:
                if error_code(error) in _ABSENT:
                    return False
                raise
        return True

    def objects(self, prefix: str) -> Iterator[StoredObject]:
        """All objects whose names begin with *prefix*."""
        base = f"{self.prefix.key}/" if self.prefix.key else ""
        with self._explained(f"listing {self.prefix}/{prefix}"):
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self.prefix.bucket, Prefix=base + prefix, **self._owner()
            )
            for page in pages:
                for found in page.get("Contents", ()):
                    name = found["Key"].removeprefix(base)
                    yield StoredObject(name, found["Size"], found["LastModified"].timestamp())

    def clock(self) -> float:
        """What time it is for S3: seconds since the epoch. All ages are told by its clock, not by this machine's."""
        bucket = self.prefix.bucket
        with self._explained(f"asking for s3://{bucket}"):
            answer = self._s3.head_bucket(Bucket=bucket, **self._owner())
        return answered(answer)

    # writing

    def write(self, name: str, body: bytes | BinaryIO) -> None:
        """Write an object, or what is to take its place."""
        with self._explained(f"writing {self.uri(name)}"):
            self._put(name, body)

    def write_if_allowed(self, name: str, body: bytes) -> bool:
        """Like :meth:`write`, but ``False`` if we may not."""
        with self._explained(f"writing {self.uri(name)}"):
            try:
                self._put(name, body)
            except ClientError as error:
                if error_code(error) in DENIED:
                    return False
                raise
        return True

    def write_once(self, name: str, body: bytes, sha256: str) -> None:
        """Write an object unless it is there, with the same bytes, as *name* says by their *sha256*.

        S3 is told the digest, too, and takes nothing else ("Checking object integrity" in the Amazon S3 User Guide).
        """
        checksum = base64.b64encode(bytes.fromhex(sha256)).decode("ascii")
        with self._explained(f"writing {self.uri(name)}"):
            try:
                self._put(name, body, IfNoneMatch="*", ChecksumSHA256=checksum)
            except ClientError as error:
                # 409: somebody is writing the same bytes under the same digest right now
                if error_code(error) not in (*_PRECONDITION_FAILED, *_CONFLICT):
                    raise

    def create(self, name: str, body: bytes) -> str:
        """Write an object that is not there, and return its ETag. For :meth:`until_settled`.

        :raises ChangedError: it is there.
        """
        return self._if_unchanged(_PRECONDITION_FAILED, lambda: self._put(name, body, IfNoneMatch="*"))

    def replace(self, name: str, body: bytes, etag: str | None) -> str:
        """Write what takes the place of the object with that ETag; the new one's. For :meth:`until_settled`.

        :raises ChangedError: the object is another, or gone.
        """
        return self._if_unchanged((*_PRECONDITION_FAILED, *_ABSENT), lambda: self._put(name, body, IfMatch=etag))

    def delete(self, name: str) -> None:
        """Delete an object. One that is gone already is no error."""
        with self._explained(f"deleting {self.uri(name)}"):
            self._s3.delete_object(**self._at(name))

    def delete_unchanged(self, name: str, etag: str | None) -> None:
        """Delete the object with that ETag. For :meth:`until_settled`.

        :raises ChangedError: the object is another, or gone.
        """
        changed = (*_PRECONDITION_FAILED, *_ABSENT)
        self._if_unchanged(changed, lambda: self._s3.delete_object(**self._at(name), IfMatch=etag))

    def until_settled(self, doing: str, name: str, attempt: Callable[[], _Result | None]) -> _Result:
        """What *attempt* results in: tried again while that is ``None``, or S3 reports a write at the same time."""
        with self._explained(f"{doing} {self.uri(name)}"):
            for _ in range(_CONFLICT_TRIES):
                try:
                    result = attempt()
                except ClientError as error:
                    if error_code(error) not in _CONFLICT:
                        raise
                else:
                    if result is not None:
                        return result
                time.sleep(_CONFLICT_PAUSE_SECONDS)
        raise CacheError(f"{self.uri(name)} keeps changing under our hands. Run the job again.")

    # how

    def _put(self, name: str, body: Any, **conditions: str | None) -> str:
        return str(self._s3.put_object(**self._at(name), Body=body, **conditions)["ETag"])

    def _if_unchanged(self, changed: tuple[str, ...], request: Callable[[], _Result]) -> _Result:
        try:
            return request()
        except ClientError as error:
            if error_code(error) not in changed:
                raise
            raise ChangedError from error

    def _at(self, name: str) -> dict[str, str]:
        uri = self.uri(name)
        return {"Bucket": uri.bucket, "Key": uri.key, **self._owner()}

    def _owner(self) -> dict[str, str]:
        return {"ExpectedBucketOwner": self.bucket_owner} if self.bucket_owner else {}

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        """Like :func:`explained`, but a refusal is looked into where a bucket's owner was expected."""
        with explained(doing):
            try:
                yield
            except ClientError as error:
                if self.bucket_owner and error_code(error) in DENIED:
                    self._check_owner(doing)
                raise

    def _check_owner(self, doing: str) -> None:
        """S3 says the same to who may not and to who expects another owner; asked without an owner, it tells.

        :raises CacheError: it is the owner, or it may be.
        """
        bucket, owner = self.prefix.bucket, self.bucket_owner
        try:
            self._s3.head_bucket(Bucket=bucket)
        except ClientError as error:
            raise CacheError(
                f"No permission, or the bucket {bucket} does not belong to account {owner}, as pybundle_bucket_owner"
                f" says ({doing}): S3 does not say which. docs/security.md lists what each role must be allowed."
            ) from error
        try:
            self._s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=owner)
        except ClientError as error:
            if error_code(error) not in DENIED:
                raise
            raise CacheError(
                f"The bucket {bucket} does not belong to account {owner} ({doing}). Nothing was read from it or written"
                " to it. Correct pybundle_bucket_owner, or set pybundle_cache_uri to a bucket of that account."
            ) from error


def age(response: Mapping[str, Any]) -> float:
    """How old an object is, in seconds, by GetObject's answer: both times in it are S3's, whose clock all share."""
    return max(answered(response) - float(response["LastModified"].timestamp()), 0.0)


def answered(response: Mapping[str, Any]) -> float:
    """When S3 gave that answer: seconds since the epoch, by its clock, and to the second."""
    return parsedate_to_datetime(response["ResponseMetadata"]["HTTPHeaders"]["date"]).timestamp()


def json_object(body: bytes, uri: S3Uri) -> dict[str, Any]:
    """The JSON object that is in *body*, which was read from *uri*.

    :raises CacheError: there is none.
    """
    try:
        value = json.loads(body)
    except ValueError as error:
        raise CacheError(f"{uri} is damaged ({error}); delete it, and it will be built again") from error
    if not isinstance(value, dict):
        raise CacheError(f"{uri} is damaged (not a JSON object); delete it, and it will be built again")
    return value
