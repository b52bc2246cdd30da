"""A file that goes into a bundle: what it was when it was hashed, and its bytes, as long as they are those."""

from __future__ import annotations

import hashlib
import os
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
        try:
            with self.path.open("rb") as file:
                executable = _is_executable(file)
                content = file.read()
        except OSError as error:
            raise BuildError(self._changed(f"cannot be read any more ({error.strerror})")) from error
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise BuildError(self._changed("has changed"))
        if executable != self.executable:
            raise BuildError(self._changed("was made executable" if executable else "is no longer executable"))
        return content

    def _changed(self, how: str) -> str:
        return f"{self.path} {how} since the bundle's key was made from it. Nothing was launched. Run the job again."


def _is_executable(file: BinaryIO) -> bool:
    return bool(os.fstat(file.fileno()).st_mode & 0o100)
