"""All that a bundle is made of, read once: keys come from :class:`Inputs`, and so does what is packed and uploaded.

Whoever wants a file's bytes later gets those that are in the key, or an error that names the file (:mod:`.files`).
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from mrjob_pybundle.bundle.files import InputFile
from mrjob_pybundle.bundle.sources import Source
from mrjob_pybundle.bundle.spec import HOOK_VERSION, BuildFile, BundleSpec, PythonSpec, digest_of
from mrjob_pybundle.errors import OptionError

#: Found beside sources, and never a part of them.
_IGNORED = {".git", ".hg", ".svn", "__pycache__", ".DS_Store", ".mypy_cache", ".pytest_cache", ".ruff_cache"}
_IGNORED_ENDINGS = (".pyc", ".pyo", "~")

_HOOK = "mrjob_pybundle_hook"


@dataclass(frozen=True)
class Package:
    """The submitter's mrjob."""

    version: str
    #: name below the package's directory, with slashes → file; sorted
    modules: Mapping[str, InputFile]

    @property
    def sha256(self) -> str:
        """A digest of the names and bytes of all modules."""
        return digest_of([[name, file.sha256] for name, file in self.modules.items()])


@dataclass(frozen=True)
class Inputs:
    """A snapshot of everything that a bundle is made of."""

    source: Source
    #: ``None`` without one
    venv_build: InputFile | None
    #: name relative to venv-build.sh, with slashes → file; sorted
    build_files: Mapping[str, InputFile]
    mrjob: Package
    #: name → file, of the two files of our hook
    hook: Mapping[str, InputFile]

    def spec(self, python: PythonSpec) -> BundleSpec:
        """The specification of the bundle that these files make on *python*."""
        return BundleSpec(
            python=python,
            venv_build_sha256=self.venv_build.sha256 if self.venv_build else None,
            build_files=tuple(BuildFile(name, file.executable, file.sha256) for name, file in self.build_files.items()),
            mrjob_version=self.mrjob.version,
            mrjob_sha256=self.mrjob.sha256,
            hook_version=HOOK_VERSION,
        )


def read_inputs(source: Source, venv_build: Path | None, build_files: tuple[Path, ...]) -> Inputs:
    """Read all that a bundle is made of, now. *source* has been read already, if it is a file.

    :raises OptionError: a file cannot be read, or :func:`find_build_files` refuses it.
    """
    return Inputs(
        source=source,
        venv_build=InputFile.look_at(venv_build) if venv_build else None,
        build_files=_look_at(find_build_files(build_files)),
        mrjob=_read_mrjob(),
        hook=_look_at({path.name: path for path in _hook_files()}),
    )


def _look_at(paths: Mapping[str, Path]) -> Mapping[str, InputFile]:
    return MappingProxyType({name: InputFile.look_at(path) for name, path in paths.items()})


def _hook_files() -> tuple[Path, Path]:
    """The module, and the ``.pth`` beside it; found without importing it, which only the start of a Python does."""
    spec = importlib.util.find_spec(_HOOK)
    assert spec is not None, "the hook is installed with this package"
    assert spec.origin is not None
    return Path(spec.origin), Path(spec.origin).with_suffix(".pth")


def _read_mrjob() -> Package:
    import mrjob

    directory = Path(mrjob.__file__).parent
    paths = sorted(directory.rglob("*.py"))
    modules = {path.relative_to(directory).as_posix(): path for path in paths}
    return Package(str(mrjob.__version__), _look_at(modules))


def find_build_files(paths: tuple[Path, ...]) -> dict[str, Path]:
    """The files that *paths* bring: relative name → file. A directory brings all below it, under its name.

    Symbolic links are followed: what they point to is what venv-build.sh gets.

    :raises OptionError: two files have the same name, a link points nowhere, a directory contains itself.
    """
    found: dict[str, Path] = {}
    for path in paths:
        for name, file in _files_below(path):
            if name in found and found[name] != file:
                raise OptionError(f"pybundle_build_files: both {found[name]} and {file} would be {name}")
            if name == "venv-build.sh":
                raise OptionError(f"pybundle_build_files: {file} would take the place of venv-build.sh")
            found[name] = file
    return dict(sorted(found.items()))


def _files_below(path: Path) -> Iterator[tuple[str, Path]]:
    root = path.absolute()
    if root.is_file():
        yield root.name, root
        return
    seen: set[Path] = set()
    for directory, subdirectories, names in os.walk(root, followlinks=True):
        real = Path(directory).resolve()
        if real in seen:
            raise OptionError(f"pybundle_build_files: {directory} contains itself by way of a symbolic link")
        seen.add(real)
        subdirectories[:] = sorted(set(subdirectories) - _IGNORED)
        for name in names:
            if name in _IGNORED or name.endswith(_IGNORED_ENDINGS):
                continue
            file = Path(directory, name)
            if not file.is_file():
                raise OptionError(f"pybundle_build_files: {file} is not a file, or points nowhere")
            yield f"{root.name}/{file.relative_to(root).as_posix()}", file
