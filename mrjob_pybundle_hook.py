"""Makes mrjob 0.7.4 import on Python 3.12 and newer, and tells it of the pybundle-emr runner.

The ``.pth`` file beside it runs whenever Python starts: it imports this module as soon as, and only if, somebody
imports mrjob. This module stands alone (only the standard library, no other file of the project): a bundle's virtual
environment gets a copy of it.

mrjob takes ``quote`` from ``pipes`` and two names from ``distutils``, which Python 3.13 and 3.12 removed
(PEP 594, PEP 632). The modules that do so are run with an ``__import__`` of their own that hands them
equivalents. Nothing is put into ``sys.modules``, so no other library meets a ``distutils`` or ``pipes``
that isn't real, and no setuptools is imported to pose as ``distutils``.

In a bundle, ``mrjob_pybundle_imports`` and ``mrjob_pybundle_tasks`` lie beside it. They have tasks start sooner, and
read and write faster.

``MRJOB_PYBUNDLE_HOOK=off`` in the environment turns it off.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # typing's constant costs the import of typing, in every task
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from types import CodeType, ModuleType
    from typing import Any

#: Goes into the key of every virtual environment: raise it when a change, here or in ``mrjob_pybundle_tasks``, alters
#: what tasks do.
HOOK_VERSION = 5

_MISSING_NAMES_IN = {"mrjob.util", "mrjob.compat", "mrjob.bin", "mrjob.cloud", "mrjob.emr"}
#: A module of mrjob's that is also run as a program.
_PROGRAM = "mrjob.tools.spark_submit"
_EXTENDED = {"mrjob.options", "mrjob.runner", _PROGRAM}
#: Has the loops that tasks spend their time in.
_JOB = "mrjob.job"

try:
    import mrjob_pybundle_imports as _imports  # type: ignore[import-not-found]
except ModuleNotFoundError as error:
    if error.name != "mrjob_pybundle_imports":
        raise
    _imports = None  # this is no bundle
else:
    if not _imports.IS_ON:
        _imports = None
_DEFERRING = _imports.IMPORTERS if _imports else frozenset()
_PACKAGES = _imports.SUBMODULES if _imports else {}
_OURS = _MISSING_NAMES_IN | _EXTENDED | _DEFERRING | {_JOB, *_PACKAGES}


class _MRJobFinder:
    """A meta path finder for the few modules of mrjob that need us. All others it leaves alone."""

    @classmethod
    def find_spec(
        cls, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in _OURS:
            return None
        for finder in sys.meta_path:
            if finder is cls or not hasattr(finder, "find_spec"):
                continue
            spec: Any = finder.find_spec(name, path, target)
            if spec is not None:
                if name in _PACKAGES and name in sys.modules:  # setuptools has loaded its distutils to find it
                    _imports.complete(sys.modules[name])
                spec.loader = _MRJobLoader(spec.loader)
                return spec  # type: ignore[no-any-return]
        return None


class _MRJobLoader:
    """Loads a module as its own loader does, before and after which we have our say."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        # That of zip files cannot do it before Python 3.10.
        create = getattr(self._loader, "create_module", None)
        return create(spec) if create else None

    def get_code(self, name: str) -> CodeType | None:
        if name == _PROGRAM:
            # What ``python -m`` asks for: it would run the module as it is, past exec_module.
            return compile(f"import sys\nfrom {name} import main\nsys.exit(main())\n", f"<{name}>", "exec")
        return self._loader.get_code(name)  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        """What else loaders can do: give the source to ``inspect``, resources, and what others think of."""
        return getattr(self._loader, name)

    def exec_module(self, module: Any) -> None:
        # From here on the module looks as if we had never been there.
        module.__loader__ = module.__spec__.loader = self._loader
        if module.__name__ in _MISSING_NAMES_IN:
            module.__dict__["__builtins__"] = dict(vars(sys.modules["builtins"]), __import__=_import)
        if module.__name__ in _DEFERRING:
            with _imports.Deferring():
                self._execute(module)
        else:
            self._execute(module)
        if module.__name__ in _EXTENDED:
            _extend(module)
        elif module.__name__ in _PACKAGES:
            _imports.complete(module)
        elif module.__name__ == _JOB and _imports:
            from mrjob_pybundle_tasks import speed_up  # type: ignore[import-not-found]

            speed_up(module)

    def _execute(self, module: Any) -> None:
        execute = getattr(self._loader, "exec_module", None)
        if execute:
            execute(module)
        else:
            exec(self._loader.get_code(module.__name__), module.__dict__)


def _import(
    name: str,
    globals: Mapping[str, object] | None = None,
    locals: Mapping[str, object] | None = None,
    fromlist: Sequence[str] = (),
    level: int = 0,
) -> Any:
    make_equivalent = _EQUIVALENTS.get(name) if level == 0 else None
    if make_equivalent is None:
        return __import__(name, globals, locals, fromlist, level)
    return make_equivalent()


def _pipes() -> Any:
    from shlex import quote
    from types import SimpleNamespace

    return SimpleNamespace(quote=quote)


def _distutils_spawn() -> Any:
    from types import SimpleNamespace

    def find_executable(executable: str, path: str | None = None) -> str | None:
        from shutil import which

        return which(executable, path=path)

    return SimpleNamespace(find_executable=find_executable)


def _distutils_version() -> Any:
    from types import SimpleNamespace

    return SimpleNamespace(LooseVersion=_loose_version_class())


def _loose_version_class() -> type:
    from functools import total_ordering
    from re import findall

    @total_ordering
    class LooseVersion:
        """A version that compares part by part: runs of digits as numbers, runs of letters as text."""

        def __init__(self, vstring: str) -> None:
            self.vstring = vstring
            self.version: list[Any] = [
                int(part) if part.isdigit() else part for part in findall(r"\d+|[a-z]+", vstring)
            ]

        def __eq__(self, other: object) -> bool:
            return isinstance(other, LooseVersion) and self.version == other.version

        def __lt__(self, other: LooseVersion) -> bool:
            return self.version < other.version

        def __str__(self) -> str:
            return self.vstring

    return LooseVersion


_EQUIVALENTS = {
    "pipes": _pipes,
    "distutils.spawn": _distutils_spawn,
    "distutils.version": _distutils_version,
}


def _extend(module: ModuleType) -> None:
    try:
        from mrjob_pybundle import mrjob_plugin
    except ModuleNotFoundError as error:
        if error.name != "mrjob_pybundle":
            raise
        return  # inside a bundle: there is no runner to tell mrjob of
    mrjob_plugin.extend(module)


sys.meta_path[:] = [finder for finder in sys.meta_path if getattr(finder, "__name__", "") != "MRJobPyBundleTrigger"]
if os.environ.get("MRJOB_PYBUNDLE_HOOK") != "off":
    sys.meta_path.insert(0, _MRJobFinder)
    for _name in _PACKAGES:
        if _name in sys.modules:
            _imports.complete(sys.modules[_name])
