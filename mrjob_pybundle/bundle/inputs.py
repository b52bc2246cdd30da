"""All that a bundle is made of, read once: keys come from :class:`Inputs`, and so does what is packed and uploaded.

Whoever wants a file's bytes later gets those that are in the key, or an error that names the file (:mod:`.files`).
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from mrjob_pybundle.bundle.files import InputFile
from mrjob_pybundle.bundle.sources import Source
from mrjob_pybundle.bundle.spec import BuildFile, BundleSpec, PythonSpec, digest_of
from mrjob_pybundle.errors import OptionError

#: Found beside sources, and never a part of them: what version control, editors and tools keep there.
_LEFT_OUT = frozenset(
    {
        *(".git", ".hg", ".svn", ".DS_Store", ".idea", ".vscode", ".ipynb_checkpoints"),
        *("__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis", ".venv", ".tox", ".nox"),
    }
)
_LEFT_OUT_ENDINGS = (".pyc", ".pyo", "~")
#: What pip and setuptools leave behind beside these files. A module that was deleted lives on in ``build/lib``, and
#: would come back out of it.
_PROJECT_FILES = frozenset({"pyproject.toml", "setup.py"})
_LEFT_BY_BUILDS = frozenset({"build", ".eggs"})

_HOOK = "mrjob_pybundle_hook"
#: What lies beside the hook in a bundle, and nowhere else.
_BESIDE_THE_HOOK = tuple(
    Path(__file__).parents[1] / "nodes" / f"mrjob_pybundle_{name}.py" for name in ("imports", "tasks")
)


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
class BuildFiles:
    """What lies beside venv-build.sh when it runs, and what was found and does not."""

    #: name relative to venv-build.sh, with slashes → file; sorted
    files: Mapping[str, Path]
    #: such names, directories with a slash at the end; sorted
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Hook:
    """Our import hook, and what it brings into tasks."""

    #: what they do in tasks: the hook's own HOOK_VERSION
    version: int
    #: name → file, of all of its files
    files: Mapping[str, InputFile]


@dataclass(frozen=True)
class Inputs:
    """A snapshot of everything that a bundle is made of."""

    source: Source
    #: ``None`` without one
    venv_build: InputFile | None
    #: name relative to venv-build.sh, with slashes → file; sorted
    build_files: Mapping[str, InputFile]
    #: what was found among the build files, and is none: :class:`BuildFiles`
    left_out: tuple[str, ...]
    mrjob: Package
    hook: Hook

    def spec(self, python: PythonSpec) -> BundleSpec:
        """The specification of the bundle that these files make on *python*."""
        return BundleSpec(
            python=python,
            venv_build_sha256=self.venv_build.sha256 if self.venv_build else None,
            build_files=tuple(BuildFile(name, file.executable, file.sha256) for name, file in self.build_files.items()),
            mrjob_version=self.mrjob.version,
            mrjob_sha256=self.mrjob.sha256,
            hook_version=self.hook.version,
        )


def read_inputs(source: Source, venv_build: Path | None, build_files: tuple[Path, ...]) -> Inputs:
    """Read all that a bundle is made of, now. *source* has been read already, if it is a file.

    :raises OptionError: a file cannot be read, or :func:`find_build_files` refuses it.
    """
    found = find_build_files(build_files)
    return Inputs(
        source=source,
        venv_build=InputFile.look_at(venv_build) if venv_build else None,
        build_files=_look_at(found.files),
        left_out=found.left_out,
        mrjob=_read_mrjob(),
        hook=_read_hook(),
    )


def _look_at(paths: Mapping[str, Path]) -> Mapping[str, InputFile]:
    return MappingProxyType({name: InputFile.look_at(path) for name, path in paths.items()})


def _read_hook() -> Hook:
    """All of its files; found without importing it, which only the start of a Python does."""
    spec = importlib.util.find_spec(_HOOK)
    assert spec is not None, "the hook is installed with this package"
    assert spec.origin is not None
    module = Path(spec.origin)
    files = _look_at({path.name: path for path in (module, module.with_suffix(".pth"), *_BESIDE_THE_HOOK)})
    version = re.search(rb"^HOOK_VERSION = (\d+)$", files[module.name].read(), re.MULTILINE)
    assert version is not None
    return Hook(int(version[1]), files)


def _read_mrjob() -> Package:
    import mrjob

    directory = Path(mrjob.__file__).parent
    paths = sorted(directory.rglob("*.py"))
    modules = {path.relative_to(directory).as_posix(): path for path in paths}
    return Package(str(mrjob.__version__), _look_at(modules))


def find_build_files(paths: tuple[Path, ...]) -> BuildFiles:
    """The files that *paths* bring: a directory brings all below it, under its name, but for :data:`_LEFT_OUT`.

    Symbolic links are followed: what they point to is what venv-build.sh gets.

    :raises OptionError: two files have the same name, a path has none or cannot be read, a link points nowhere, a
        directory contains itself.
    """
    found: dict[str, Path] = {}
    left_out: set[str] = set()
    roots = tuple(path.resolve() if path.name in ("", "..") else path.absolute() for path in paths)
    for root in roots:
        if not root.name:
            raise OptionError(f"pybundle_build_files: {root} has no name that venv-build.sh could find it by")
        for name, file in _files_of(root, root.name, frozenset(), named=frozenset(roots)):
            if file is None:
                left_out.add(name)
                continue
            if name in found and found[name] != file:
                raise OptionError(f"pybundle_build_files: both {found[name]} and {file} would be {name}")
            if name == "venv-build.sh":
                raise OptionError(f"pybundle_build_files: {file} would take the place of venv-build.sh")
            found[name] = file
    return BuildFiles(dict(sorted(found.items())), tuple(sorted(left_out)))


def _files_of(
    path: Path, name: str, parents: frozenset[Path], named: frozenset[Path]
) -> Iterator[tuple[str, Path | None]]:
    """All files at or below *path*, with what they are called; no file where something is left out."""
    if path.is_file():
        yield name, path
        return
    if not path.is_dir():
        raise OptionError(f"pybundle_build_files: {path} is not a file, or points nowhere")
    real = path.resolve()
    if real in parents:
        raise OptionError(f"pybundle_build_files: {path} contains itself by way of a symbolic link")
    try:
        entries = sorted(path.iterdir())
    except OSError as error:
        raise OptionError(f"Cannot read {path}, which goes into the bundle: {error.strerror}.") from error
    is_project = any(entry.name in _PROJECT_FILES for entry in entries)
    for entry in entries:
        called = f"{name}/{entry.name}"
        if entry not in named and _is_left_out(entry, is_project):
            yield f"{called}/" if entry.is_dir() else called, None
        else:
            yield from _files_of(entry, called, parents | {real}, named)


def _is_left_out(path: Path, is_in_project: bool) -> bool:
    return (
        path.name in _LEFT_OUT
        or path.name.endswith(_LEFT_OUT_ENDINGS)
        or (is_in_project and (path.name in _LEFT_BY_BUILDS or path.name.endswith(".egg-info")))
        or (path / "pyvenv.cfg").exists()  # a virtual environment (PEP 405), by whatever name
    )
