"""Who runs this, and where."""

from __future__ import annotations

import getpass
import socket


def user_name() -> str | None:
    """The user's name; ``None`` where the machine has none, as in containers with any user id."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # which of them depends on the version of Python
        return None


def who_i_am() -> str:
    """For others who find what was left."""
    return f"{user_name() or 'somebody without a name'} on {socket.gethostname()}"
