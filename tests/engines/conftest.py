"""The sandbox with each of its engines in turn. Its S3 is kept from run to run, and with it the bundle."""

from __future__ import annotations

import importlib.util
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mrjob_pybundle.sandbox.api.requests import Request
from tests.compiled import CACHE, QUICKLY_COMPILED, fetch_source
from tests.line.conftest import CACHE_PREFIX, CONF, ROOT, Line, recording, texts

__all__ = ["texts"]

# The newest Python line that Spark 3.5 runs on. One for all: compiling it is what takes longest the first time.
CPYTHON = "3.11.2"

# Few tasks: starting a JVM is what takes time.
MORE_CONF = f"""\
    pybundle_configure_args: ["{QUICKLY_COMPILED}"]
    pybundle_venv_build: {ROOT}/tests/engines/venv-build.sh
    jobconf:
      mapreduce.job.maps: 1
"""

#: What a job needs to join that cluster, other than by its id.
POOL = ("--pool-clusters", "--bootstrap-spark")

Job = Callable[..., "subprocess.CompletedProcess[str]"]


#: For tests that one of the engines has no part in.
on_hadoop = pytest.mark.parametrize("engine", ["hadoop"], indirect=True)

#: For tests of what has little to do with the engine. Each of a job's steps on Hadoop is a dozen starts of Java.
mostly_builtin = pytest.mark.parametrize(
    "engine", ["builtin", pytest.param("hadoop", marks=pytest.mark.whole)], indirect=True
)


@pytest.fixture(scope="package", params=["builtin", "hadoop"])
def engine(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="package")
def line(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """The sandbox with that engine, and an mrjob.conf for it."""
    from mrjob_pybundle.sandbox import BUCKET, Sandbox

    directory = tmp_path_factory.mktemp(engine)
    requests: list[Request] = []
    with Sandbox(CACHE / "engines", 2, [recording(requests)], engine=engine) as sandbox:
        included, tarball = sandbox.environment["MRJOB_CONF"], fetch_source(CPYTHON)
        conf = CONF.format(sandbox_conf=included, version=CPYTHON, tarball=tarball, cache=CACHE_PREFIX)
        (directory / "mrjob.conf").write_text(conf + MORE_CONF)
        line = Line({**sandbox.environment, "MRJOB_CONF": str(directory / "mrjob.conf")}, directory, sandbox, requests)
        buckets = line.client("s3").list_buckets()["Buckets"]
        if not any(bucket["Name"] == "the-team" for bucket in buckets):
            line.client("s3").create_bucket(Bucket="the-team")
        left = [{"Key": key} for key in line.objects(BUCKET)]  # by the last run's jobs
        for start in range(0, len(left), 1000):
            line.client("s3").delete_objects(Bucket=BUCKET, Delete={"Objects": left[start : start + 1000]})
        yield line


@pytest.fixture(scope="package")
def cluster(line: Line) -> str:
    """The id of one cluster for many jobs, made for them. It has run one, so all of its nodes are ready."""
    created = line.run("-m", "mrjob_pybundle", "create-cluster", *POOL)
    assert created.returncode == 0, created.stderr[-6000:]
    cluster = created.stdout.rstrip("\n")
    script = ROOT / "tests" / "jobs" / "mr_line_lengths.py"
    succeeded(line.job(script, "--cluster-id", cluster, "--no-read-logs", stdin="x\n"))
    return cluster


@pytest.fixture(scope="package")
def job(line: Line, cluster: str) -> Job:
    """``line.job`` on that cluster. Its logs are not read: they are in S3 when it has ended."""

    def run(script: Path, *args: object, **kwargs: Any) -> subprocess.CompletedProcess[str]:
        return line.job(script, "--cluster-id", cluster, "--no-read-logs", *args, **kwargs)

    return run


@pytest.fixture
def failure(line: Line) -> Callable[..., str]:
    """What an author reads of a job that fails. It has a cluster of its own: one that ends gives its logs at once."""

    def run(script: Path, *args: object) -> str:
        done = line.job(script, "--num-core-instances", "0", *args, stdin="x\n")
        assert done.returncode == 1, done.stderr[-6000:]
        return done.stderr

    return run


def example(module: str) -> Path:
    """The script of one of mrjob's own examples."""
    spec = importlib.util.find_spec(f"mrjob.examples.{module}")
    assert spec
    assert spec.origin
    return Path(spec.origin)


def succeeded(run: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines of a job's output, sorted."""
    assert run.returncode == 0, run.stderr[-6000:]
    # Hadoop Streaming ends a line that has no TAB with one.
    return sorted(line.removesuffix("\t") for line in run.stdout.splitlines())
