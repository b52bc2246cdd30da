"""Unpacking with tarfile, on Pythons with extraction filters (PEP 706) and before, as Debian 12's 3.11.2 is."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable
from pathlib import Path


def unpack(tar: tarfile.TarFile, directory: Path, members: Iterable[tarfile.TarInfo] | None = None) -> None:
    """Unpack our own archives: all of *tar*, or *members*."""
    if hasattr(tarfile, "tar_filter"):
        tar.extraction_filter = tarfile.tar_filter
    tar.extractall(directory, members)
