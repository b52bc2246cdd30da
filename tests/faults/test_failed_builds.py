"""What an author reads of a build that has failed, when something else goes wrong as well. Real builds on a sandbox."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mrjob_pybundle.sandbox import BUCKET
from mrjob_pybundle.sandbox.api.faults import ACCESS_DENIED, Delay, Rule
from tests.faults.conftest import Aws
from tests.tarballs import source_tarball

NO_GIVING_BACK = Rule("DeleteObject", ACCESS_DENIED, key="*/v1/claims/*", who="ada")


def _build(aws: Aws, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """A build by Ada, from a source that cannot be compiled."""
    source = tmp_path / "Python-3.13.5.tar.xz"
    source.write_bytes(source_tarball(note=str(tmp_path)))
    switches = [
        *("--pybundle-python-version", "3.13.5", "--pybundle-python-source", str(source), "--owner", "ada"),
        *("--pybundle-cache-uri", f"s3://{BUCKET}/{tmp_path.name}", "--check-cluster-every", "0.2"),
    ]
    return subprocess.run(
        [sys.executable, "-m", "mrjob_pybundle", "build", *switches],
        env={**aws.sandbox.environment, "AWS_ACCESS_KEY_ID": "ada"},
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )


def test_a_claim_that_cannot_be_given_back_does_not_hide_the_first_error(aws: Aws, tmp_path: Path) -> None:
    no_inputs = Rule("PutObject", ACCESS_DENIED, key="*/builds/*/inputs.tar.gz", who="ada")
    with aws.faults.injected(no_inputs, NO_GIVING_BACK):
        built = _build(aws, tmp_path)
    assert built.returncode == 3
    assert "No permission (writing s3://" in built.stderr.splitlines()[-1]
    assert "/inputs.tar.gz; AWS says" in built.stderr.splitlines()[-1]
    assert "could not give back the claim on this bundle: No permission (deleting s3://" in built.stderr
    assert "Traceback" not in built.stderr


@pytest.mark.whole
def test_a_master_that_may_not_even_say_why(aws: Aws, tmp_path: Path) -> None:
    """Only EMR keeps what it has said, copied while the cluster ends. (The master tries for most of a minute.)"""
    mute = Rule("PutObject", ACCESS_DENIED, key=f"{BUCKET}/{tmp_path.name}/v1/builds/*", who="role-*")
    late = Rule("PutObject", Delay(3), key="*/logs/*/steps/*/stderr.gz")
    with aws.faults.injected(mute, late, NO_GIVING_BACK):
        built = _build(aws, tmp_path)
    assert built.returncode == 4
    *_, before, last = built.stderr.splitlines()
    assert "mrjob-pybundle: Building the bundle failed in stage start of the cluster: its cluster j-" in built.stderr
    assert f"mrjob-pybundle: cannot write s3://{BUCKET}/{tmp_path.name}/v1/builds/" in built.stderr
    assert "AccessDenied" in built.stderr
    assert before.startswith("    ")
    assert last.startswith("EMR's own log, for there is none in the cache: s3://")
    assert last.endswith("/stderr.gz")
