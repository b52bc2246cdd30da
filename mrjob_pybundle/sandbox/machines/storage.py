"""Where a step's data lies: S3, and the cluster's own HDFS, which is a directory."""

from __future__ import annotations

import fnmatch
import io
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol
from urllib.parse import quote, unquote


class StorageError(Exception):
    """Something that Hadoop would report as an IOException: a missing input, an existing output…"""


@dataclass(frozen=True, order=True)
class Uri:
    """``s3://bucket/key`` or ``hdfs:///path``. *path* has no leading slash."""

    scheme: str
    host: str
    path: str

    @classmethod
    def parse(cls, text: str) -> Uri:
        """:raises StorageError: a scheme that this engine has no storage for."""
        match = re.match(r"([a-zA-Z][a-zA-Z0-9+.-]*)://([^/]*)(.*)", text, re.DOTALL)
        scheme, host, path = match.groups() if match else ("hdfs", "", "/user/hadoop/" + text)
        if not match and text.startswith("/"):
            path = text
        if scheme in ("s3a", "s3n"):
            scheme = "s3"
        if scheme not in ("s3", "hdfs"):
            raise StorageError(f'No FileSystem for scheme "{scheme}": {text}')
        return cls(scheme, host if scheme == "s3" else "", path.lstrip("/"))

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}/{self.path}"

    def __truediv__(self, name: str) -> Uri:
        return Uri(self.scheme, self.host, f"{self.path.rstrip('/')}/{name}".lstrip("/"))

    @property
    def name(self) -> str:
        return self.path.rstrip("/").rpartition("/")[2]


@dataclass(frozen=True)
class StoredFile:
    """A file, with its size in bytes."""

    uri: Uri
    size: int


class Storage(Protocol):
    """What steps need of a file system."""

    def files(self, prefix: Uri) -> Iterator[StoredFile]:
        """All files whose path starts with that of *prefix*, at any depth, in order of their paths."""

    def open(self, uri: Uri, start: int = 0, end: int | None = None) -> IO[bytes]:
        """The bytes of a file from *start* up to, not including, *end*."""

    def put(self, uri: Uri, source: Path) -> None:
        """Store the content of *source*."""


class S3Storage:
    def __init__(self, client: Any) -> None:
        self._client = client

    def files(self, prefix: Uri) -> Iterator[StoredFile]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=prefix.host, Prefix=prefix.path)
        try:
            for page in pages:
                for item in page.get("Contents", []):
                    yield StoredFile(Uri("s3", prefix.host, item["Key"]), item["Size"])
        except self._client.exceptions.NoSuchBucket:
            raise StorageError(f"The specified bucket does not exist: {prefix.host}") from None

    def open(self, uri: Uri, start: int = 0, end: int | None = None) -> IO[bytes]:
        last = "" if end is None else str(end - 1)
        options = {"Range": f"bytes={start}-{last}"} if start or end is not None else {}
        body: IO[bytes] = self._client.get_object(Bucket=uri.host, Key=uri.path, **options)["Body"]
        return body

    def put(self, uri: Uri, source: Path) -> None:
        self._client.upload_file(str(source), uri.host, uri.path)

    def put_bytes(self, uri: Uri, data: bytes) -> None:
        self._client.put_object(Bucket=uri.host, Key=uri.path, Body=data)


class HdfsStorage:
    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def _path(self, uri: Uri) -> Path:
        return self._directory.joinpath(*(quote(part, safe=" ") for part in uri.path.split("/") if part))

    def files(self, prefix: Uri) -> Iterator[StoredFile]:
        found = []
        for path in self._directory.rglob("*"):
            if path.is_file():
                name = "/".join(unquote(part) for part in path.relative_to(self._directory).parts)
                if name.startswith(prefix.path):
                    found.append(StoredFile(Uri("hdfs", "", name), path.stat().st_size))
        yield from sorted(found, key=lambda file: file.uri)

    def open(self, uri: Uri, start: int = 0, end: int | None = None) -> IO[bytes]:
        file = self._path(uri).open("rb")
        file.seek(start)
        return file if end is None else io.BufferedReader(_Window(file, end - start))

    def put(self, uri: Uri, source: Path) -> None:
        target = self._path(uri)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


class _Window(io.RawIOBase):
    """The next *size* bytes of *file*."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(min(len(buffer), self._left))
        self._left -= len(data)
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


class FileSystems:
    """All storages of a cluster, by URI."""

    def __init__(self, s3: S3Storage, hdfs: HdfsStorage) -> None:
        self._storages: dict[str, Storage] = {"s3": s3, "hdfs": hdfs}

    def of(self, uri: Uri) -> Storage:
        return self._storages[uri.scheme]

    def exists(self, uri: Uri) -> bool:
        """Whether there is a file of that name, or a directory with something in it."""
        directory = uri.path.rstrip("/") + "/"
        return any(
            file.uri.path == uri.path or file.uri.path.startswith(directory)
            for file in self.of(uri).files(Uri(uri.scheme, uri.host, uri.path.rstrip("/")))
        )

    def inputs(self, text: str, recursive: bool) -> list[StoredFile]:
        """The files that an ``-input`` (a file, a directory or a pattern) means to Hadoop.

        Names that start with ``_`` or ``.`` are hidden.

        :raises StorageError: there is no such file, or a directory lies where a file should.
        """
        pattern = Uri.parse(text.rstrip("/") or text)
        regex = glob_regex(pattern.path)
        literal = re.split(r"[*?\[{\\]", pattern.path)[0]
        matched, found = False, []
        for file in self.of(pattern).files(Uri(pattern.scheme, pattern.host, literal)):
            match = regex.match(file.uri.path)
            if not match:
                continue
            below = file.uri.path[match.end() :].strip("/").split("/") if match.end() < len(file.uri.path) else []
            matched = True
            if below == [""] or any(part.startswith(("_", ".")) for part in below):
                continue
            if len(below) > 1 and not recursive:
                raise StorageError(f"Not a file: {_parent(file.uri)}")
            found.append(file)
        if not matched:
            kind = "Input Pattern" if literal != pattern.path else "Input path does not exist:"
            raise StorageError(f"{kind} {pattern}" + (" matches 0 files" if kind == "Input Pattern" else ""))
        return found


def _parent(uri: Uri) -> str:
    return str(uri).rpartition("/")[0]


def glob_regex(path: str) -> re.Pattern[str]:
    """Hadoop's path pattern as a regular expression, which matches the path itself or what is below it.

    ``*`` and ``?`` match no slash; ``[a-z]``, ``[^a]`` and ``{a,b}`` are understood.
    """
    out, depth, position = "", 0, 0
    while position < len(path):
        char = path[position]
        if char == "*":
            out += "[^/]*"
        elif char == "?":
            out += "[^/]"
        elif char == "[" and "]" in path[position + 2 :]:
            end = path.index("]", position + 2)
            out += fnmatch.translate("[" + path[position + 1 : end].replace("^", "!", 1) + "]")[4:-3]
            position = end
        elif char == "{":
            out, depth = out + "(?:", depth + 1
        elif char == "}" and depth:
            out, depth = out + ")", depth - 1
        elif char == "," and depth:
            out += "|"
        elif char == "\\" and position + 1 < len(path):
            position += 1
            out += re.escape(path[position])
        else:
            out += re.escape(char)
        position += 1
    return re.compile(f"(?s:{out})(?=/|$)")
