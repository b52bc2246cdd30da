"""The cache: a prefix in an S3 bucket that a team shares, and all that we read and write below it.

::

    v1/python/<key>/manifest.json             complete when this exists
    v1/python/<key>/<sha256>.tar.gz
    v1/venv/<key>/manifest.json               names key and digest of its python archive, too
    v1/venv/<key>/<sha256>.tar.gz
    v1/venv/<key>/used                        its time of modification is when a job last used the bundle
    v1/{python,venv}/<key>/retired            its manifest was taken away: by whom, when, and what it named
    v1/claims/<key>.json                      who is building it
    v1/builds/<build-id>/…                    a build's inputs, log, status
    v1/sources/<sha256>/Python-3.13.5.tar.xz

S3 is strongly consistent, and its conditional writes (``If-None-Match``, ``If-Match``) are what authors who
need the same bundle at once agree by: see "Conditional requests" in the Amazon S3 User Guide.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from mrjob_pybundle.aws.errors import DENIED, error_code, explained
from mrjob_pybundle.aws.s3 import S3Uri, read_object
from mrjob_pybundle.bundle.spec import Archive, Bundle, BundleSpec, PythonSpec, canonical_json
from mrjob_pybundle.errors import CacheError

LAYOUT = "v1"

_Result = TypeVar("_Result")

#: S3 answers 409 to concurrent conditional writes of one key, and asks to try again.
_CONFLICT_TRIES = 10
_CONFLICT_PAUSE_SECONDS = 0.2


@dataclass(frozen=True)
class Claim:
    """Who is building what a key names."""

    build_id: str
    owner: str
    #: seconds since the epoch, by the claimant's clock; for people, who can tell when a clock is wrong
    since: float
    cluster_id: str | None = None
    #: grows each time that a claimant who is preparing a build says so: no two claims have the same ETag
    beat: int = 0
    #: S3's, of the claim as it was read or written
    etag: str | None = field(default=None, compare=False)
    #: seconds since it was written, by S3's clock, when it was read
    age: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class Status:
    """What the master says of its build: see build-binaries.sh."""

    #: ``RUNNING``, ``SUCCEEDED`` or ``FAILED``
    state: str
    stage: str
    #: seconds since the epoch, by the master's clock
    started: float
    stage_started: float
    #: bytes of log.txt
    log_size: int
    #: finished stage → seconds
    stages: Mapping[str, float]
    exit_status: int | None
    message: str | None
    #: seconds since it was written, by S3's clock, when it was read
    age: float = field(default=0.0, compare=False)

    @property
    def reason(self) -> str:
        """Why the build failed, with its exit status."""
        message = self.message or "no message"
        exit_status = f"exit status {self.exit_status}"
        return message if self.exit_status is None or message.endswith(exit_status) else f"{message} ({exit_status})"


@dataclass(frozen=True)
class StoredObject:
    """An object in the cache. *name* is relative to the layout's directory: ``venv/<key>/manifest.json``."""

    name: str
    #: bytes
    size: int
    #: seconds since the epoch, by S3's clock
    modified: float


@dataclass(frozen=True)
class Hit:
    """A cached bundle."""

    bundle: Bundle
    #: when a job's use of it was last noted: seconds since the epoch, by S3's clock; ``None``: never
    used: float | None


