"""A job's files on S3: mrjob's own file system, which asks less, and sends small files side by side."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mrjob.fs.s3 import S3Filesystem
from mrjob.parse import parse_s3_uri

#: Bytes. What is larger is sent as mrjob has it: in parts, several at a time, and Ctrl-C ends that.
_SMALL = 4 << 20
_SIDE_BY_SIDE = 8


class S3Files(S3Filesystem):
    """As *stock* is, but it asks once where a bucket is, and makes one client for a region: not both for each file."""

    def __init__(self, stock: S3Filesystem) -> None:
        self.__dict__.update(vars(stock))
        self._resources: dict[str | None, Any] = {}
        self._buckets: dict[str, Any] = {}
        #: what sends small files, while these are sent side by side
        self._senders: Executor | None = None
        #: those that are on their way
        self._sent: list[Future[Any]] = []

    def make_s3_resource(self, region_name: str | None = None) -> Any:
        region = region_name or self._s3_region
        if region not in self._resources:
            self._resources[region] = super().make_s3_resource(region)
        return self._resources[region]

    def make_s3_client(self, region_name: str | None = None) -> Any:
        return self.make_s3_resource(region_name).meta.client

    def get_bucket(self, bucket_name: str) -> Any:
        if bucket_name not in self._buckets:
            self._buckets[bucket_name] = super().get_bucket(bucket_name)
        return self._buckets[bucket_name]

    def mkdir(self, path: str) -> None:
        """Like mrjob's, which has a bucket for *path* made where there is none. One that has answered is there."""
        if parse_s3_uri(path)[0] not in self._buckets:
            super().mkdir(path)

    def put(self, src: str, path: str) -> None:
        if self._senders is None or Path(src).stat().st_size > _SMALL:
            super().put(src, path)
            return
        if len(self._sent) == _SIDE_BY_SIDE:  # no more than that are in memory
            wait(self._sent, return_when=FIRST_COMPLETED)
        for arrived in [each for each in self._sent if each.done()]:
            self._sent.remove(arrived)
            arrived.result()
        bucket_name, key = parse_s3_uri(path)
        client = self.get_bucket(bucket_name).meta.client
        # Read now: a temporary file may have other content later.
        body = Path(src).read_bytes()
        self._sent.append(self._senders.submit(client.put_object, Bucket=bucket_name, Key=key, Body=body))

    @contextmanager
    def side_by_side(self) -> Iterator[None]:
        """In here, small files need not have arrived when :meth:`put` returns. Afterwards, none is on its way."""
        self._sent = []
        try:
            with ThreadPoolExecutor(_SIDE_BY_SIDE) as self._senders:
                yield
        finally:
            self._senders = None
        for each in self._sent:
            each.result()
