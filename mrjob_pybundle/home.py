"""Where this user's own machine keeps what is ours."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def user_cache() -> Path:
    """``~/.cache/mrjob-pybundle``, or where the XDG Base Directory Specification has it. It need not be there.

    :raises FileNotFoundError: this user has no home directory, as in a container that gives them a number alone.
    """
    cache_home = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not cache_home.is_absolute():
        try:
            cache_home = Path.home() / ".cache"
        except RuntimeError as error:
            raise FileNotFoundError(errno.ENOENT, "this user has no home directory") from error
    return cache_home / "mrjob-pybundle"
