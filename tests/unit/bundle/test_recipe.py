"""Golden values: what an archive's bytes come from, besides what its key names one by one.

An edit of a part below fails here. Then there are two ways on:

* the edit changes what is in an archive: raise that part's recipe in ``mrjob_pybundle/bundle/spec.py``.
  ``PYTHON_RECIPE``: both archives are built anew for everybody; ``VENV_RECIPE``: only environments are. If the edit
  of a part that both need (archive.py, the end of python.sh) changes only environments, ``VENV_RECIPE`` will do. For
  the hook, raise the ``HOOK_VERSION`` in it;
* it doesn't (a comment, the log): leave them as they are.

Either way, put the new digest here. What is in no list below (the order of stages, what a build begins with, reports,
publishing) changes no archive's bytes, and may be edited at will.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from mrjob_pybundle.bundle import spec as bundle
from mrjob_pybundle.bundle.inputs import read_inputs
from mrjob_pybundle.bundle.sources import Source
from tests.unit.bundle.test_spec import PYTHON

ROOT = Path(__file__).parents[3]
MASTER = ROOT / "mrjob_pybundle" / "master"

RECIPES = {"PYTHON_RECIPE": 1, "VENV_RECIPE": 3}
HOOK_VERSION = 2

PARTS = {
    "PYTHON_RECIPE": {
        "build-binaries/python.sh": "03bdc7efca08c2064f5e7bcb97e51c87d865b9597f371b50d5a5eeeb33c7ea28",
        "programs/archive.py": "0d77b6e71340659df8939138308f955b17de2b6d3ec3e69949740352ec98b0da",
        "programs/elf.py": "b8f42683b7fdaecb2cfff45dd64bb61e5cd813e28fa75bf40c0ab1903ec62a5b",
        "programs/python27_venv.py": "72816d5d2c4bd145d0b31ec5847889595f53f682122f24cae610ca4c1659e30d",
        "programs/shared_libraries.py": "f20d06f94b89c46feb14e19e0f8809d6395afb37a6ad175fb99bb6d3ca244ac0",
    },
    "VENV_RECIPE": {
        "build-binaries/environment.sh": "4bfbf1fbd14277ab14b00ea0ce27e2f4675be97c13e78dbc8f85cd543b3ba69d",
        "programs/relocate.py": "1582f6833f3825d44d8441eadd6e00793cb7326933fce301d5cd4ec5384aa589",
    },
    "HOOK_VERSION": {
        "mrjob_pybundle_hook.py": "17297af1a38a53a85c75611842035283a578f2d73c46d729fcbdc9468f2a0747",
        "mrjob_pybundle_hook.pth": "736f3197982e6d83314b180b6825182d4a90ec4fd8a892024096064e99158645",
    },
}

#: What runs on a build master, and changes no archive's bytes.
IN_NO_RECIPE = {
    *("build-binaries.sh.tmpl", "fetch-and-run.sh"),
    *(f"build-binaries/{part}.sh" for part in ("prepare", "publish", "report", "supervise")),
    *(f"programs/{program}.py" for program in ("check_inputs", "check_modules", "needs", "publish")),
}


@pytest.mark.parametrize("recipe", PARTS)
def test_what_archives_are_made_by(recipe: str) -> None:
    directory = ROOT if recipe == "HOOK_VERSION" else MASTER
    digests = {name: hashlib.sha256((directory / name).read_bytes()).hexdigest() for name in PARTS[recipe]}
    assert digests == PARTS[recipe], f"raise {recipe}, or state that the bytes don't change: see the top of this file"


def test_recipe_numbers() -> None:
    assert {name: getattr(bundle, name) for name in RECIPES} == RECIPES


def test_the_hook_says_the_version_that_is_in_keys() -> None:
    source = Source("3.13.5", "https://example.com/Python-3.13.5.tgz", "ab" * 32)
    assert read_inputs(source, None, ()).spec(PYTHON).hook_version == HOOK_VERSION


def test_all_that_runs_on_a_master_is_in_a_recipe_or_in_none() -> None:
    files = [*MASTER.glob("*.sh*"), *MASTER.glob("build-binaries/*"), *MASTER.glob("programs/*.py")]
    pinned = PARTS["PYTHON_RECIPE"].keys() | PARTS["VENV_RECIPE"].keys()
    assert {path.relative_to(MASTER).as_posix() for path in files} == pinned | IN_NO_RECIPE
    assert not pinned & IN_NO_RECIPE