class Cache:
    """The cache at *root*. Every method raises :class:`CacheError` when S3 says no."""

    def __init__(self, root: S3Uri, s3_client: Any, bucket_owner: str | None = None) -> None:
        self.root = root
        self.bucket_owner = bucket_owner
        self._s3 = s3_client
        self._base = root / LAYOUT

    # bundles

    def find(self, spec: BundleSpec) -> Bundle | None:
        """The cached bundle of *spec*, or ``None`` if an archive, its manifest, or the bucket is missing."""
        hit = self.look_up(spec)
        return hit.bundle if hit else None

    def look_up(self, spec: BundleSpec) -> Hit | None:
        """The cached bundle of *spec* and when it was last used, or ``None`` where :meth:`find` says so.

        Three requests, sent together.
        """
        venv_dir, python_dir = self._dir("venv", spec.key), self._dir("python", spec.python.key)
        with ThreadPoolExecutor(3) as pool:
            manifest_read = pool.submit(self._read_json, venv_dir / "manifest.json")
            venv_listed = pool.submit(self._list, venv_dir)
            python_listed = pool.submit(self._list, python_dir)
        manifest = manifest_read.result()
        if manifest is None:
            return None
        uri = venv_dir / "manifest.json"
        bundle = Bundle(
            python=_archive(manifest, "python", spec.python.key, uri),
            venv=_archive(manifest, "archive", spec.key, uri),
        )
        beside = venv_listed.result()
        if not (_is_whole(bundle.venv, beside) and _is_whole(bundle.python, python_listed.result())):
            return None
        return Hit(bundle, beside["used"].modified if "used" in beside else None)

    def note_use(self, key: str, owner: str) -> bool:
        """Note that *owner*'s job uses the bundle of a venv key, now. ``False`` if we are not allowed to."""
        uri = self._dir("venv", key) / "used"
        with self._explained(f"writing {uri}"):
            try:
                self._put(uri, f"{owner}\n".encode())
            except ClientError as error:
                if error_code(error) in DENIED:
                    return False
                raise
        return True

    def find_python(self, spec: PythonSpec) -> Archive | None:
        """The cached python archive of *spec*, or ``None``."""
        directory = self._dir("python", spec.key)
        manifest = self._read_json(directory / "manifest.json")
        if manifest is None:
            return None
        archive = _archive(manifest, "archive", spec.key, directory / "manifest.json")
        return archive if _is_whole(archive, self._list(directory)) else None

    def archive_uri(self, kind: str, archive: Archive) -> S3Uri:
        """Where *archive* lies; *kind* is ``python`` or ``venv``."""
        return self._dir(kind, archive.key) / archive.name

    # sources

    def stage_source(self, content: bytes, name: str) -> S3Uri:
        """Put a source tarball into the cache, under its digest, unless it is there.

        S3 is told the digest, too, and takes nothing else ("Checking object integrity" in the Amazon S3 User Guide).
        """
        digest = hashlib.sha256(content)
        uri = self._base / "sources" / digest.hexdigest() / name
        if not self._exists(uri):
            with self._explained(f"writing {uri}"):
                self._put_if_absent(uri, content, base64.b64encode(digest.digest()).decode("ascii"))
        return uri

    def find_source(self, sha256: str, name: str) -> S3Uri | None:
        """The staged source tarball with that digest, or ``None``."""
        uri = self._base / "sources" / sha256 / name
        return uri if self._exists(uri) else None

    # builds

    def build_dir(self, build_id: str) -> S3Uri:
        """The directory of a build: inputs, log, status."""
        return self._base / "builds" / build_id

    def put_build_file(self, build_id: str, name: str, body: bytes) -> S3Uri:
        """Write one of a build's inputs."""
        uri = self.build_dir(build_id) / name
        with self._explained(f"writing {uri}"):
            self._s3.put_object(**self._at(uri), Body=body)
        return uri

    def status(self, build_id: str) -> Status | None:
        """What the master last said, or ``None`` if it hasn't said anything yet."""
        uri = self.build_dir(build_id) / "status.json"
        response = self._get(uri)
        if response is None:
            return None
        status = _json_object(response["Body"], uri)
        try:
            return Status(
                state=str(status["state"]),
                stage=str(status["stage"]),
                started=float(status["started"]),
                stage_started=float(status["stage_started"]),
                log_size=int(status["log_size"]),
                stages={str(name): float(seconds) for name, seconds in status["stages"].items()},
                exit_status=status.get("exit_status"),
                message=status.get("message"),
                age=_age(response),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CacheError(f"{uri} is not a build's status ({error!r})") from error

    def put_status(self, build_id: str, status: Status) -> None:
        """Say for a master that can't any more how its build ended."""
        said = {name: value for name, value in asdict(status).items() if name != "age"}
        self.put_build_file(build_id, "status.json", canonical_json(said).encode("ascii"))

    def read_log(self, build_id: str, start: int, end: int) -> bytes:
        """The bytes *start* to *end* (exclusive) of a build's log; fewer if there are not that many."""
        if end <= start:
            return b""
        uri = self.build_dir(build_id) / "log.txt"
        with self._explained(f"reading {uri}"):
            try:
                body: bytes = read_object(self._s3, **self._at(uri), Range=f"bytes={start}-{end - 1}")["Body"]
            except ClientError as error:
                if error_code(error) in ("InvalidRange", "NoSuchKey"):
                    return b""
                raise
            return body

    # claims

    def claim(self, key: str, mine: Claim) -> Claim:
        """Claim *key* for a build of mine. The result is mine, or that of who was first."""
        uri = self._claim_uri(key)
        with self._explained(f"writing {uri}"):

            def attempt() -> Claim | None:
                try:
                    etag = self._put(uri, _claim_json(mine), IfNoneMatch="*")
                except ClientError as error:
                    if error_code(error) not in _PRECONDITION_FAILED:
                        raise
                    return self.read_claim(key)  # None: gone again, so try again
                return replace(mine, etag=etag)

            return self._until_settled(uri, attempt)

    def read_claim(self, key: str) -> Claim | None:
        """The claim on *key*, if there is one."""
        uri = self._claim_uri(key)
        response = self._get(uri)
        if response is None:
            return None
        try:
            claim = json.loads(response["Body"])
            return Claim(
                claim["build_id"],
                claim["owner"],
                float(claim["since"]),
                claim.get("cluster_id"),
                int(claim["beat"]),
                response["ETag"],
                _age(response),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CacheError(f"{uri} is not a build claim ({error!r}); delete it to go on") from error

    def replace_claim(self, key: str, old: Claim, new: Claim) -> Claim | None:
        """Put *new* where *old* is: to take it over, or to add the cluster's id. ``None`` if it has changed."""
        uri = self._claim_uri(key)
        with self._explained(f"writing {uri}"):

            def attempt() -> Claim | None:
                try:
                    etag = self._put(uri, _claim_json(new), IfMatch=old.etag)
                except ClientError as error:
                    if error_code(error) not in (*_PRECONDITION_FAILED, *_ABSENT):
                        raise
                    # a retried PUT meets what its first attempt has written
                    now = self.read_claim(key)
                    return now if now == new else _CHANGED
                return replace(new, etag=etag)

            claim = self._until_settled(uri, attempt)
            return None if claim is _CHANGED else claim

    def release_claim(self, key: str, build_id: str) -> None:
        """Remove the claim on *key* if it is that build's."""
        uri = self._claim_uri(key)
        with self._explained(f"deleting {uri}"):

            def attempt() -> bool | None:
                claim = self.read_claim(key)
                if claim is None or claim.build_id != build_id:
                    return True
                try:
                    self._s3.delete_object(**self._at(uri), IfMatch=claim.etag)
                except ClientError as error:
                    if error_code(error) not in (*_PRECONDITION_FAILED, *_ABSENT):
                        raise
                    return None
                return True

            self._until_settled(uri, attempt)

    # housekeeping, which takes the cache as objects; their names are relative to the layout's directory

    def objects(self, prefix: str) -> Iterator[StoredObject]:
        """All objects whose names begin with *prefix*."""
        base = f"{self._base.key}/"
        owner = {"ExpectedBucketOwner": self.bucket_owner} if self.bucket_owner else {}
        with self._explained(f"listing {self._base}/{prefix}"):
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self.root.bucket, Prefix=base + prefix, **owner
            )
            for page in pages:
                for found in page.get("Contents", ()):
                    name = found["Key"].removeprefix(base)
                    yield StoredObject(name, found["Size"], found["LastModified"].timestamp())

    def read(self, name: str) -> bytes | None:
        """The content of an object, ``None`` if there is no such object."""
        response = self._get(self._base / name)
        return None if response is None else bytes(response["Body"])

    def write(self, name: str, body: bytes) -> None:
        """Write an object, or what is to take its place."""
        uri = self._base / name
        with self._explained(f"writing {uri}"):
            self._put(uri, body)

    def clock(self) -> float:
        """What time it is for S3: seconds since the epoch. All ages are told by its clock, not by this machine's."""
        owner = {"ExpectedBucketOwner": self.bucket_owner} if self.bucket_owner else {}
        with self._explained(f"asking for s3://{self.root.bucket}"):
            answer = self._s3.head_bucket(Bucket=self.root.bucket, **owner)
        return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]).timestamp()

    def delete(self, name: str) -> None:
        """Delete an object. One that is gone already is no error."""
        uri = self._base / name
        with self._explained(f"deleting {uri}"):
            self._s3.delete_object(**self._at(uri))

    # how

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
        bucket, owner = self.root.bucket, self.bucket_owner
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

    def _dir(self, kind: str, key: str) -> S3Uri:
        return self._base / kind / key

    def _claim_uri(self, key: str) -> S3Uri:
        return self._base / "claims" / f"{key}.json"

    def _at(self, uri: S3Uri) -> dict[str, str]:
        owner = {"ExpectedBucketOwner": self.bucket_owner} if self.bucket_owner else {}
        return {"Bucket": uri.bucket, "Key": uri.key, **owner}

    def _get(self, uri: S3Uri) -> Any:
        """GetObject's answer with its body as bytes; ``None`` where there is no such object."""
        with self._explained(f"reading {uri}"):
            try:
                return read_object(self._s3, **self._at(uri))
            except ClientError as error:
                if error_code(error) in _NOTHING_THERE:
                    return None
                raise

    def _read_json(self, uri: S3Uri) -> dict[str, Any] | None:
        response = self._get(uri)
        return None if response is None else _json_object(response["Body"], uri)

    def _list(self, directory: S3Uri) -> dict[str, StoredObject]:
        """Name in *directory* → what lies there. (An archive's has a handful.)"""
        prefix = f"{directory.key.removeprefix(self._base.key).lstrip('/')}/"
        return {found.name.removeprefix(prefix): found for found in self.objects(prefix)}

    def _exists(self, uri: S3Uri) -> bool:
        with self._explained(f"reading {uri}"):
            try:
                self._s3.head_object(**self._at(uri))
            except ClientError as error:
                if error_code(error) in _ABSENT:
                    return False
                raise
        return True

    def _put(self, uri: S3Uri, body: Any, **conditions: str | None) -> str:
        return str(self._s3.put_object(**self._at(uri), Body=body, **conditions)["ETag"])

    def _put_if_absent(self, uri: S3Uri, body: bytes, sha256: str) -> None:
        try:
            self._put(uri, body, IfNoneMatch="*", ChecksumSHA256=sha256)
        except ClientError as error:
            # 409: somebody is writing the same bytes under the same digest right now
            if error_code(error) not in (*_PRECONDITION_FAILED, *_CONFLICT):
                raise

    def _until_settled(self, uri: S3Uri, attempt: Callable[[], _Result | None]) -> _Result:
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
        raise CacheError(f"{uri} keeps changing under our hands. Run the job again.")


