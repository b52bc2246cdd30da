"""Builds: their names."""

from __future__ import annotations

import re
import time
import uuid
from datetime import datetime, timezone

_BUILD_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{8}")
_CLUSTER_NAME = "mrjob-pybundle build "


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
