"""Clusters that are already there: made by create-cluster, pooled, or by people who have never heard of bundles.

Tests run in this order; the first has a bundle built for a cluster that is there, which the others use.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.existing import cluster_without_bundle, fetched_archives, unpackings
from tests.line.conftest import PLAIN, ROOT, Line

JOBS = ROOT / "tests" / "jobs"
LENGTHS = JOBS / "mr_line_lengths.py"
#: twelve map tasks, each with one line
TWELVE = ("-D", "mapreduce.job.maps=12")
LINE = "x" * 9 + "\n"


@pytest.fixture(scope="module")
def image_id(line: Line) -> str:
    """The AMI of the clusters of the line's jobs: that of this machine."""
    conf = json.loads((line.directory / "sandbox" / "mrjob.conf").read_text())
    return str(conf["runners"]["emr"]["image_id"])


@pytest.fixture(scope="module")
def old_cluster(line: Line, plain_cache: None, image_id: str) -> Iterator[str]:
    with cluster_without_bundle(line, CustomAmiId=image_id) as cluster_id:
        yield cluster_id


def _join(line: Line, cluster_id: str, script: Path, *args: object, stdin: str) -> subprocess.CompletedProcess[str]:
    return line.job(
        script, "--cluster-id", cluster_id, "--pybundle-cache-uri", f"s3://{PLAIN}/cache",
        # where conf says otherwise, it is the cluster that counts
        "--image-id", "ami-of-the-conf", "--core-instance-type", "m6g.xlarge", "--release-label", "emr-6.15.0",
        *args, stdin=stdin,
    )  # fmt: skip


def test_a_job_brings_a_missing_bundle_along(line: Line, old_cluster: str) -> None:
    """It is built for the cluster, fetched once for the job, and unpacked once on each node."""
    line.new_clusters()
    since = len(line.requests)
    run = _join(line, old_cluster, LENGTHS, *TWELVE, stdin=12 * LINE)
    assert run.returncode == 0, run.stderr[-6000:]
    assert run.stdout == "9\t12\n"
    assert f"Cluster {old_cluster} was not created with this bundle: the job brings it along" in run.stderr
    assert "Launched map tasks=12" in run.stderr
    (build,) = line.new_clusters()
    assert build["Name"].startswith("mrjob-pybundle build")
    assert len(fetched_archives(line, since)) == len(set(fetched_archives(line, since))) == 2
    assert len(unpackings(line, old_cluster)) == 2

    step = line.client("emr").list_steps(ClusterId=old_cluster)["Steps"][0]["Config"]["Args"]
    digests = re.findall(r"/([0-9a-f]{64})\.tar\.gz#pybundle-[0-9a-f]{20}-(?:python|venv)\.tar\.gz", " ".join(step))
    assert len(set(digests)) == 2, "which is how housekeeping knows what the cluster needs"


@pytest.mark.whole
def test_the_next_job_unpacks_nothing(line: Line, old_cluster: str) -> None:
    line.new_clusters()
    since = len(line.requests)
    run = _join(line, old_cluster, LENGTHS, *TWELVE, stdin=12 * LINE)
    assert run.returncode == 0, run.stderr[-6000:]
    assert run.stdout == "9\t12\n"
    assert line.new_clusters() == []
    assert len(fetched_archives(line, since)) == 2
    assert len(unpackings(line, old_cluster)) == 2, "those of the job before"


@pytest.mark.whole
def test_all_parts_of_a_job_run_on_what_it_brings_along(line: Line, old_cluster: str) -> None:
    """Mapper, combiner and reducer, a mapper and a filter that are commands, and setup commands."""
    setup = "export SETUP_PYTHON=$(python -c 'import sys; print(sys.prefix)')"
    run = _join(
        line, old_cluster, JOBS / "mr_where_am_i.py", "--setup", setup, "--cmdenv", "SOME_VARIABLE=x", stdin="a\nb\n"
    )
    assert run.returncode == 0, run.stderr[-6000:]
    found = {tuple(json.loads(text.split("\t")[0])) for text in run.stdout.splitlines()}
    assert {phase for phase, *_ in found} == {"mapper", "combiner", "reducer", "filter", "command"}
    for phase, version, prefix, setup_prefix, _ in found:
        assert version == "3.13.5", phase
        assert re.fullmatch(rf"({line.on_node('/mnt')}|/var)/tmp/pybundle-\d+/[0-9a-f]{{20}}/venv", prefix), phase
        if phase in ("mapper", "combiner", "reducer"):
            assert setup_prefix == prefix, phase


@pytest.mark.whole
def test_a_damaged_archive_that_a_job_brings_along(line: Line, plain_cache: None, image_id: str) -> None:
    s3 = line.client("s3")
    venv = next(key for key in line.objects(PLAIN) if re.fullmatch(r"cache/v1/venv/.*\.tar\.gz", key))
    good = line.read(venv, PLAIN)
    s3.put_object(Bucket=PLAIN, Key=venv, Body=good[:-1] + bytes([good[-1] ^ 1]))
    try:
        with cluster_without_bundle(line, CustomAmiId=image_id) as cluster_id:
            # from a cluster that goes on, mrjob waits ten minutes for logs
            failing = ("-D", "mapreduce.map.maxattempts=1", "--emr-action-on-failure", "TERMINATE_CLUSTER")
            run = _join(line, cluster_id, LENGTHS, *failing, stdin="x\n")
    finally:
        s3.put_object(Bucket=PLAIN, Key=venv, Body=good)
    assert run.returncode == 1
    digest = re.search(r"([0-9a-f]{64})\.tar\.gz", venv)
    assert digest is not None
    assert f"s3://{PLAIN}/{venv} is damaged and was not unpacked: wanted sha256 {digest[1]}, found " in run.stderr