_NOTHING_THERE = ("NoSuchKey", "NoSuchBucket")
_ABSENT = ("NoSuchKey", "404", "NotFound")
_PRECONDITION_FAILED = ("PreconditionFailed", "412")
_CONFLICT = ("ConditionalRequestConflict", "409", "OperationAborted")
_CHANGED = Claim("", "", 0.0)


def _age(response: Mapping[str, Any]) -> float:
    """How old an object is, in seconds. Both times in the answer are S3's, whose clock all authors share."""
    answered = parsedate_to_datetime(response["ResponseMetadata"]["HTTPHeaders"]["date"])
    age: float = (answered - response["LastModified"]).total_seconds()
    return max(age, 0.0)


def _json_object(body: bytes, uri: S3Uri) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError as error:
        raise CacheError(f"{uri} is damaged ({error}); delete it, and it will be built again") from error
    if not isinstance(value, dict):
        raise CacheError(f"{uri} is damaged (not a JSON object); delete it, and it will be built again")
    return value


def _is_whole(archive: Archive, beside: Mapping[str, StoredObject]) -> bool:
    return archive.name in beside and beside[archive.name].size == archive.size


def _claim_json(claim: Claim) -> bytes:
    return canonical_json(
        {
            "beat": claim.beat,
            "build_id": claim.build_id,
            "cluster_id": claim.cluster_id,
            "owner": claim.owner,
            "since": claim.since,
        }
    ).encode("ascii")


def _archive(manifest: dict[str, Any], section: str, key: str, uri: S3Uri) -> Archive:
    """The archive that *section* of a manifest describes; a venv manifest has two."""
    try:
        described = manifest[section]
        found_key = manifest["key"] if section == "archive" else described["key"]
        archive = Archive(found_key, described["sha256"], described["size"], described["unpacked_size"])
        if archive.key != key or len(bytes.fromhex(archive.sha256)) != 32:
            raise ValueError(f"key {archive.key}, sha256 {archive.sha256}")
        if not all(isinstance(size, int) and size > 0 for size in (archive.size, archive.unpacked_size)):
            raise ValueError(f"sizes {archive.size} and {archive.unpacked_size}")
    except (KeyError, TypeError, ValueError) as error:
        raise CacheError(
            f"{uri} does not describe what it should ({error!r}); delete it, and it will be built again"
        ) from error
    return archive
