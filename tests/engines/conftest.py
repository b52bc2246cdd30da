"""The sandbox with each of its engines in turn. Its S3 is kept from run to run, and with it the bundle."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.line.conftest import CONF, CPYTHON, ROOT, Line, tarball, texts

__all__ = ["tarball", "texts"]

# Jobs share a cluster, unless they say otherwise, and have few tasks: starting a JVM is what takes time.
MORE_CONF = f"""\
    pybundle_venv_build: {ROOT}/examples/venv-build.sh
    pool_clusters: true
    read_logs: false
    jobconf:
      mapreduce.job.maps: 1
"""

OWN_CLUSTER = ("--no-pool-clusters", "--read-logs")
"""Logs are in S3 when a cluster has ended."""


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
        line = Line({**sandbox.environment, "MRJOB_CONF": str(directory / "mrjob.conf")}, directory)
        buckets = line.client("s3").list_buckets()["Buckets"]
        if not any(bucket["Name"] == "the-team" for bucket in buckets):
            line.client("s3").create_bucket(Bucket="the-team")
        for key in line.objects(BUCKET):  # what the last run's jobs have left
            line.client("s3").delete_object(Bucket=BUCKET, Key=key)
        yield line
