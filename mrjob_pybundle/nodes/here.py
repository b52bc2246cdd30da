"""A bundle on this machine, as nodes have it: for people who want to see what a task saw."""

from __future__ import annotations

import logging
import platform
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mrjob_pybundle.bundle.spec import Archive, Bundle
from mrjob_pybundle.cache import layout
from mrjob_pybundle.cache.cache import Cache
from mrjob_pybundle.errors import PyBundleError
from mrjob_pybundle.home import user_cache
from mrjob_pybundle.nodes.carried import unpack_script
from mrjob_pybundle.templates import render

log = logging.getLogger("mrjob.pybundle")

_SAYS = "mrjob-pybundle: "
_TOO_NEW = "A machine, or a container, with a newer system can run it."
_DAMAGED = "mrjob-pybundle build --pybundle-rebuild has it built anew."


def check_architecture(arch: str) -> None:
    """Check that this is a Linux machine of that architecture (``uname -m``).

    :raises PyBundleError: it is not.
    """
    here = platform.machine()
    if sys.platform != "linux" or here != arch:
        raise PyBundleError(
            f"The bundle cannot be had on this machine: it is for Linux on {arch}, this is {sys.platform} on {here}."
        )


def have_here(bundle: Bundle, cache: Cache) -> Path:
    """Have *bundle* unpacked on this machine. Returns where: ``py/``, ``venv/`` and ``activate`` are in there.

    Whoever was here before has left it: then nothing is fetched.

    :raises CacheError: S3 said no.
    :raises PyBundleError: an archive is damaged, the bundle does not work here, or there is no place for it.
    """
    place = _place()
    found = _unpack(bundle, cache, place, place, only_look=True)
    if found is not None:
        return found
    with tempfile.TemporaryDirectory(prefix=".fetched-", dir=place) as fetched:
        _fetch(bundle, cache, Path(fetched))
        unpacked = _unpack(bundle, cache, place, Path(fetched))
    assert unpacked is not None
    return unpacked


def command_in(root: Path, command: list[str]) -> list[str]:
    """*command*, run in the environment of the bundle at *root*."""
    return ["sh", "-c", render("nodes/venv-exec.sh.tmpl", {"ACTIVATE": str(root / "activate")}), "venv-exec", *command]


def _place() -> Path:
    """Where bundles are kept, which nobody else may write to."""
    try:
        place = user_cache() / "bundles"
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        where = error.filename or "~/.cache (XDG_CACHE_HOME names another place)"
        raise PyBundleError(f"Cannot keep a bundle in {where}: {error.strerror}.") from error
    return place


def _archives(bundle: Bundle) -> tuple[tuple[str, Archive], ...]:
    return (layout.PYTHON, bundle.python), (layout.VENV, bundle.venv)


def _fetch(bundle: Bundle, cache: Cache, directory: Path) -> None:
    size = bundle.python.size + bundle.venv.size
    log.info("Fetching bundle %s (%.1f MB) from %s", bundle.id, size / 1e6, cache.root)
    try:
        with ThreadPoolExecutor(2) as pool:
            fetching = [
                pool.submit(cache.bundles.download, kind, archive, directory / kind)
                for kind, archive in _archives(bundle)
            ]
        for one in fetching:
            one.result()
    except OSError as error:
        raise PyBundleError(f"Cannot keep a bundle in {directory}: {error.strerror}.") from error


def _unpack(bundle: Bundle, cache: Cache, place: Path, fetched: Path, *, only_look: bool = False) -> Path | None:
    """Where the bundle is; ``None`` if it would have to be unpacked, and could be."""
    archives = {str(fetched / kind): cache.bundles.archive_uri(kind, archive) for kind, archive in _archives(bundle)}
    script = unpack_script(bundle, archives, (), _TOO_NEW if only_look else _DAMAGED)
    command = ["bash", "-c", script, "unpack", *(["look"] if only_look else [])]
    try:
        done = subprocess.run(command, cwd=place, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise PyBundleError("The bundle cannot be had on this machine: there is no bash.") from error
    *_, last = done.stderr.splitlines() or [""]
    if done.returncode:
        raise PyBundleError(f"The bundle cannot be had on this machine: {last.removeprefix(_SAYS)}")
    if last:
        log.info("%s", last.removeprefix(_SAYS))
    return Path(done.stdout.removesuffix("\n")) if done.stdout else None
