"""A sandbox whose nodes have nothing: a minimal Debian each, in two generations. Its S3 is kept from run to run."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.compiled import CACHE, QUICKLY_COMPILED
from tests.line.conftest import ROOT, Line, texts

__all__ = ["texts"]

HERE = Path(__file__).parent
#: release of Debian's, oldest first → the image id that it has in the sandbox
IMAGES = {"bullseye": "ami-debian-11", "bookworm": "ami-debian-12"}
#: What is run: CPython on a release of Debian's. The oldest Python where OpenSSL is 3, the newest where glibc is old.
PAIRS = [("2.7.18", "bookworm"), ("3.13.5", "bullseye")]
CONFIGURE_ARGS = [QUICKLY_COMPILED]
if os.environ.get("MATRIX") == "whole":
    CONFIGURE_ARGS = []
    PAIRS = [(cpython, suite) for suite in IMAGES for cpython in ("2.7.18", "3.9.2", "3.11.2", "3.13.5")]
    # From there, it is two generations back to the oldest.
    IMAGES["trixie"] = "ami-debian-13"
    PAIRS.append(("3.13.5", "trixie"))
MRJOB_CONF = f"""\
include: {{}}
runners:
  pybundle-emr:
    cleanup: NONE
    pybundle_optimize: false
    pybundle_configure_args: {json.dumps(CONFIGURE_ARGS)}
    pybundle_cache_uri: s3://the-team/it's a cache/$(id)/é
    pybundle_venv_build: {HERE}/venv-build.sh
    pybundle_build_files: [{HERE}/packages/*]
"""


@dataclass(frozen=True)
class Pristine:
    """Jobs of one CPython on the nodes of one Debian."""

    cpython: str
    suite: str
    line: Line
    source: Path

    def job(self, script: Path, *args: object, **kwargs: Any) -> subprocess.CompletedProcess[str]:
        """Run a job with ``-r pybundle-emr`` and the bundle of ``venv-build.sh``."""
        python = ("--pybundle-python-version", self.cpython, "--pybundle-python-source", self.source)
        image = ("--image-id", IMAGES[self.suite])
        return self.line.job(script, *python, *image, *args, **kwargs)


def have(script: str, *args: object) -> Path:
    """What one of the project's scripts makes or fetches."""
    run = subprocess.run([ROOT / "scripts" / script, *map(str, args)], capture_output=True, text=True)
    if run.returncode:
        *_, last = run.stderr.splitlines() or [""]
        # What a script of ours says, and not bash, of a script that is broken.
        assert re.match(r"[a-z0-9-]+: ", last), run.stderr
        pytest.skip(last)
    return Path(run.stdout.strip())


@pytest.fixture(scope="package")
def trees() -> dict[str, Path]:
    """The file trees of nodes that have nothing: {release of Debian's: directory}."""
    return {suite: have("make-node-root.sh", suite) for suite in IMAGES}


@pytest.fixture(scope="package")
def line(trees: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """The sandbox with these images, and an mrjob.conf for it."""
    from mrjob_pybundle.sandbox import BUCKET, Sandbox, SandboxError

    directory = tmp_path_factory.mktemp("pristine")
    images = {image_id: trees[suite] for suite, image_id in IMAGES.items()}
    with ExitStack() as stack:
        try:
            sandbox = stack.enter_context(Sandbox(CACHE / "pristine", nodes=1, images=images))
        except SandboxError as error:
            pytest.skip(str(error))
        (directory / "mrjob.conf").write_text(MRJOB_CONF.format(sandbox.environment["MRJOB_CONF"]))
        line = Line({**sandbox.environment, "MRJOB_CONF": str(directory / "mrjob.conf")}, directory, sandbox)
        buckets = line.client("s3").list_buckets()["Buckets"]
        if not any(bucket["Name"] == "the-team" for bucket in buckets):
            line.client("s3").create_bucket(Bucket="the-team")
        left = [{"Key": key} for key in line.objects(BUCKET)]  # by the last run's jobs
        for start in range(0, len(left), 1000):
            line.client("s3").delete_objects(Bucket=BUCKET, Delete={"Objects": left[start : start + 1000]})
        yield line


@pytest.fixture(scope="package", params=PAIRS, ids="-".join)
def pristine(request: pytest.FixtureRequest, line: Line) -> Pristine:
    cpython, suite = request.param
    return Pristine(cpython, suite, line, have("fetch-cpython-source.sh", cpython, CACHE / "sources"))
