"""The sandbox with each of its engines in turn. Its S3 is kept from run to run, and with it the bundle."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.line.conftest import CONF, CPYTHON, ROOT, Line, tarball, texts

__all__ = ["tarball", "texts"]

# Few tasks: starting a JVM is what takes time.
MORE_CONF = f"""\
    pybundle_venv_build: {ROOT}/examples/venv-build.sh
    jobconf:
      mapreduce.job.maps: 1
"""

Job = Callable[..., "subprocess.CompletedProcess[str]"]

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mrjob-pybundle"


@pytest.fixture(scope="package", params=["builtin", "hadoop"])
def engine(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="package")
def line(engine: str, tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """The sandbox with that engine, and an mrjob.conf for it."""
    from mrjob_pybundle.sandbox import BUCKET, Sandbox

    directory = tmp_path_factory.mktemp(engine)
    with Sandbox(CACHE / "engines", 2, engine=engine) as sandbox:
        conf = CONF.format(sandbox_conf=sandbox.environment["MRJOB_CONF"], version=CPYTHON, tarball=tarball)
        (directory / "mrjob.conf").write_text(conf + MORE_CONF)
        line = Line({**sandbox.environment, "MRJOB_CONF": str(directory / "mrjob.conf")}, directory, sandbox)
        buckets = line.client("s3").list_buckets()["Buckets"]
        if not any(bucket["Name"] == "the-team" for bucket in buckets):
            line.client("s3").create_bucket(Bucket="the-team")
        left = [{"Key": key} for key in line.objects(BUCKET)]  # by the last run's jobs
        for start in range(0, len(left), 1000):
            line.client("s3").delete_objects(Bucket=BUCKET, Delete={"Objects": left[start : start + 1000]})
        yield line


@pytest.fixture(scope="package")
def job(line: Line) -> Job:
    """``line.job``, on one cluster for all. Its logs are not read: they are in S3 when it has ended."""
    line.new_clusters()
    first = line.job(ROOT / "tests" / "jobs" / "mr_line_lengths.py", "--pool-clusters", "--no-read-logs", stdin="x\n")
    assert first.returncode == 0, first.stderr[-6000:]
    (cluster,) = [found["Id"] for found in line.new_clusters() if not found["Name"].startswith("mrjob-pybundle build")]

    def run(script: Path, *args: object, **kwargs: Any) -> subprocess.CompletedProcess[str]:
        return line.job(script, "--cluster-id", cluster, "--no-read-logs", *args, **kwargs)

    return run
