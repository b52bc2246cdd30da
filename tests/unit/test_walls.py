"""Who may import whom, counted in all of the package's files, imports inside functions included."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = "mrjob_pybundle"
HOOK = "mrjob_pybundle_hook"

#: From the ground up. A file imports from its own floor and from those below it.
FLOORS = [
    ["errors", "templates", "home", "__init__"],
    ["bundle"],
    ["aws"],
    ["options", "values", "cache"],
    ["context"],
    ["nodes", "master", "job"],
    ["progress"],
    ["build"],
    ["runner"],
    ["mrjob_plugin"],
    ["selftest"],
    ["command", "sandbox"],
    ["__main__"],
]


def _module(path: Path) -> str:
    """``mrjob_pybundle.cache.store``; a package's own file is ``….__init__``."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


PATHS = {_module(path): path for path in [*(ROOT / PACKAGE).rglob("*.py"), ROOT / f"{HOOK}.py"]}


def _imported(tree: ast.AST) -> Iterator[str]:
    """The full names of what is imported, in functions, too; not what only type checkers see."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports say in full whom they import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        yield from _imported(node)


def _file_of(name: str) -> str:
    """The file of ours that an imported name (``mrjob_pybundle.cache.store.Cache``) is in, or that name."""
    candidates = (name, f"{name}.__init__", name.rpartition(".")[0], f"{name.rpartition('.')[0]}.__init__")
    return next((candidate for candidate in candidates if candidate in PATHS), name)


ON_MASTER = sorted(name for name in PATHS if name.startswith(f"{PACKAGE}.master.programs."))


@cache
def _imports() -> dict[str, list[str]]:
    """File → what it imports."""
    return {
        module: sorted({_file_of(name) for name in _imported(ast.parse(path.read_text("utf-8")))} - {module})
        for module, path in PATHS.items()
    }


def _ours() -> dict[str, list[str]]:
    """File → files of ours that it imports, of those that are parts of the package when they run."""
    return {module: [n for n in names if n in PATHS] for module, names in _imports().items() if module not in ON_MASTER}


def _wing(module: str) -> str:
    return module.split(".")[1]


def _pairs(*wings: str) -> Iterator[tuple[str, str]]:
    """(file, imported name) of all files in *wings*, or in all."""
    for module, imported in _imports().items():
        if module != HOOK and (not wings or _wing(module) in wings):
            yield from ((module, name) for name in imported)


@pytest.mark.parametrize("folder", ["examples", "tests/pristine/jobs", "tests/engines/jobs"])
def test_jobs_are_ascii(folder: str) -> None:
    """CPython 2.7, which runs them, too, reads nothing else where no encoding is declared (PEP 263)."""
    assert [path.name for path in (ROOT / folder).glob("*.py") if not path.read_text("utf-8").isascii()] == []


def test_no_circles() -> None:
    left = {module: set(imported) for module, imported in _ours().items()}
    while free := [module for module, imported in left.items() if not imported & left.keys()]:
        for module in free:
            del left[module]
    assert left == {}, "each of these imports another of them"


def test_every_file_is_on_a_floor() -> None:
    assert {_wing(module) for module in _ours() if module != HOOK} == {wing for floor in FLOORS for wing in floor}


def test_nobody_imports_from_a_floor_above() -> None:
    floor_of = {wing: floor for floor, wings in enumerate(FLOORS) for wing in wings}
    ours = [(module, name) for module, imported in _ours().items() for name in imported if HOOK not in (module, name)]
    assert [pair for pair in ours if floor_of[_wing(pair[1])] > floor_of[_wing(pair[0])]] == []


@pytest.mark.parametrize(("above", "below"), [("nodes", "master"), ("options", "cache"), ("templates", "errors")])
def test_neighbours_on_a_floor_do_not_know_each_other(above: str, below: str) -> None:
    assert [p for p in _pairs(above) if p[1].startswith(f"{PACKAGE}.{below}")] == []
    assert [p for p in _pairs(below) if p[1].startswith(f"{PACKAGE}.{above}")] == []


def test_only_doors_import_the_hook_and_the_hook_imports_the_plugin_alone() -> None:
    doors = {f"{PACKAGE}.command.main", f"{PACKAGE}.command.started_by_run.sitecustomize"}
    assert {module for module, name in _pairs() if name == HOOK} == doors, "elsewhere, a .pth file has brought it in"
    assert _ours()[HOOK] == [f"{PACKAGE}.mrjob_plugin"]


def test_only_its_verb_knows_the_sandbox_which_knows_little() -> None:
    knowing = {m for m, name in _pairs() if name.startswith(f"{PACKAGE}.sandbox") and _wing(m) != "sandbox"}
    assert knowing == {f"{PACKAGE}.command.sandbox"}
    known = {_wing(name) for _, name in _pairs("sandbox") if name.startswith(f"{PACKAGE}.")}
    assert known - {"sandbox"} <= {"errors", "templates"}


def test_only_show_knows_what_renders_bills_of_materials() -> None:
    """It is an extra, which jobs never import; and ``show`` imports it when it is asked for one."""
    extra = ("cyclonedx", "packageurl")
    assert {m for m, name in _pairs() if name.split(".")[0] in extra} == {f"{PACKAGE}.command.sbom"}
    assert {m for m, name in _pairs() if name == f"{PACKAGE}.command.sbom"} == {f"{PACKAGE}.command.contents"}


def test_what_a_bundle_is_has_nothing_to_do_with_aws() -> None:
    names = {name.split(".")[0] for _, name in _pairs("bundle")}
    assert names <= {PACKAGE, "mrjob", *sys.stdlib_module_names}


def test_programs_on_masters_stand_alone() -> None:
    """The standard library, and their siblings; who publishes has botocore besides."""
    siblings = {name.rpartition(".")[2] for name in ON_MASTER}
    for module in ON_MASTER:
        allowed = siblings | {"botocore", "s3transfer"} if module.endswith(".publish") else siblings
        assert {name.split(".")[0] for name in _imports()[module]} - sys.stdlib_module_names <= allowed, module


def test_the_table_of_wings_has_all_of_them() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    table = re.findall(r"^\| `(\w+)/` \|", text, flags=re.MULTILINE)
    wings = [path.parent.name for path in (ROOT / PACKAGE).glob("*/__init__.py")]
    assert sorted(table) == sorted(wings)
