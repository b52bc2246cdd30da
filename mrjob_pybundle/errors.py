"""Errors meant for people: one family, each shown as one clear line that says what to do."""

from __future__ import annotations

import logging
import sys
from types import TracebackType

log = logging.getLogger("mrjob.pybundle")


class PyBundleError(Exception):
    """Something a person can act on. ``str(error)`` is the whole message."""


class OptionError(PyBundleError):
    """An option, or a combination of options, that cannot work. Raised before anything is launched."""


class CacheError(PyBundleError):
    """The cache in S3 cannot be used: missing bucket, no permission, no credentials, damaged content."""


class TransientError(CacheError):
    """AWS could not be reached, or was too busy: the same may work if it is tried again in a few minutes."""


class BuildError(PyBundleError):
    """A bundle could not be built. The message names the stage that failed and shows the end of the log."""


def show_without_traceback() -> None:
    """From now on an uncaught :class:`PyBundleError` ends the program with its message alone.

    mrjob creates runners outside the ``try`` that turns a failed step into one line. With ``-v``
    (mrjob's loggers at DEBUG) the traceback is shown as well.
    """
    if sys.excepthook is not _excepthook:
        global _previous_excepthook
        _previous_excepthook = sys.excepthook
        sys.excepthook = _excepthook


_previous_excepthook = sys.excepthook


def _excepthook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if not isinstance(error, PyBundleError):
        _previous_excepthook(kind, error, traceback)
        return
    log.debug("the error in full:", exc_info=(kind, error, traceback))
    log.error("%s", error)
