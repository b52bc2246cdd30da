"""A team's cache in another region than its clusters: nodes read it, masters write it, S3 says where it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.line.conftest import ROOT, Line

pytestmark = pytest.mark.whole

JOB = ROOT / "tests" / "jobs" / "mr_line_lengths.py"
FAR = "eu-west-1"


def test_a_cache_elsewhere(line: Line, tmp_path: Path) -> None:
    """Built there, and used from there; the Python is copied, so that nothing is compiled."""
    s3 = line.client("s3")
    s3.create_bucket(Bucket="far-away", CreateBucketConfiguration={"LocationConstraint": FAR})
    for key in line.objects():
        if "/v1/python/" in key:
            far_key = f"cache/v1/python/{key.partition('/v1/python/')[2]}"
            s3.put_object(Bucket="far-away", Key=far_key, Body=line.read(key))
    (tmp_path / "venv-build.sh").write_text("echo far away\n")
    line.new_clusters()
    switches = ["--pybundle-cache-uri", "s3://far-away/cache", "--pybundle-venv-build", tmp_path / "venv-build.sh"]
    for clusters in (2, 1):
        run = line.job(JOB, *switches, "--num-core-instances", "0", stdin="abc\n")
        assert (run.returncode, run.stdout) == (0, "3\t1\n"), run.stderr[-6000:]
        said = re.findall(rf"the cache \(far-away\) is in {FAR}, the cluster is in us-east-1", run.stderr)
        assert len(said) == 1
        assert "cloud_tmp_dir (" not in run.stderr
        assert len(line.new_clusters()) == clusters
