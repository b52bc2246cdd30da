"""Whether a run is still going on, on this machine: it, and all that it has started, hold a lock."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mrjob_pybundle.errors import OptionError, PyBundleError
from mrjob_pybundle.home import user_cache

#: What a killed run has started is killed, too, a moment later.
_PATIENCE_SECONDS = 20


@contextmanager
def locked(run_id: str) -> Iterator[int]:
    """Hold the lock of a run. The result is a file descriptor: whoever inherits it holds the lock, too.

    :raises PyBundleError: somebody else holds it.
    :raises OptionError: this machine's user can lock nothing there.
    """
    path = user_cache() / "selftest" / f"{run_id}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _cannot_lock(path, error) from error
    try:
        _take(lock, path)
        yield lock
        path.unlink(missing_ok=True)
    finally:
        os.close(lock)


def _cannot_lock(path: Path, error: OSError) -> OptionError:
    return OptionError(f"Cannot lock {path} ({error.strerror}). Set XDG_CACHE_HOME to a directory where one can.")


def _take(lock: int, path: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise PyBundleError(
                    f"Run {path.stem} is still going on, on this machine. Let it end, or stop it with Ctrl-C."
                ) from None
            time.sleep(0.1)
        except OSError as error:  # a file system without locks
            raise _cannot_lock(path, error) from error
        else:
            return
