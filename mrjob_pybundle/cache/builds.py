"""Builds: their names, and what the cache knows of each: inputs, log, status."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import BinaryIO

from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.bundle.spec import canonical_json
from mrjob_pybundle.cache import layout
from mrjob_pybundle.cache.store import Store, age, answered, json_object
from mrjob_pybundle.errors import CacheError

_BUILD_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{8}")
_CLUSTER_NAME = "mrjob-pybundle build "

#: What is known of a status because it was read.
_NOT_SAID = ("age", "read_at", "ahead")


def new_build_id() -> str:
    """An id for one attempt to build, such as ``20261122-101112-0a1b2c3d``: when it began, and who knows who."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:8]}"


def is_build_id(text: str) -> bool:
    """Does *text* look like one?"""
    return _BUILD_ID.fullmatch(text) is not None


def began(build_id: str) -> datetime:
    """When a build began, by the clock of who began it."""
    return datetime.strptime(build_id[:15], "%Y%m%d-%H%M%S").replace(tzinfo=timezone.utc)


def cluster_name(build_id: str) -> str:
    """The name of the cluster that a build runs on. No other cluster has it."""
    return f"{_CLUSTER_NAME}{build_id}"


def build_id_of(name: str) -> str | None:
    """The build that a cluster of that name is for, ``None`` if it is for none."""
    return name.removeprefix(_CLUSTER_NAME) if name.startswith(_CLUSTER_NAME) else None


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
    #: what whoever waits should know, one line each
    notes: tuple[str, ...] = ()
    #: seconds since the epoch, by S3's clock, when it was read; ``None``: it was not
    read_at: float | None = field(default=None, compare=False)
    #: seconds by which S3's clock was then ahead of this machine's
    ahead: float = field(default=0.0, compare=False)

    @property
    def ended(self) -> float:
        """When the last of the finished stages had ended: seconds since the epoch, by the master's clock."""
        return self.started + sum(self.stages.values())

    @property
    def reason(self) -> str:
        """Why the build failed, with its exit status."""
        message = self.message or "no message"
        exit_status = f"exit status {self.exit_status}"
        return message if self.exit_status is None or message.endswith(exit_status) else f"{message} ({exit_status})"


class Builds:
    """The builds' directories in a store. Every method raises :class:`CacheError` when S3 says no."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def uri(self, build_id: str, name: str = "") -> S3Uri:
        """Where a build's file lies; without a *name*, its directory."""
        return self._store.uri(layout.of_build(build_id, name).rstrip("/"))

    def exists(self, build_id: str) -> bool:
        """Has a build left anything?"""
        return next(self._store.objects(layout.of_build(build_id, "")), None) is not None

    def put(self, build_id: str, name: str, body: bytes | BinaryIO) -> S3Uri:
        """Write one of a build's files."""
        self._store.write(layout.of_build(build_id, name), body)
        return self.uri(build_id, name)

    def read(self, build_id: str, name: str) -> bytes | None:
        """One of a build's files, ``None`` if it is not there."""
        return self._store.read(layout.of_build(build_id, name))

    def status(self, build_id: str) -> Status | None:
        """What the master last said, or ``None`` if it hasn't said anything yet."""
        name = layout.of_build(build_id, layout.STATUS)
        response, uri = self._store.get(name), self._store.uri(name)
        if response is None:
            return None
        status = json_object(response["Body"], uri)
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
                age=age(response),
                notes=tuple(map(str, status.get("notes", ()))),
                read_at=answered(response),
                ahead=answered(response) - time.time(),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CacheError(f"{uri} is not a build's status ({error!r})") from error

    def put_status(self, build_id: str, status: Status) -> None:
        """Say for a master that can't any more how its build ended."""
        said = {name: value for name, value in asdict(status).items() if name not in _NOT_SAID}
        self.put(build_id, layout.STATUS, canonical_json(said).encode("ascii"))

    def read_log(self, build_id: str, start: int, end: int) -> bytes:
        """The bytes *start* to *end* (exclusive) of a build's log; fewer if there are not that many."""
        return self._store.read_range(layout.of_build(build_id, layout.LOG), start, end)
