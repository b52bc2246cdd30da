"""Golden values: what an archive's bytes come from, besides what its key names one by one.

An edit of a part below fails here. Then there are two ways on:

* the edit changes what is in an archive: raise ``PYTHON_RECIPE`` (both archives are built anew for everybody) or
  ``VENV_RECIPE`` (only environments are) in ``mrjob_pybundle/bundle/spec.py``, or ``HOOK_VERSION`` for the hook;
* it doesn't (a comment, the log, an upload): leave them as they are.

Either way, put the new digest here.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import mrjob_pybundle_hook
from mrjob_pybundle.bundle import spec as bundle

ROOT = Path(__file__).parents[3]
MASTER = ROOT / "mrjob_pybundle" / "master"

RECIPES = (1, 2, 1)

PARTS = {
    "build-binaries.sh.tmpl": "aa7db9cf1cb1243239739c1b7d8029c149aedf59930a5bcd01ee86c60ef96891",
    "build-binaries/environment.sh": "77f865f6eb9fc8e29dd3087dd88700da9d7346d5336c3bdd6c651728b073d8bb",
    "build-binaries/prepare.sh": "ac840017e14c80d85ca65ccee98fba8f076606746c11044e2339b4f29eec1f91",
    "build-binaries/publish.sh": "288cd07d08523a759aa6b947bb456b48514bdc3b55d0c7c8e0d5797521768195",
    "build-binaries/python.sh": "526bf4485b443ff40d3693e46665e663a6d40cbfcc23c9e41cbbabe3f2520a2b",
    "build-binaries/report.sh": "95599325e5091802ae2fbd4a6fa33b0a6368a4e6ca5cd3c72fdee4847fee6600",
    "build-binaries/supervise.sh": "ee82f128d114b053b4f32c6618e3baed3bc0b08c9d27b063a080cafc4771c61e",
    "programs/archive.py": "0d77b6e71340659df8939138308f955b17de2b6d3ec3e69949740352ec98b0da",
    "programs/check_modules.py": "db97ccc84777e43a3434710164db5b779e4517418a80aa8a156795681629be6d",
    "programs/elf.py": "b8f42683b7fdaecb2cfff45dd64bb61e5cd813e28fa75bf40c0ab1903ec62a5b",
    "programs/publish.py": "ed781aabadf5ec4212dcbbbb438e5baf01e5c0c79c9444357bb26cd06b96c30e",
    "programs/python27_venv.py": "72816d5d2c4bd145d0b31ec5847889595f53f682122f24cae610ca4c1659e30d",
    "programs/relocate.py": "1582f6833f3825d44d8441eadd6e00793cb7326933fce301d5cd4ec5384aa589",
    "programs/shared_libraries.py": "f20d06f94b89c46feb14e19e0f8809d6395afb37a6ad175fb99bb6d3ca244ac0",
    "mrjob_pybundle_hook.py": "c9eb8a6a506ccd26a99dee4ab2fe23b5fbe1ec030f0b62ca9f301b19e32c38fe",
    "mrjob_pybundle_hook.pth": "736f3197982e6d83314b180b6825182d4a90ec4fd8a892024096064e99158645",
}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_what_archives_are_made_by() -> None:
    on_master = [
        *(MASTER / "build-binaries.sh.tmpl", *sorted((MASTER / "build-binaries").glob("*.sh"))),
        *sorted((MASTER / "programs").glob("*.py")),
    ]
    digests = {
        **{path.relative_to(MASTER).as_posix(): _digest(path) for path in on_master},
        **{path.name: _digest(path) for path in (ROOT / "mrjob_pybundle_hook.py", ROOT / "mrjob_pybundle_hook.pth")},
    }
    assert digests == PARTS, "bump the recipe, or state that the bytes don't change: see the top of this file"


def test_recipe_numbers() -> None:
    assert (bundle.PYTHON_RECIPE, bundle.VENV_RECIPE, mrjob_pybundle_hook.HOOK_VERSION) == RECIPES
