"""What the documentation says of tests and files is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mrjob_pybundle.errors import BuildError, CacheError, OptionError, PyBundleError

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def _tests(directory: Path = ROOT / "tests") -> set[str]:
    sources = [path.read_text("utf-8") for path in directory.rglob("*.py")]
    return {name for source in sources for name in re.findall(r"^def (test_\w+)", source, flags=re.MULTILINE)}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_tests_that_documents_name_exist(document: Path) -> None:
    named = set(re.findall(r"`(test_\w+)`", document.read_text("utf-8")))
    assert named <= _tests()


def test_every_row_of_what_can_go_wrong_names_its_test() -> None:
    text = (ROOT / "docs" / "failures.md").read_text("utf-8")
    rows = [row for row in text.splitlines() if row.startswith("| ")][1:]
    assert len(rows) > 15
    assert [row for row in rows if "`test_" not in row] == []


def test_the_readme_has_the_exit_statuses() -> None:
    table = (ROOT / "README.md").read_text("utf-8").split("| exit status |")[1].split("\n\n")[0]
    documented = {int(row.split("|")[1]) for row in table.splitlines()[2:]}
    ours = {error.exit_status for error in (PyBundleError, OptionError, CacheError, BuildError)}
    assert documented == {0, 130} | ours


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text("utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_the_table_of_features_names_tests_by_directory_or_says_not() -> None:
    text = (ROOT / "docs" / "emr.md").read_text("utf-8")
    table = text.split("| feature |")[1].split("\n\n")[0]
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()[2:]]
    assert len(rows) > 15
    assert [row for row in rows if len(row) != 5] == []
    cells = {cell for row in rows for cell in row[1:]} - {"not yet", "refused", "–"}
    strangers = []
    for cell in cells:
        named = re.fullmatch(r"(\w+): `(test_\w+)`", cell)
        if named is None or named[2] not in _tests(ROOT / "tests" / named[1]):
            strangers.append(cell)
    assert strangers == []


def test_every_marker_of_tests_is_explained(pytestconfig: pytest.Config) -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    ours = [line.partition(":")[0] for line in pytestconfig.getini("markers") if "make test" in line]
    assert len(ours) == 3
    assert [name for name in ours if f"marked `{name}`" not in text and f"or `{name}`" not in text] == []
