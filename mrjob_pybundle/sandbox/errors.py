"""What the sandbox's errors are."""

from __future__ import annotations

from mrjob_pybundle.errors import PyBundleError


class SandboxError(PyBundleError):
    """The sandbox cannot start. ``str(error)`` says what to do."""
