"""mrjob's imports, when they are needed: tasks start sooner.

mrjob's modules import much of the standard library for the sake of runners, which tasks never have. In a bundle, they
get a stand-in for each of these modules, which is exchanged for the module itself as soon as something is asked of it.
Nobody else does: to all others, the job among them, modules are what they always are. What is loaded by accident, for
mrjob has loaded it (``import urllib; urllib.request.urlopen(…)``), is loaded when it is asked for.

A bundle's environment has a copy of this file beside the hook, which calls :class:`Deferring` and :func:`complete`. It
stands alone: it imports the standard library, and nothing of the project.

``MRJOB_PYBUNDLE_FAST_TASKS=off`` in the environment turns it off.
"""

from __future__ import annotations

import builtins
import os
import sys

TYPE_CHECKING = False  # typing's constant costs the import of typing, in every task
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Any

IS_ON = os.environ.get("MRJOB_PYBUNDLE_FAST_TASKS") != "off"

#: Modules of mrjob's that import what tasks seldom need.
IMPORTERS = frozenset(
    f"mrjob.{name}" for name in ("cat", "conf", "fs.local", "job", "protocol", "py2", "runner", "setup", "util")
)

#: What they get a stand-in for, where they ask for the module…
_MODULES = frozenset(
    {
        *("bz2", "datetime", "getpass", "glob", "inspect", "pickle", "pprint", "random", "shutil", "tarfile"),
        *("tempfile", "yaml"),
    }
)
#: …and where they ask for something in it: functions, classes that mrjob only calls, and constants with their values.
_NAMES: Mapping[str, Mapping[str, Any]] = {
    "datetime": {"timedelta": None},
    "shutil": {"rmtree": None},
    "urllib.request": {"pathname2url": None, "urlopen": None},
    "zipfile": {"ZIP_DEFLATED": 8, "ZIP_STORED": 0, "ZipFile": None, "is_zipfile": None},
}

#: Packages of which mrjob loads submodules, on one Python or another, that are not loaded now.
SUBMODULES: Mapping[str, frozenset[str]] = {
    "email": frozenset(
        {
            *("base64mime", "charset", "encoders", "errors", "feedparser", "header", "iterators", "message", "parser"),
            *("quoprimime", "utils"),
        }
    ),
    "http": frozenset({"client"}),
    "importlib": frozenset({"abc", "machinery", "util"}),
    "urllib": frozenset({"error", "request", "response"}),
    # Python 3.12 and newer have none.
    **({"distutils": frozenset({"debug", "errors", "log", "spawn", "version"})} if sys.version_info < (3, 12) else {}),
}


class Deferring:
    """While one of :data:`IMPORTERS` is executed, its imports of what tasks seldom need are put off."""

    def __enter__(self) -> None:
        self._import = builtins.__import__
        builtins.__import__ = self._import_or_defer

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        builtins.__import__ = self._import

    def _import_or_defer(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        if globals and globals.get("__name__") in IMPORTERS:
            stand_in = _stand_in(name, globals, fromlist or ())
            if stand_in is not None:
                return stand_in
        return self._import(name, globals, locals, fromlist, level)


def _stand_in(name: str, importer: Any, wanted: Sequence[str]) -> Any:
    """What mrjob's module gets in place of module *name*, or of what is *wanted* of it; ``None``: the real thing."""
    if wanted:
        names = _NAMES.get(name, {})
        return _Names(name, names) if all(each in names for each in wanted) else None
    if name not in _MODULES or name in sys.modules or (name == "yaml" and not _can_be_found(name)):
        return None
    return _Later(name, importer)


def _can_be_found(name: str) -> bool:
    return any(finder.find_spec(name, None) is not None for finder in sys.meta_path if hasattr(finder, "find_spec"))


class _Later:
    """Stands for a module in another one's globals until something is asked of it."""

    __slots__ = ("_importer", "_name")

    def __init__(self, name: str, importer: Any) -> None:
        object.__setattr__(self, "_name", name)
        object.__setattr__(self, "_importer", importer)

    def _load(self) -> Any:
        module = __import__(self._name)
        if self._importer.get(self._name) is self:
            self._importer[self._name] = module
        return module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._load(), name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._load(), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._load(), name)

    def __dir__(self) -> list[str]:
        return dir(self._load())

    def __reduce__(self) -> tuple[Callable[[str], Any], tuple[str]]:
        """Whoever has got hold of a stand-in (``from mrjob.job import *``) copies, or sends, the module."""
        from importlib import import_module

        return import_module, (self._name,)

    def __repr__(self) -> str:
        return repr(self._load())


class _Names:
    """Stands for a module of which somebody imports *names*."""

    def __init__(self, module: str, names: Mapping[str, Any]) -> None:
        for name, value in names.items():
            setattr(self, name, _function(module, name) if value is None else value)


def _function(module: str, name: str) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        return getattr(__import__(module, fromlist=[name]), name)(*args, **kwargs)

    call.__module__, call.__name__, call.__qualname__ = module, name, name
    return call


def complete(package: Any) -> None:
    """Have a package that is among :data:`SUBMODULES` load those when they are asked for, and were not loaded yet."""
    name_of_package, submodules = package.__name__, SUBMODULES[package.__name__]

    def load(name: str) -> Any:
        if name in submodules:
            return __import__(f"{name_of_package}.{name}", fromlist=[name])
        raise AttributeError(f"module {name_of_package!r} has no attribute {name!r}")

    package.__getattr__ = load  # PEP 562
