"""Jobs that bring their bundle along, on Hadoop and Spark that nobody prepared for it."""

from __future__ import annotations

import json
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines.conftest import CPYTHON, on_hadoop, succeeded
from tests.existing import cluster_without_bundle, fetched_archives, unpackings
from tests.line.conftest import ROOT, Line

# On the built-in engine, tests/line does this.
pytestmark = [pytest.mark.engines, on_hadoop]

LENGTHS = ROOT / "tests" / "jobs" / "mr_line_lengths.py"
#: ``-files`` takes only URIs, and the address of the cache of all other tests is none.
PLAIN = "s3://the-team/plain"
TASKS = 8


@pytest.fixture(scope="module")
def old_cluster(line: Line, cluster: str) -> Iterator[str]:
    """A cluster that has run no bootstrap action. The cache at a plain address has all that the other one has."""
    for key in line.objects():
        _, found, rest = key.rpartition("/v1/")
        if found and re.match("python/|venv/", rest) and not key.startswith("plain/"):
            source = {"Bucket": "the-team", "Key": key}
            line.client("s3").copy_object(Bucket="the-team", Key=f"plain/v1/{rest}", CopySource=source)
    image = line.client("emr").describe_cluster(ClusterId=cluster)["Cluster"]["CustomAmiId"]
    applications = [{"Name": "Hadoop"}, {"Name": "Spark"}]
    with cluster_without_bundle(line, CustomAmiId=image, Applications=applications) as cluster_id:
        yield cluster_id


def test_many_tasks_and_one_unpacking_on_each_node(line: Line, old_cluster: str) -> None:
    """Archives are fetched from S3 once for a job, whatever the number of its tasks and nodes."""
    for _ in range(2):
        since = len(line.requests)
        run = line.job(
            LENGTHS, "--cluster-id", old_cluster, "--pybundle-cache-uri", PLAIN, "--no-read-logs",
            "-D", f"mapreduce.job.maps={TASKS}", stdin=TASKS * "123456789\n",
        )  # fmt: skip
        assert succeeded(run) == [f"9\t{TASKS}"]
        fetched = fetched_archives(line, since)
        assert len(fetched) == len(set(fetched)) == 2
    assert len(unpackings(line, old_cluster)) == 2, "by the first job; the second one found it on both nodes"


def test_spark(line: Line, old_cluster: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "code.zip", "w") as code:
        code.writestr("helper_module.py", "VALUE = 'a Python file'\n")
    run = line.job(
        Path(__file__).parent / "jobs" / "mr_spark_where_am_i.py", "--cluster-id", old_cluster,
        "--pybundle-cache-uri", PLAIN, "--no-read-logs", "--py-files", tmp_path / "code.zip", stdin="x\n",
    )  # fmt: skip
    said = [json.loads(text) for text in succeeded(run)]
    assert Counter(here["part"] for here in said) == {"mapper": 1, "driver": 1, "executor": 2}
    for here in said:
        assert re.fullmatch(r"/mnt/tmp/pybundle-\d+/[0-9a-f]{20}/venv/bin/python", here["executable"]), here
        assert here["version"].startswith(f"{CPYTHON} "), here
        assert "/venv/lib/python3.11/site-packages/regex/" in here["package"], here
    assert len(unpackings(line, old_cluster)) == 2
