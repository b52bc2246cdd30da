"""Errors meant for people: one family, each shown as one clear line that says what to do.

They are shown at two doors. The command ``mrjob-pybundle`` shows what reaches its ``main()``, and ends with the exit
status of the error's class. In a job, or any other program that makes our runner, what leaves the runner is the
program's to catch; :func:`left_runner` has Python show it in the same way if nobody does.
"""

from __future__ import annotations

import logging
import sys
from types import TracebackType

log = logging.getLogger("mrjob.pybundle")


class PyBundleError(Exception):
    """Something a person can act on. ``str(error)`` is the whole message."""

    #: With which the command ends. A job's exit status is always 1.
    exit_status = 1

    @property
    def line(self) -> str:
        """The message for who wants nothing but the error (``-q``)."""
        return str(self).partition("\n")[0]


class OptionError(PyBundleError, ValueError):
    """An option, a conf file or a setting of AWS's tools that cannot work. Raised before anything is launched."""

    exit_status = 2


class OptionFileError(OptionError, OSError):
    """An option names a file that cannot be used. Programs may expect what mrjob itself raises then."""


class CacheError(PyBundleError):
    """The cache in S3 cannot be used: missing bucket, no permission, no credentials, damaged content."""

    exit_status = 3


class NoSuchBucketError(CacheError):
    """A bucket is not there."""


class TransientError(CacheError):
    """AWS could not be reached, or was too busy: the same may work if it is tried again in a few minutes."""


class BuildError(PyBundleError):
    """A bundle could not be built. The message names the stage that failed and shows the end of the log."""

    exit_status = 4

    def __init__(self, message: str, line: str | None = None) -> None:
        super().__init__(message)
        self._line = line

    @property
    def line(self) -> str:
        """The message without the end of the log."""
        return self._line or super().line


def show(error: BaseException, prefix: str = "") -> None:
    """Say *error* on stderr: its message, with ``-v`` after its traceback, with ``-q`` on one line."""
    log.debug("the error in full:", exc_info=error)
    message = error.line if isinstance(error, PyBundleError) and _is_quiet() else str(error)
    if isinstance(error, OSError) and error.filename is not None:
        message = f"{error.strerror}: {error.filename}"
    sys.stderr.write(f"{prefix}{message}\n")


def _is_quiet() -> bool:
    """mrjob's ``-q`` gives its logger a handler that discards all, and no other."""
    from mrjob.util import NullHandler

    handlers = logging.getLogger("mrjob").handlers
    return bool(handlers) and all(isinstance(handler, NullHandler) for handler in handlers)


_LEFT_RUNNER = "_left_pybundle_runner"


def left_runner(error: BaseException) -> None:
    """Have Python show *error* as a job's errors are shown, if nobody catches it: its message, and no traceback.

    Python asks ``sys.excepthook`` after the runner, and whatever the program wrapped around it, have ended. So the
    error itself says where it is from. A hook that the program has set is left in its place.
    """
    setattr(error, _LEFT_RUNNER, True)
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _excepthook


def _excepthook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if hasattr(error, _LEFT_RUNNER):
        show(error)
    else:
        sys.__excepthook__(kind, error, traceback)
