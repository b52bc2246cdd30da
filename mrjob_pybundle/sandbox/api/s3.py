"""S3 whose content outlives the process.

moto keeps objects in memory. Here every change is on disk before its request is answered, so that a
sandbox that is killed loses nothing that a client was told is stored. On disk, a bucket is::

    <directory>/<bucket>/data/<random name>   an object's bytes
    <directory>/<bucket>/keys/<sha256>.json   key, ETag and headers, and the name of the bytes

An object appears, changes or disappears with one rename or unlink of its ``.json``. Keys are hashed
because a key may be longer than a file name, may hold any character, and may be "directory" and "file" at
the same time. Only the newest version of an object is kept in buckets with versioning.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
from collections import deque
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from moto.s3.models import FakeBucket, FakeKey, S3Backend, s3_backends

# A client that is just downloading an object must be able to finish although the object is replaced.
_RETIRED_BLOBS_KEPT = 64


class _Blob:
    """An object's bytes on disk, as the file-like value buffer that moto's keys use; open only while read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0

    def seek(self, offset: int) -> None:
        self._offset = offset

    def read(self, size: int = -1) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self._offset)
            data = file.read(size)
        self._offset += len(data)
        return data

    def close(self) -> None:
        pass


class DurableS3(S3Backend):
    """moto's S3 backend, kept in *directory*. Load once, then call :meth:`flush` after every request."""

    def __init__(self, directory: Path, account_id: str) -> None:
        super().__init__("aws", account_id)
        self._directory = directory
        self._touched: set[tuple[str, str]] = set()
        self._touched_lock = threading.Lock()
        self._retired: deque[Path] = deque()

    def install(self) -> None:
        """Make this the backend that moto's S3 answers from, and load what an earlier sandbox kept."""
        s3_backends[self.account_id]["aws"] = self
        self._directory.mkdir(parents=True, exist_ok=True)
        for bucket_directory in sorted(self._directory.iterdir()):
            self._load_bucket(bucket_directory)

    def uninstall(self) -> None:
        """Leave moto's S3, and the names of our buckets, to whoever uses it next in this process."""
        s3_backends[self.account_id].pop("aws", None)
        for bucket in self.buckets:
            s3_backends.bucket_accounts.pop(bucket, None)

    # What changes content notes it; flush() writes it.

    def create_bucket(self, bucket_name: str, *args: Any, **kwargs: Any) -> FakeBucket:
        bucket = super().create_bucket(bucket_name, *args, **kwargs)
        for name in ("data", "keys"):
            (self._directory / bucket_name / name).mkdir(parents=True, exist_ok=True)
        return bucket

    def delete_bucket(self, bucket_name: str) -> FakeBucket | None:
        bucket = super().delete_bucket(bucket_name)
        if bucket is not None:
            self.flush()
            self._forget_blobs(keep=0)
            for name in ("data", "keys", ""):
                (self._directory / bucket_name / name).rmdir()
        return bucket

    def put_object(self, bucket_name: str, key_name: str, *args: Any, **kwargs: Any) -> FakeKey:
        self._touch(bucket_name, key_name)
        return super().put_object(bucket_name, key_name, *args, **kwargs)

    def delete_object(self, bucket_name: str, key_name: str, *args: Any, **kwargs: Any) -> tuple[bool, dict[str, Any]]:
        self._touch(bucket_name, key_name)
        return super().delete_object(bucket_name, key_name, *args, **kwargs)

    def _touch(self, bucket_name: str, key_name: str) -> None:
        with self._touched_lock:
            self._touched.add((bucket_name, key_name))

    def flush(self) -> None:
        """Bring the directory up to date with all changes so far."""
        with self._touched_lock:
            touched, self._touched = self._touched, set()
        for bucket_name, key_name in touched:
            bucket = self.buckets.get(bucket_name)
            if bucket is None:
                continue
            key = bucket.keys.get(key_name)
            if isinstance(key, FakeKey):
                self._write(bucket_name, key)
            else:
                self._remove(bucket_name, key_name)
        self._forget_blobs(keep=_RETIRED_BLOBS_KEPT)

    def _record_path(self, bucket_name: str, key_name: str) -> Path:
        digest = hashlib.sha256(key_name.encode()).hexdigest()
        return self._directory / bucket_name / "keys" / f"{digest}.json"

    def _write(self, bucket_name: str, key: FakeKey) -> None:
        record_path = self._record_path(bucket_name, key.name)
        self._retire(bucket_name, record_path)
        blob = self._directory / bucket_name / "data" / secrets.token_hex(16)
        with key.lock:
            _copy(key._value_buffer, blob)
            etag = key.etag.strip('"')
            key._value_buffer.close()
            key._value_buffer = _Blob(blob)  # type: ignore[assignment]
        if key.multipart:  # its parts are a second copy of the bytes
            key.multipart.dispose()
            key.multipart = None
        record = {
            "key": key.name,
            "blob": blob.name,
            "size": key.contentsize,
            "etag": etag,
            "last_modified": key.last_modified.isoformat(),
            "storage_class": key.storage_class,
            "metadata": dict(key.metadata),
            "checksum": [
                key.checksum_algorithm,
                key.checksum_value,
                key.checksum_type,
                key.checksum_parts,
            ],
        }
        partial = record_path.with_suffix(".partial")
        partial.write_text(json.dumps(record), encoding="utf-8")
        partial.replace(record_path)

    def _remove(self, bucket_name: str, key_name: str) -> None:
        record_path = self._record_path(bucket_name, key_name)
        self._retire(bucket_name, record_path)
        record_path.unlink(missing_ok=True)

    def _retire(self, bucket_name: str, record_path: Path) -> None:
        if record_path.exists():
            blob_name = json.loads(record_path.read_text(encoding="utf-8"))["blob"]
            self._retired.append(self._directory / bucket_name / "data" / blob_name)

    def _forget_blobs(self, keep: int) -> None:
        while len(self._retired) > keep:
            self._retired.popleft().unlink(missing_ok=True)

    def _load_bucket(self, bucket_directory: Path) -> None:
        bucket = self.create_bucket(bucket_directory.name, "us-east-1")
        blobs = set()
        for record_path in sorted((bucket_directory / "keys").glob("*.json")):
            record = json.loads(record_path.read_text(encoding="utf-8"))
            blobs.add(record["blob"])
            key = self._key(bucket.name, record, bucket_directory / "data" / record["blob"])
            bucket.keys.setlist(key.name, [key])
        for blob in (bucket_directory / "data").iterdir():
            if blob.name not in blobs:
                blob.unlink()

    def _key(self, bucket_name: str, record: dict[str, Any], blob: Path) -> FakeKey:
        key = FakeKey(
            name=record["key"],
            value=b"",
            account_id=self.account_id,
            region_name=self.region_name,
            storage=record["storage_class"],
            etag=record["etag"],
            version_id="null",
            bucket_name=bucket_name,
        )
        key._value_buffer.close()
        key._value_buffer = _Blob(blob)  # type: ignore[assignment]
        key.contentsize = record["size"]
        key.last_modified = datetime.fromisoformat(record["last_modified"])
        key.set_metadata(record["metadata"])
        key.checksum_algorithm, key.checksum_value, key.checksum_type, key.checksum_parts = record["checksum"]
        return key


def _copy(source: Any, target: Path) -> None:
    source.seek(0)
    with target.open("xb") as file:
        _copy_chunks(source, file)


def _copy_chunks(source: Any, file: BinaryIO) -> None:
    while chunk := source.read(1 << 20):
        file.write(chunk)
