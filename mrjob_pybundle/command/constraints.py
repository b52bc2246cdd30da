"""A constraints file for pip, from what a bundle's manifest says is installed in it. Pure."""

from __future__ import annotations

import re

from mrjob_pybundle.cache.inventory import Shelf
from mrjob_pybundle.command.tables import day
from mrjob_pybundle.errors import CacheError, OptionError

#: What ``pip list --format=freeze`` prints; ``===`` is for versions that are older than PEP 440.
_PIN = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?={2,3}[A-Za-z0-9][A-Za-z0-9.!+_-]*", re.ASCII)


def constraints_text(shelf: Shelf) -> str:
    """Each distribution in the bundle on a line, as ``numpy==2.2.6``.

    :raises OptionError: this is no bundle, or one that was removed.
    :raises CacheError: the manifest says nothing of what is installed, or something else than names and versions, which
        might be options to pip.
    """
    manifest, key = shelf.manifest, shelf.key[:12]
    if manifest is None or shelf.kind != "venv":
        what = "a Python" if shelf.kind == "python" else "removed, or its manifest is damaged"
        raise OptionError(f"{key} is {what}: constraints are of bundles in the cache.")
    pins = [str(line) for line in manifest.text.get("contents", {}).get("freeze", ())]
    for pin in pins:
        if not _PIN.fullmatch(pin):
            raise CacheError(f"The manifest of bundle {key} has {pin!r} among what is installed: no name==version.")
    if not pins:
        raise CacheError(f"The manifest of bundle {key} does not say what is installed.")
    header = f"# What is installed in bundle {key}, which was built on {day(manifest.built_at)}."
    return "\n".join([header, *pins, ""])
