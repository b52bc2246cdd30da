"""Errors meant for people: one family, each shown as one clear line that says what to do."""

from __future__ import annotations


class PyBundleError(Exception):
    """Something a person can act on. ``str(error)`` is the whole message."""


class OptionError(PyBundleError):
    """An option, or a combination of options, that cannot work. Raised before anything is launched."""


class CacheError(PyBundleError):
    """The cache in S3 cannot be used: missing bucket, no permission, no credentials, damaged content."""


class BuildError(PyBundleError):
    """A bundle could not be built. The message names the stage that failed and shows the end of the log."""
