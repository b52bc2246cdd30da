"""A file that goes into a bundle: what it was when it was hashed, and its bytes, as long as they are those."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mrjob_pybundle.errors import BuildError, OptionError


@dataclass(frozen=True)
class InputFile:
    """A file as it was when :meth:`look_at` read it."""

    path: Path
    sha256: str
    #: bytes
    size: int
    #: by its owner
    executable: bool

    @classmethod
    def look_at(cls, path: Path) -> InputFile:
        """Read *path*, and keep its digest.

        :raises OptionError: it cannot be read.
        """
        digest, size = hashlib.sha256(), 0
        try:
            with path.open("rb") as file:
                executable = _is_executable(file)
                while block := file.read(1 << 20):
                    digest.update(block)
                    size += len(block)
        except OSError as error:
            raise OptionError(f"Cannot read {path}, which goes into the bundle: {error.strerror}.") from error
        return cls(path, digest.hexdigest(), size, executable)

    def read(self) -> bytes:
        """The bytes that :meth:`look_at` has seen, read and hashed once more.

        :raises BuildError: the file is another one by now.
        """
        with self.opened() as content:
            return content.read()

    @contextmanager
    def opened(self) -> Iterator[Rereading]:
        """The same, for who wants it piece by piece: has to read :attr:`size` bytes.

        :raises BuildError: the file is another one by now. Some may have been read before that is known.
        """
        try:
            file = self.path.open("rb")
        except OSError as error:
            raise self.changed(f"cannot be read any more ({error.strerror})") from error
        with file:
            executable = _is_executable(file)
            if executable != self.executable:
                raise self.changed("was made executable" if executable else "is no longer executable")
            content = Rereading(self, file)
            yield content
            content.check()

    def changed(self, how: str) -> BuildError:
        """What to raise of a file that is another one by now."""
        return BuildError(
            f"{self.path} {how} since the bundle's key was made from it. Nothing was launched. Run the job again."
        )


class Rereading:
    """What is read of an :class:`InputFile` a second time, hashed as it is."""

    def __init__(self, known: InputFile, file: BinaryIO) -> None:
        self._known = known
        self._file = file
        self._digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """*size* bytes, or all.

        :raises BuildError: there are fewer.
        """
        size = self._known.size if size < 0 else size
        try:
            piece = self._file.read(size)
        except OSError as error:
            raise self._known.changed(f"cannot be read any more ({error.strerror})") from error
        if len(piece) < size:
            raise self._known.changed("has changed")
        self._digest.update(piece)
        return piece

    def check(self) -> None:
        """:raises BuildError: what was read is not what was there."""
        if self._file.read(1) or self._digest.hexdigest() != self._known.sha256:
            raise self._known.changed("has changed")


def _is_executable(file: BinaryIO) -> bool:
    return bool(os.fstat(file.fileno()).st_mode & 0o100)
