"""A sandbox for all tests in here, with a team's cache in it that the first test to need a bundle fills."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CPYTHON = "3.13.5"

CONF = """\
include: {sandbox_conf}
runners:
  pybundle-emr:
    pybundle_python_version: {version}
    pybundle_python_source: {tarball}
    # A plain build takes minutes, an optimized one a quarter of an hour: benchmarks/ measures that one.
    pybundle_optimize: false
    pybundle_cache_uri: s3://the-team/it's a cache/$(id)/é
    cleanup: NONE
"""


@dataclass
class Line:
    """The sandbox, as the people of a team use it: through programs, and AWS's API."""

    environment: dict[str, str]
    directory: Path
    sandbox: Any
    #: what goes wrong in it: :class:`mrjob_pybundle.sandbox.faults.Faults`
    faults: Any
    #: clusters that tests have seen
    seen: set[str] = field(default_factory=set)

    def run(self, *args: object, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        """Run ``python ARGS`` in the sandbox's environment."""
        return subprocess.run(
            [sys.executable, *map(str, args)],
            env={**self.environment, **environment},
            input=stdin,
            capture_output=True,
            text=True,
            cwd=self.directory,
        )

    def job(self, script: Path, *args: object, **kwargs: Any) -> subprocess.CompletedProcess[str]:
        """Run a job with ``-r pybundle-emr``."""
        return self.run(script, "-r", "pybundle-emr", *args, **kwargs)

    def client(self, service: str) -> Any:
        """A boto3 client for the sandbox."""
        import boto3

        return boto3.session.Session().client(
            service,
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def new_clusters(self) -> list[dict[str, Any]]:
        """Clusters launched since this was last asked."""
        clusters = [
            c for page in self.client("emr").get_paginator("list_clusters").paginate() for c in page["Clusters"]
        ]
        new = [cluster for cluster in clusters if cluster["Id"] not in self.seen]
        self.seen.update(cluster["Id"] for cluster in new)
        return new

    def objects(self, bucket: str = "the-team") -> dict[str, int]:
        """Key → size of all that is in a bucket."""
        pages = self.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {found["Key"]: found["Size"] for page in pages for found in page.get("Contents", ())}


@pytest.fixture(scope="package")
def tarball() -> Path:
    """CPython's source, from python.org or by way of this machine's package manager."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mrjob-pybundle" / "sources"
    fetched = subprocess.run(
        [ROOT / "scripts" / "fetch-cpython-source.sh", CPYTHON, cache], stdout=subprocess.PIPE, text=True, check=True
    )
    return Path(fetched.stdout.strip())


@pytest.fixture(scope="package")
def line(tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """The sandbox, with an mrjob.conf that all of a team's authors share."""
    from mrjob_pybundle.sandbox import Sandbox
    from mrjob_pybundle.sandbox.faults import Faults

    directory, faults = tmp_path_factory.mktemp("sandbox"), Faults()
    with Sandbox(directory / "sandbox", 2, middleware=[faults]) as sandbox:
        conf = directory / "mrjob.conf"
        conf.write_text(CONF.format(sandbox_conf=sandbox.environment["MRJOB_CONF"], version=CPYTHON, tarball=tarball))
        line = Line({**sandbox.environment, "MRJOB_CONF": str(conf)}, directory, sandbox, faults)
        line.client("s3").create_bucket(Bucket="the-team")
        yield line


@pytest.fixture(scope="package")
def texts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Real text: the documents that come with mrjob."""
    import mrjob

    return sorted(Path(mrjob.__file__).parent.glob("examples/docs-to-classify/*.txt"))[:12]
