"""``show KEY --constraints``: what pip reads of it, and what it never gets to read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from packaging.requirements import Requirement

from mrjob_pybundle.cache.inventory import Manifest, Shelf
from mrjob_pybundle.command.constraints import constraints_text
from mrjob_pybundle.errors import CacheError, OptionError

KEY = "13150aaee1c2" + "0" * 52


def _shelf(installed: list[Any], kind: str = "venv") -> Shelf:
    manifest = {
        "archive": {"sha256": "11" * 32, "size": 1, "unpacked_size": 1},
        "python": {"key": "aa" * 32, "sha256": "22" * 32},
        "build": {"id": "b", "owner": "a\nda", "built_at": "2026-11-20T10:11:12Z", "seconds": {}},
        "inputs": {},
        "contents": {"freeze": installed},
    }
    return Shelf(kind, KEY, (), Manifest.parse(kind, json.dumps(manifest).encode()))


def test_each_distribution_on_a_line() -> None:
    installed = ["mrjob==0.7.4", "numpy==2.2.6", "torch==2.9.0+cu128", "odd===1.0-final-1"]
    header, *lines = constraints_text(_shelf(installed)).splitlines()
    assert header == "# What is installed in bundle 13150aaee1c2, which was built on 2026-11-20."
    assert lines == installed
    assert [Requirement(line).name for line in lines] == ["mrjob", "numpy", "torch", "odd"]


@pytest.mark.parametrize(
    "odd",
    [
        "--index-url http://127.0.0.1/",
        "-r /etc/passwd",
        "numpy @ http://127.0.0.1/numpy.whl",
        "numpy",
        "numpy>=2",
        "numpy==2.2.6 ; python_version > '3'",
        "numpy[x]==2.2.6",
        "numpy==2.2.6\n--index-url http://127.0.0.1/",
        "numpy==2.*",
        3,
    ],
)
def test_what_is_no_pin_is_not_printed(odd: Any) -> None:
    """Who writes manifests has no word in what pip does on somebody's machine."""
    with pytest.raises(CacheError, match="among what is installed: no name==version"):
        constraints_text(_shelf(["mrjob==0.7.4", odd]))


@pytest.mark.parametrize(
    ("shelf", "what"),
    [(_shelf([], "python"), "a Python"), (Shelf("venv", KEY, ()), "removed, or its manifest is damaged")],
)
def test_what_has_none(shelf: Shelf, what: str) -> None:
    with pytest.raises(OptionError, match=f"^13150aaee1c2 is {what}: constraints are of bundles in the cache"):
        constraints_text(shelf)


def test_an_old_manifest_does_not_say() -> None:
    with pytest.raises(CacheError, match="does not say what is installed"):
        constraints_text(_shelf([]))
