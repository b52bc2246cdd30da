"""Files that are edited while a job is being prepared: what is built is always what its key says.

Jobs are programs of their own, AWS is on HTTP, and edits happen while a program waits for a line, or AWS for an answer.
What was ordered is judged by the program that does it on build masters.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mrjob
import pytest

import mrjob_pybundle
from mrjob_pybundle.aws.clients import Credentials
from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.sandbox.api.faults import Faults, Refuse, Rule
from mrjob_pybundle.sandbox.api.requests import Request, describe
from mrjob_pybundle.sandbox.api.server import Server
from tests.tarballs import source_tarball
from tests.unpacking import unpack

PROGRAMS = Path(mrjob_pybundle.__file__).parent / "master" / "programs"

JOB = """\
import sys
from mrjob.job import MRJob

class MRNothing(MRJob):
    def mapper(self, key, value):
        pass

job = MRNothing(sys.argv[1:])
job.set_up_logging()
with job.make_runner() as runner:
    print("made", flush=True)
    sys.stdin.readline()
    runner.run()
"""

#: What a bundle is made of, and how an edit of it changes what the master gets.
EDITED = ["venv-build.sh", "library/module.py", "mrjob/parse.py", "Python-3.13.5.tgz"]


@dataclass
class Author:
    """An author with a job, all of whose inputs are hers to edit, and an AWS that launches nothing."""

    directory: Path
    bucket: S3Uri
    endpoint: str
    #: called with each request before it is answered
    seen: Callable[[Request], None] = lambda request: None
    requests: list[Request] = field(default_factory=list)

    def edit(self, name: str) -> None:
        """Append a line, which neither shell nor Python minds, or have another tarball."""
        path = self.directory / name
        if name.endswith(".tgz"):
            path.write_bytes(source_tarball(compression="gz", note="edited"))
        else:
            path.write_bytes(path.read_bytes() + b"# edited\n")

    def start(self) -> subprocess.Popen[str]:
        """Start the job, and return when its runner has been made; it is run when it reads a line."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MRJOB"))}
        aws = {"AWS_ENDPOINT_URL": self.endpoint, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
        switches = [
            *("-r", "pybundle-emr", "--no-conf", "--region", "us-east-1", "--image-id", "ami-0abc"),
            *("--iam-service-role", "EMR_DefaultRole", "--iam-instance-profile", "EMR_EC2_DefaultRole"),
            *("--cloud-tmp-dir", str(self.bucket / "tmp"), "--pybundle-cache-uri", str(self.bucket / "cache")),
            *("--pybundle-python-version", "3.13.5", "--pybundle-python-source", "Python-3.13.5.tgz"),
            *("--pybundle-venv-build", "venv-build.sh", "--pybundle-build-file", "library", "input.txt"),
        ]
        process = subprocess.Popen(
            [sys.executable, "job.py", *switches],
            env={**environment, **aws, "PYTHONPATH": str(self.directory)},  # where her mrjob is
            cwd=self.directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "made\n", process.communicate()[1]
        return process

    def objects(self) -> dict[str, bytes]:
        """Name in the cache → content."""
        s3 = Credentials("us-east-1", "x", "x", s3_endpoint=self.endpoint).s3_client()
        listed = s3.list_objects_v2(Bucket=self.bucket.bucket, Prefix="cache/v1/").get("Contents", ())
        return {
            found["Key"].removeprefix("cache/v1/"): s3.get_object(Bucket=self.bucket.bucket, Key=found["Key"])[
                "Body"
            ].read()
            for found in listed
        }


@pytest.fixture
def author(bucket: S3Uri, tmp_path: Path) -> Iterator[Author]:
    directory = tmp_path / "author"
    (directory / "library").mkdir(parents=True)
    shutil.copytree(Path(mrjob.__file__).parent, directory / "mrjob", ignore=shutil.ignore_patterns("__pycache__"))
    files = {"job.py": JOB, "input.txt": "x\n", "venv-build.sh": "true\n", "library/module.py": "VALUE = 1\n"}
    for name, text in files.items():
        (directory / name).write_text(text)
    (directory / "Python-3.13.5.tgz").write_bytes(source_tarball(compression="gz"))
    author = Author(directory, bucket, "")

    def watched(application: Any) -> Any:
        def answer(environ: dict[str, Any], start_response: Any) -> Any:
            request = describe(environ)
            author.requests.append(request)
            author.seen(request)
            return application(environ, start_response)

        return answer

    faults = Faults()
    server = Server(lambda: None, lambda action: None, [watched, faults])
    author.endpoint = server.endpoint
    server.start()
    try:
        with faults.injected(Rule("RunJobFlow", Refuse(400, "ValidationException", "no cluster for a test"))):
            yield author
    finally:
        server.stop()


def _parameter(script: str, name: str) -> str:
    (value,) = re.findall(rf"^readonly {name}='?([^'\n]*)'?$", script, flags=re.MULTILINE)
    return str(value)


def _assert_is_what_its_key_says(author: Author, tmp_path: Path) -> dict[str, bytes]:
    """Judge the one build that was ordered, as its master would. The result is what its master would get."""
    objects = author.objects()
    (name,) = (name for name in objects if name.endswith("/build-binaries.sh"))
    script, packed = objects[name].decode(), objects[name.replace("build-binaries.sh", "inputs.tar.gz")]
    python_inputs, venv_inputs = _parameter(script, "PYTHON_INPUTS"), _parameter(script, "VENV_INPUTS")
    assert _parameter(script, "PYTHON_KEY") == hashlib.sha256(python_inputs.encode()).hexdigest()
    assert _parameter(script, "VENV_KEY") == hashlib.sha256(venv_inputs.encode()).hexdigest()

    given, inputs = tmp_path / "given", tmp_path / "inputs.json"
    inputs.write_text(venv_inputs)
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        unpack(tar, given)
    check: list[str | Path] = [sys.executable, PROGRAMS / "check_inputs.py", "--given", given, "--inputs", inputs]
    checked = subprocess.run(check, capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")

    source = _parameter(script, "SOURCE_URI").removeprefix(str(author.bucket / "cache/v1/"))
    assert hashlib.sha256(objects[source]).hexdigest() == json.loads(python_inputs)["source_sha256"]
    assert source == f"sources/{_parameter(script, 'SOURCE_SHA256')}/Python-3.13.5.tgz"
    (wheel,) = given.glob("mrjob-*.whl")
    unpacked = tmp_path / "wheel"
    shutil.unpack_archive(wheel, unpacked, "zip")
    return {
        "venv-build.sh": (given / "venv-build.sh").read_bytes(),
        "library/module.py": (given / "files" / "library" / "module.py").read_bytes(),
        "mrjob/parse.py": (unpacked / "mrjob" / "parse.py").read_bytes(),
        "Python-3.13.5.tgz": objects[source],
    }


@pytest.mark.parametrize("name", EDITED)
def test_an_edit_between_making_a_runner_and_running_it_counts(name: str, author: Author, tmp_path: Path) -> None:
    before = {edited: (author.directory / edited).read_bytes() for edited in EDITED}
    process = author.start()
    author.edit(name)
    _, stderr = process.communicate("go\n")
    assert "no cluster for a test" in stderr
    got = _assert_is_what_its_key_says(author, tmp_path)
    assert {edited for edited in EDITED if got[edited] != before[edited]} == {name}


@pytest.mark.parametrize("name", EDITED)
def test_an_edit_between_key_and_upload_is_an_error(name: str, author: Author) -> None:
    """The claim is the first thing that is written, by the bundle's key."""

    def edit(request: Request) -> None:
        if request.operation == "PutObject" and "/claims/" in request.key and not edited:
            edited.append(request.key)
            author.edit(name)

    edited: list[str] = []
    author.seen = edit
    process = author.start()
    _, stderr = process.communicate("go\n")
    assert process.returncode == 1
    assert "Traceback" not in stderr
    assert stderr.splitlines()[-1] == (
        f"{author.directory / name} has changed since the bundle's key was made from it."
        " Nothing was launched. Run the job again."
    )
    assert len(edited) == 1
    # Neither inputs nor a claim, and no tarball but the one that its name says.
    left = author.objects()
    assert {name.split("/")[0] for name in left} <= {"sources"}
    assert all(name.split("/")[1] == hashlib.sha256(content).hexdigest() for name, content in left.items())
    assert not any(request.operation == "RunJobFlow" for request in author.requests)


def test_an_edit_while_the_tarball_is_uploaded(author: Author, tmp_path: Path) -> None:
    """What lies under a digest has that digest: the bytes that were hashed are the ones that were sent."""

    def edit(request: Request) -> None:
        if request.operation == "PutObject" and "/sources/" in request.key:
            author.edit("Python-3.13.5.tgz")

    author.seen = edit
    before = (author.directory / "Python-3.13.5.tgz").read_bytes()
    _, stderr = author.start().communicate("go\n")
    assert "no cluster for a test" in stderr
    got = _assert_is_what_its_key_says(author, tmp_path)
    assert got["Python-3.13.5.tgz"] == before


def test_making_a_runner_reads_no_input_and_asks_aws_nothing(author: Author) -> None:
    """Not even for a file that is gone when the job is made, and there when it runs."""
    process = author.start()
    assert author.requests == []
    (author.directory / "venv-build.sh").unlink()
    _, stderr = process.communicate("go\n")
    assert stderr.splitlines()[-1] == (
        f"Cannot read {author.directory / 'venv-build.sh'}, which goes into the bundle: No such file or directory."
    )
