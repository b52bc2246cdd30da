"""How this user's latest build for a cache has ended, as this machine remembers it."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.home import user_cache

log = logging.getLogger("mrjob.pybundle")


def note_failure(cache: S3Uri) -> None:
    """Remember that it has failed. (Where that can't be written, it is forgotten.)"""
    try:
        path = _note(cache)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        log.debug("could not note that a build has failed: %s", error)


def note_success(cache: S3Uri) -> None:
    """Forget any failure."""
    try:
        _note(cache).unlink(missing_ok=True)
    except OSError as error:
        log.debug("could not note that a build has succeeded: %s", error)


def has_failed(cache: S3Uri) -> bool:
    """Whether it failed, as far as is known."""
    try:
        return _note(cache).exists()
    except OSError as error:
        log.debug("could not look whether the latest build has failed: %s", error)
        return False


def _note(cache: S3Uri) -> Path:
    name = hashlib.sha256(str(cache).encode("utf-8")).hexdigest()[:16]
    return user_cache() / "failed-builds" / name
