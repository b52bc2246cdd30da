"""What is inside, as manifests say: of builds of today, of old, and of none of ours; and what two differ in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mrjob_pybundle.cache.contents import Contents, contents_of
from mrjob_pybundle.cache.inventory import Manifest
from mrjob_pybundle.cache.why import compare_contents
from mrjob_pybundle.errors import CacheError
from tests.inside import OPENSSL, PYTHON, SYSTEM, VENV, distribution, library

IN_PYTHON = {**PYTHON, "python_version": "3.13.5", "source": {"name": "Python-3.13.5.tgz", "sha256": "33" * 32}}


def _contents(inside: Any) -> Contents:
    text = {
        "archive": {"sha256": "11" * 32, "size": 1, "unpacked_size": 1},
        "python": {"key": "aa" * 32, "sha256": "22" * 32},
        "build": {"id": "b-1", "owner": "ada", "built_at": "2026-11-20T10:11:12Z", "seconds": {}},
        "inputs": {},
        "contents": inside,
    }
    return contents_of(Manifest.parse("venv", json.dumps(text).encode()), None)


WHOLE = {**VENV, "python": IN_PYTHON}


def test_all_is_known_of_a_build_of_today() -> None:
    contents = _contents(WHOLE)
    assert (contents.remark, contents.python.version, contents.python.source_sha256) == ("", "3.13.5", "33" * 32)
    assert [str(one.source) for one in contents.distributions] == [
        "the submitter's, sha256 d1d1d1d1d1d1",
        "index, odd d2d2d2d2d2d2, sha256 d2d2d2d2d2d2",
        "directory ours",
        "git https://example.com/p.git at c0ffeec0ffee",
        "https://example.com/f.whl, sha512 d3d3d3d3d3d3",
        "no installer has noted where it is from",
    ]
    assert [f"{one.name} {one}" for one in contents.libraries] == [
        "libcrypto.so.3 of openssl-libs 3.2.2-1.amzn2023.0.1",
        "libown.so.1 of no package",
        "libssl.so.3 of openssl-libs 3.2.2-1.amzn2023.0.1",
    ]


def test_one_line_says_what_was_not_recorded() -> None:
    contents = _contents({"freeze": ["mrjob==0.7.4"]})
    assert contents.remark == (
        "Not recorded when it was built, as builds do today: where distributions came from, libraries that were copied"
        " into the environment, libraries that were copied into its Python."
    )
    assert [(one.name, one.version, one.source) for one in contents.distributions] == [("mrjob", "0.7.4", None)]
    on_an_old_python = _contents({**VENV, "python": {"python_version": "3.13.5"}})
    assert on_an_old_python.not_recorded == ("libraries that were copied into its Python",)


@pytest.mark.parametrize(
    "damaged",
    [
        {"distributions": 1},
        {"distributions": [{"name": "x"}]},
        {"distributions": [{"name": "x", "version": "1", "source": None}]},
        {"distributions": [distribution("x", "1", kind="index", hashes=["sha256"])]},
        {"libraries": [library("x", "ab", None)]},
        {"libraries": [library("x", "ab", {"name": "x"})], "system": SYSTEM},
        {"python": None},
    ],
)
def test_a_manifest_that_says_something_else_is_one_line(damaged: Any) -> None:
    with pytest.raises(CacheError, match=r"^The manifest of build b-1 does not say what is inside as it should: .*$"):
        _contents(damaged)


# what two differ in


def _differences(before: Any, after: Any) -> list[str]:
    differences = compare_contents(_contents(before), _contents(after))
    return [f"{one.name}: {one.before} → {one.after}" for one in differences]


def _with(
    *distributions: dict[str, Any], libraries: list[dict[str, Any]] | None = None, **python: Any
) -> dict[str, Any]:
    inside = {"system": SYSTEM, "libraries": libraries or [], "distributions": list(distributions)}
    return {**inside, "python": {**IN_PYTHON, **python}}


def test_nothing_differs_from_itself() -> None:
    assert _differences(WHOLE, WHOLE) == []


def test_added_removed_and_changed() -> None:
    before = _with(distribution("gone", "1", kind="index"), distribution("newer", "1", kind="index"))
    after = _with(distribution("newer", "2", kind="index"), distribution("here", "1", kind="index"))
    assert _differences(before, after) == [
        "newer: 1 (index) → 2 (index)",
        "here: None → 1 (index)",
        "gone: 1 (index) → None",
    ]


@pytest.mark.parametrize(
    ("before", "after", "differs"),
    [
        ({"kind": "index"}, {"kind": "index", "hashes": {"sha256": "ab" * 32}}, False),
        ({"kind": "index", "hashes": {"sha256": "cd" * 32}}, {"kind": "index", "hashes": {"sha256": "ab" * 32}}, True),
        ({"kind": "index"}, {"kind": "local", "path": "x.whl"}, True),
        ({"kind": "vcs", "vcs": "git", "commit": "c0ffee"}, {"kind": "vcs", "vcs": "git", "commit": "decade"}, True),
    ],
)
def test_the_same_version_from_elsewhere(before: dict[str, Any], after: dict[str, Any], differs: bool) -> None:
    """Whose digest is known of one bundle alone may be the same."""
    found = _differences(_with(distribution("x", "1", **before)), _with(distribution("x", "1", **after)))
    assert bool(found) == differs


def test_names_are_compared_as_an_index_compares_them() -> None:
    before = _with(distribution("Some_Name", "1", kind="index"), distribution("Other.Name", "1", kind="index"))
    after = _with(distribution("some-name", "1", kind="index"), distribution("other-name", "2", kind="index"))
    assert _differences(before, after) == ["other-name: 1 (index) → 2 (index)"]


def test_python_and_libraries() -> None:
    newer = {**OPENSSL, "version": "3.2.2-2"}
    before = _with(libraries=[library("libx.so", "ab", OPENSSL), library("liby.so", "ab", None)])
    after = _with(
        libraries=[library("libx.so", "cd", newer), library("liby.so", "cd", None)],
        python_version="3.13.6",
        source={"sha256": "44" * 32},
    )
    assert _differences(before, after) == [
        "CPython: 3.13.5, source sha256 333333333333 → 3.13.6, source sha256 444444444444",
        "libx.so: of openssl-libs 3.2.2-1.amzn2023.0.1, sha256 abababababab"
        " → of openssl-libs 3.2.2-2, sha256 cdcdcdcdcdcd",
        "liby.so: of no package, sha256 abababababab → of no package, sha256 cdcdcdcdcdcd",
    ]


def test_with_one_of_old_versions_are_compared_alone() -> None:
    old = {"freeze": ["mrjob==0.7.4", "x==1"], "python": {"python_version": "3.13.5"}}
    today = _with(distribution("mrjob", "0.7.4", kind="submitter"), distribution("x", "2", kind="index"))
    assert _differences(old, today) == ["x: 1 → 2 (index)"]
