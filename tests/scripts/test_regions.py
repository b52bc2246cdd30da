"""Masters and nodes on which nothing names a region, as on EMR's: scripts name the bucket's themselves."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mrjob_pybundle.templates import Value, read_template

from .conftest import Machine, Store, make_store, sha256
from .test_bootstrap import make_node, reason
from .test_build_binaries import Builder, builder, cached_python
from .test_master import PublishCommand

__all__ = ["builder", "cached_python"]

#: In a partition of its own, to which no request finds that is signed for another.
GOVERNMENT = "us-gov-west-1"
#: To be opted in to: older versions of the AWS CLI do not follow S3 there.
BAHRAIN = "me-south-1"


@pytest.fixture
def store(s3_of_regions: str, aws: Path) -> Store:
    return make_store(s3_of_regions, aws, GOVERNMENT)


@pytest.fixture(scope="session")
def old_aws(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an ``aws`` of before it followed S3 to all regions."""
    directory = tmp_path_factory.mktemp("old-aws")
    subprocess.run([sys.executable, "-m", "venv", directory], check=True)
    pip: list[str | Path] = [directory / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "awscli==1.32.0"], check=True)
    (directory / "only").mkdir()
    (directory / "only" / "aws").symlink_to(directory / "bin" / "aws")
    return directory / "only"


def test_a_node_fetches(machine: Machine, store: Store) -> None:
    node = make_node(machine, store)
    assert "(403)" in reason(machine.run(node.words[:-1], store.environment)), "S3 does not insist"
    done = node.bootstrap()
    assert (done.returncode, done.stderr) == (0, "")
    node.assert_ready()


@pytest.mark.whole
def test_a_master_gets_its_script(machine: Machine, store: Store) -> None:
    script = b"echo the script\n"
    words = [store.put("build.sh", script), sha256(script), store.region]
    done = machine.run(["bash", "-c", read_template("master/fetch-and-run.sh"), "build", *words], store.environment)
    assert (done.returncode, done.stdout) == (0, "the script\n"), done.stderr


class _BusyFirst(BaseHTTPRequestHandler):
    """An S3 that is busy when it is asked for the first time, and has one object, the same at each address."""

    content = b"echo the script\n"

    def do_HEAD(self) -> None:
        self._answer(b"")

    def do_GET(self) -> None:
        self._answer(self.content)

    def _answer(self, body: bytes) -> None:
        was_asked, self.server.was_asked = getattr(self.server, "was_asked", False), True  # type: ignore[attr-defined]
        self.send_response(200 if was_asked else 503)
        self.send_header("Content-Length", str(len(self.content) if was_asked else 0))
        self.send_header("ETag", '"x"')
        self.send_header("Last-Modified", "Mon, 30 Nov 2026 12:00:00 GMT")
        self.end_headers()
        self.wfile.write(body if was_asked else b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.whole
def test_a_master_gets_its_script_from_a_busy_s3(machine: Machine, store: Store) -> None:
    """Where the AWS CLI by itself would not ask again."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _BusyFirst)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        words = ["s3://bucket/build.sh", sha256(_BusyFirst.content), store.region]
        environment = {**store.environment, "AWS_MAX_ATTEMPTS": "1"}
        environment["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{server.server_port}"
        done = machine.run(["bash", "-c", read_template("master/fetch-and-run.sh"), "build", *words], environment)
    finally:
        server.shutdown()
        server.server_close()
    assert (done.returncode, done.stdout) == (0, "the script\n"), done.stderr


@pytest.mark.whole
def test_a_master_publishes(store: Store, tmp_path: Path) -> None:
    publish = PublishCommand(store, tmp_path)
    assert publish("b-1", region="").returncode == 1, "S3 does not insist"
    done = publish("b-1")
    assert done.returncode == 0, done.stderr
    assert store.get(publish.archive_key) == publish.content


@pytest.mark.whole
def test_a_master_fetches_reports_and_releases(machine: Machine, store: Store) -> None:
    far = Builder(store, machine)
    given = far.given("far")
    store.put(f"team/v1/claims/{given.key}.json", b'{"build_id": "far"}')
    outcome = far.run("far", {"PYTHON_ARCHIVE_URI": store.uri("no-such.tar.gz")}, given=given)
    assert outcome.stages() == ["prepare", "packages", "fetch-python"]
    assert (outcome.status["state"], "(404)" in outcome.status["message"]) == ("FAILED", True)
    assert store.keys("team/v1/claims/") == []


@pytest.mark.whole
def test_an_old_aws_has_a_bundle_built(
    s3_of_regions: str, old_aws: Path, aws: Path, machine: Machine, builder: Builder, cached_python: dict[str, Value]
) -> None:
    store = make_store(s3_of_regions, old_aws, BAHRAIN)
    python = builder.store.get(str(cached_python["PYTHON_ARCHIVE_URI"]).partition(f"{builder.store.bucket}/")[2])
    values = {**cached_python, "PYTHON_ARCHIVE_URI": store.put("python.tar.gz", python)}
    outcome = replace(builder, store=store, machine=machine).run("old", values)
    assert outcome.exit_status == 0, outcome.log[-5000:]
    assert store.get(f"team/v1/venv/{outcome.key}/probe") == b"old\n"
    assert outcome.manifest("venv", outcome.key)["build"]["id"] == "old"


@pytest.mark.whole
def test_an_old_aws_finds_no_region_by_itself(s3_of_regions: str, old_aws: Path, tmp_path: Path) -> None:
    """Or else the test above tests nothing."""
    store = make_store(s3_of_regions, old_aws, BAHRAIN)
    (tmp_path / "x").touch()
    copy: list[str | Path] = ["aws", "s3", "cp", tmp_path / "x", store.uri("x")]
    done = subprocess.run(copy, env=store.environment, capture_output=True, text=True)
    assert "IllegalLocationConstraintException" in done.stderr