@pytest.mark.whole
def test_the_cluster_decides_on_the_bundle(line: Line) -> None:
    """Its release, its AMI and its instances, whatever options say."""
    with cluster_without_bundle(line, ("m6g.xlarge", "c7g.xlarge"), ReleaseLabel="emr-7.1.0") as cluster_id:
        run = line.run("-m", "mrjob_pybundle", "key", "--cluster-id", cluster_id)
    assert run.returncode == 0, run.stderr
    inputs = json.loads(run.stdout)["python"]["inputs"]
    assert (inputs["os_family"], inputs["arch"]) == ("amzn2023", "aarch64")


@pytest.mark.whole
def test_a_cluster_that_writes_no_logs(line: Line, plain_cache: None, image_id: str) -> None:
    """Nobody waits for them."""
    with cluster_without_bundle(line, CustomAmiId=image_id, LogUri="") as cluster_id:
        run = _join(line, cluster_id, LENGTHS, stdin="ab\n")
    assert (run.returncode, run.stdout) == (0, "2\t1\n"), run.stderr[-6000:]


def _refusal(line: Line, cluster_id: str, *args: object) -> str:
    line.new_clusters()
    run = line.job(LENGTHS, "--cluster-id", cluster_id, *args, stdin="x\n")
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    assert line.new_clusters() == []
    return run.stderr.splitlines()[-1]


@pytest.mark.whole
def test_clusters_that_cannot_be_joined(line: Line, old_cluster: str) -> None:
    """One line, before anything is built."""
    assert "There is no cluster j-NOSUCHCLUSTER in us-east-1." in _refusal(line, "j-NOSUCHCLUSTER")
    with cluster_without_bundle(line, ("m5.xlarge", "m6g.xlarge")) as mixed:
        assert "mix CPU architectures: aarch64 (m6g.xlarge) and x86_64 (m5.xlarge)" in _refusal(line, mixed)
    assert f"Cluster {mixed} takes no more jobs: it is TERMINAT" in _refusal(line, mixed)
    # the line's own cache, whose address is no URI
    assert "pybundle_cache_uri may only have ASCII letters" in _refusal(line, old_cluster)


@pytest.mark.whole
def test_create_cluster(line: Line) -> None:
    """Its id is all that is printed; jobs with the bundle find it there, others don't join by pooling."""
    line.new_clusters()
    pool = ["--pool-clusters", "--pool-name", "ours", "--max-mins-idle", "10"]
    created = line.run("-m", "mrjob_pybundle", "create-cluster", *pool)
    assert created.returncode == 0, created.stderr[-3000:]
    cluster_id = created.stdout.rstrip("\n")
    try:
        new = [found["Id"] for found in line.new_clusters() if not found["Name"].startswith("mrjob-pybundle build")]
        assert new == [cluster_id]
        run = line.job(LENGTHS, "--cluster-id", cluster_id, stdin="abc\n")
        assert (run.returncode, run.stdout) == (0, "3\t1\n"), run.stderr[-6000:]
        assert "brings it along" not in run.stderr
        (step,) = line.client("emr").list_steps(ClusterId=cluster_id)["Steps"]
        assert ".tar.gz" not in " ".join(step["Config"]["Args"])
        pooled = line.job(LENGTHS, *pool, stdin="ab\n")
        assert (pooled.returncode, pooled.stdout) == (0, "2\t1\n"), pooled.stderr[-6000:]
        assert f"Adding our job to existing cluster {cluster_id}" in pooled.stderr
        assert line.new_clusters() == []
    finally:
        line.client("emr").terminate_job_flows(JobFlowIds=[cluster_id])


@pytest.mark.whole
def test_create_cluster_takes_nocluster_without_bundle(line: Line) -> None:
    with cluster_without_bundle(line) as cluster_id:
        run = line.run("-m", "mrjob_pybundle", "create-cluster", "--cluster-id", cluster_id)
    assert run.returncode == 2
    assert run.stderr.endswith("mrjob-pybundle: cluster_id names a cluster that exists: leave it out to create one.\n")
    assert "Traceback" not in run.stderr


@pytest.mark.whole
def test_a_job_with_another_bundle_does_not_join_the_pool(line: Line, tmp_path: Path) -> None:
    """Not even where all else is the same."""
    venv_build = tmp_path / "venv-build.sh"
    venv_build.write_text("# another bundle\n")
    line.new_clusters()
    pool = ["--pool-clusters", "--pool-name", "theirs", "--max-mins-idle", "10"]
    first = line.job(LENGTHS, *pool, stdin="ab\n")
    second = line.job(LENGTHS, *pool, "--pybundle-venv-build", venv_build, stdin="ab\n")
    clusters = [c for c in line.new_clusters() if not c["Name"].startswith("mrjob-pybundle build")]
    line.client("emr").terminate_job_flows(JobFlowIds=[cluster["Id"] for cluster in clusters])
    assert (first.returncode, second.returncode) == (0, 0), first.stderr[-3000:] + second.stderr[-3000:]
    assert len(clusters) == 2
