"""Keys: what goes in changes them, nothing else does, and their values never change by accident."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrjob_pybundle.bundle.spec import (
    Archive,
    BuildFile,
    Bundle,
    BundleSpec,
    PythonSpec,
    canonical_json,
    digest_of,
)

PYTHON = PythonSpec("3.13.5", None, (), True, "x86_64", "amzn2023")
SPEC = BundleSpec(PYTHON, "ab" * 32, (BuildFile("lib/a.py", False, "cd" * 32),), "0.7.4", "ef" * 32, 1)


def test_golden_keys() -> None:
    """If this fails, every team's bundles are built anew. Is that what you want?"""
    assert PYTHON.key == "7c087d1b5d0cd1bdee5db22e4648b4b576c0cc86eb0de44af6dd1e8728d7c3d0"
    assert SPEC.key == "0529669ea287352649adacd94faf5c06ace8f18583f30d23e9915e82c2fdc311"
    spec_2_7 = replace(
        SPEC, python=PythonSpec("2.7.18", "01" * 32, ("--with-x=a b", "é"), False, "aarch64", "ami-0abc")
    )
    assert spec_2_7.python.key == "f797a51626c21b3cef0f09976f0bab2c1324a270c51f55b4a7bcb0c055368d18"
    assert spec_2_7.key == "ee9415301e86dc1af1be4291f7d0565262f4e4f56d953877602555160d463dd6"


@pytest.mark.parametrize(
    "change",
    [
        {"version": "3.13.6"},
        {"source_sha256": "00" * 32},
        {"configure_args": ("--with-x",)},
        {"optimize": False},
        {"arch": "aarch64"},
        {"os_family": "amzn2"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_changes_python_changes_both_keys(change: dict[str, object]) -> None:
    python = replace(PYTHON, **change)  # type: ignore[arg-type]
    assert python.key != PYTHON.key
    assert replace(SPEC, python=python).key != SPEC.key


@pytest.mark.parametrize(
    "change",
    [
        {"venv_build_sha256": None},
        {"build_files": ()},
        {"build_files": (BuildFile("lib/a.py", True, "cd" * 32),)},
        {"build_files": (BuildFile("lib/b.py", False, "cd" * 32),)},
        {"mrjob_version": "0.7.5"},
        {"mrjob_sha256": "00" * 32},
        {"hook_version": 2},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_changes_the_environment_leaves_the_python_key(change: dict[str, object]) -> None:
    spec = replace(SPEC, **change)  # type: ignore[arg-type]
    assert spec.key != SPEC.key
    assert spec.python.key == SPEC.python.key


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(json_values)
def test_canonical_json_is_ascii_and_says_the_same(value: object) -> None:
    text = canonical_json(value)
    assert text.isascii()
    assert json.loads(text) == value


@given(st.dictionaries(st.text(), st.integers(), min_size=2))
def test_canonical_json_does_not_depend_on_order(value: dict[str, int]) -> None:
    assert digest_of(dict(reversed(value.items()))) == digest_of(value)


@given(st.lists(st.text(min_size=1), max_size=4), st.lists(st.text(min_size=1), max_size=4))
def test_configure_args_cannot_run_into_each_other(one: list[str], other: list[str]) -> None:
    same_key = replace(PYTHON, configure_args=tuple(one)).key == replace(PYTHON, configure_args=tuple(other)).key
    assert same_key == (one == other)


digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
python_specs = st.builds(
    PythonSpec,
    version=st.sampled_from(["2.7.18", "3.11.2", "3.13.5"]),
    source_sha256=st.none() | digests,
    configure_args=st.lists(st.text(max_size=3), max_size=2).map(tuple),
    optimize=st.booleans(),
    arch=st.sampled_from(["x86_64", "aarch64"]),
    os_family=st.text(max_size=3),
)
bundle_specs = st.builds(
    BundleSpec,
    python=python_specs,
    venv_build_sha256=st.none() | digests,
    build_files=st.lists(st.builds(BuildFile, st.text(max_size=3), st.booleans(), digests), max_size=2).map(tuple),
    mrjob_version=st.text(max_size=3),
    mrjob_sha256=digests,
    hook_version=st.integers(1, 3),
)


@given(bundle_specs, bundle_specs)
def test_keys_are_equal_where_specifications_are(one: BundleSpec, other: BundleSpec) -> None:
    assert (one.key == other.key) == (one == other)
    assert (one.python.key == other.python.key) == (one.python == other.python)


@given(bundle_specs, python_specs)
def test_another_python_is_another_bundle(spec: BundleSpec, python: PythonSpec) -> None:
    """A venv key contains the python key: an environment is never put onto a Python it was not made on."""
    assert (replace(spec, python=python).key == spec.key) == (python == spec.python)


def test_a_bundle_id_stands_for_keys_and_contents() -> None:
    bundle = Bundle(Archive("a" * 64, "b" * 64, 1, 2), Archive("c" * 64, "d" * 64, 3, 4), "x86_64")
    assert bundle.id == "98a6156859a41d69db99"
    for changed in (
        replace(bundle, venv=replace(bundle.venv, sha256="e" * 64)),
        replace(bundle, python=replace(bundle.python, sha256="e" * 64)),
        replace(bundle, venv=replace(bundle.venv, key="e" * 64)),
    ):
        assert changed.id != bundle.id


def test_keys_do_not_depend_on_hash_randomization_or_locale() -> None:
    program = "from tests.unit.bundle.test_spec import SPEC; print(SPEC.key)"
    for environment in ({"PYTHONHASHSEED": "1", "LC_ALL": "C"}, {"PYTHONHASHSEED": "2", "LC_ALL": "C.UTF-8"}):
        run = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, **environment},
            cwd=Path(__file__).parents[3],
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout.strip() == SPEC.key
