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

RECIPES = {"PYTHON_RECIPE": 3, "VENV_RECIPE": 4}
HOOK_VERSION = 5

PARTS = {
    "PYTHON_RECIPE": {
        "build-binaries/python.sh": "4496b78d58bb88b0d04efa3d8475d5eefd74f9d65731b6d10e418292002a917b",
        "programs/archive.py": "5af6007c952d9c95100821b00bcae7a142a009462488eab319bcb678a264119d",
        "programs/elf.py": "097892aa64aa67d3f23c9a029a13051dad73d229fb2ba20665ad971741762a0f",
        "programs/profile_tasks.py": "4d35e5f7eff99ebac2357c6df790686fa87d5048360bab317af05538648224aa",
        "programs/python27_venv.py": "72816d5d2c4bd145d0b31ec5847889595f53f682122f24cae610ca4c1659e30d",
        "programs/shared_libraries.py": "f13bfea83e9e3be46dbb0cc6058d60077efbf26053ac2f88c93bb3337d776120",
    },
    "VENV_RECIPE": {
        "build-binaries/environment.sh": "f90bb8873e51cbf46a29c0c23efed9850e04e7c72422d9bdad4b02160883d67e",
        "programs/relocate.py": "06eb6a778ce3dab8db62f5d6701244884778baf8b9f07ce9163805018f2a93ff",
    },
    "HOOK_VERSION": {
        "mrjob_pybundle_hook.py": "64ba55fed72afd396d9b3b7ad4f2bb716e71dd06809a12540133f1ec64f74e67",
        "mrjob_pybundle/nodes/mrjob_pybundle_imports.py": "5d580ed4c2ad77e7d5e341c6a5574429a6d72bd6774eed7261b3ebe888790123",  # noqa: E501
        "mrjob_pybundle/nodes/mrjob_pybundle_tasks.py": "cc83b1e2ab4f1e4526f7c0064ecc94b488f22c7df4d727121eccd89f67a43e76",  # noqa: E501
        "mrjob_pybundle_hook.pth": "736f3197982e6d83314b180b6825182d4a90ec4fd8a892024096064e99158645",
    },
}

#: What runs on a build master, and changes no archive's bytes.
IN_NO_RECIPE = {
    *("build-binaries.sh.tmpl", "fetch-and-run.sh"),
    *(f"build-binaries/{part}.sh" for part in ("prepare", "publish", "report", "supervise")),
    *(f"programs/{program}.py" for program in ("check_inputs", "check_modules", "contents", "needs", "publish")),
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
