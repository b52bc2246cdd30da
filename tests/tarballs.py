"""Tarballs that look like CPython's source, and cannot be compiled."""

from __future__ import annotations

import io
import tarfile


def source_tarball(version: str = "3.13.5", compression: str = "xz", note: str = "") -> bytes:
    """A tarball that says it is CPython *version*. *note* makes it another one; the same arguments, the same bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{compression}") as tar:  # type: ignore[call-overload]
        for name, text in (
            ("README.rst", note + "x" * 99999),
            ("Include/patchlevel.h", f'#define PY_VERSION      "{version}"\n'),
            ("configure", "y" * 99999),
        ):
            member = tarfile.TarInfo(f"Python-{version}/{name}")
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()
