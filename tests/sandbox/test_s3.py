"""S3's content outlives the sandbox, and conditional writes have one winner."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest

from mrjob_pybundle.sandbox import Sandbox, SandboxError

_KEYS = ["plain", "a", "a/b", "a/b/", "ümläut ?#%&", "x" * 900, "..", "/lead"]

_WRITE = """
import boto3, json, os, signal, sys
s3 = boto3.client("s3")
s3.create_bucket(Bucket="kept")
for key in json.loads(sys.argv[1]):
    s3.put_object(Bucket="kept", Key=key, Body=key.encode(), Metadata={"about": "test"}, ContentType="text/x")
s3.put_object(Bucket="kept", Key="gone", Body=b"x")
s3.delete_object(Bucket="kept", Key="gone")
upload = s3.create_multipart_upload(Bucket="kept", Key="big")["UploadId"]
parts = []
for number, body in enumerate([b"1" * (5 << 20), b"2" * 10], start=1):
    tag = s3.upload_part(Bucket="kept", Key="big", UploadId=upload, PartNumber=number, Body=body)["ETag"]
    parts.append({"PartNumber": number, "ETag": tag})
s3.complete_multipart_upload(Bucket="kept", Key="big", UploadId=upload, MultipartUpload={"Parts": parts})
if sys.argv[2] == "kill":
    os.kill(os.getppid(), signal.SIGKILL)
"""

_READ = """
import boto3, json
s3 = boto3.client("s3")
found = {}
for item in s3.list_objects_v2(Bucket="kept")["Contents"]:
    answer = s3.get_object(Bucket="kept", Key=item["Key"])
    body = answer["Body"].read()
    about = [answer["ETag"], answer["Metadata"], answer["ContentType"]]
    found[item["Key"]] = [len(body), body[:9].decode(), *about]
print(json.dumps(found))
"""


def _sandbox(directory: Path, *command: str) -> subprocess.CompletedProcess[str]:
    program = "import sys, pathlib; from mrjob_pybundle.sandbox import run\n"
    program += "sys.exit(run(pathlib.Path(sys.argv[1]), 1, sys.argv[2:]))"
    return subprocess.run(
        [sys.executable, "-c", program, str(directory), sys.executable, "-c", *command],
        capture_output=True,
        text=True,
    )


@pytest.mark.whole
def test_content_survives_the_end_and_the_death_of_a_sandbox(tmp_path: Path) -> None:
    first = _sandbox(tmp_path / "kept", _WRITE, json.dumps(_KEYS), "end")
    assert first.returncode == 0, first.stderr
    killed = _sandbox(tmp_path / "killed", _WRITE, json.dumps(_KEYS), "kill")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    for directory in ("kept", "killed"):
        second = _sandbox(tmp_path / directory, _READ)
        assert second.returncode == 0, second.stderr
        found = json.loads(second.stdout)
        assert sorted(found) == sorted([*_KEYS, "big"])
        for key in _KEYS:
            size, start, etag, metadata, content_type = found[key]
            assert (size, start) == (len(key.encode()), key.encode()[:9].decode())
            assert len(etag) == 34
            assert (metadata, content_type) == ({"about": "test"}, "text/x")
        assert found["big"][0] == (5 << 20) + 10
        assert found["big"][2].endswith('-2"')


def test_one_of_many_creates_an_object(clients: Callable[[str], Any]) -> None:
    s3 = clients("s3")

    def create(number: int) -> int:
        try:
            s3.put_object(Bucket="sandbox", Key="claim", Body=str(number).encode(), IfNoneMatch="*")
        except s3.exceptions.ClientError as error:
            status: int = error.response["ResponseMetadata"]["HTTPStatusCode"]
            return status
        return 200

    with ThreadPoolExecutor(16) as pool:
        answers = sorted(pool.map(create, range(48)))
    assert answers == [200] + [412] * 47


def test_a_directory_serves_one_sandbox_at_a_time(sandbox: Any) -> None:
    directory = Path(sandbox.environment["MRJOB_CONF"]).parent
    second = _sandbox(directory, "")
    assert second.returncode == 1
    assert "another sandbox uses" in second.stderr


def test_a_process_has_one_sandbox(sandbox: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="this process already has a sandbox"), Sandbox(tmp_path / "second"):
        pass


def test_clients_have_no_operations_of_motos_own(clients: Callable[..., Any]) -> None:
    """moto adds some to what botocore knows of S3, which is read once, and by all."""
    clients("s3").list_buckets()
    assert not hasattr(boto3.session.Session().client("s3", region_name="us-east-1"), "post_object")
