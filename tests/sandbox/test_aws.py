"""`aws` on nodes: the resident AWS CLI does on the node what a process of its own would do there."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from mrjob_pybundle.sandbox import BUCKET, Sandbox
from mrjob_pybundle.sandbox.machines.nodes import Node, node_class

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture(scope="module")
def node(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node of the sandbox that belongs to no cluster."""
    directory = tmp_path_factory.mktemp("node")
    # that of the command is a process of its own
    tools = Path(sandbox.environment["PATH"].split(os.pathsep)[0]).parent / "bin"
    kind, _ = node_class(directory / "probe", tools)
    aws = {name: value for name, value in sandbox.environment.items() if name.startswith("AWS_")}
    node = kind(directory / "node", tools, aws)
    node.start()
    yield node
    node.stop()


@pytest.fixture(scope="module")
def run(node: Node) -> Run:
    """Run a shell script on the node."""

    def run(script: str, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
        process = node.popen(
            ["bash", "-c", script],
            environment=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, err = process.communicate(stdin)
        return subprocess.CompletedProcess(script, process.returncode, out, err)

    return run


@pytest.fixture
def s3(clients: Callable[..., Any]) -> Any:
    return clients("s3")


def test_it_sees_the_nodes_files_from_where_it_is_called(run: Run, s3: Any, node: Node) -> None:
    copied = run(f"mkdir -p 'a dir' && cd 'a dir' && echo of the node >é && aws s3 cp --quiet é s3://{BUCKET}/é")
    assert (copied.returncode, copied.stderr) == (0, b"")
    assert s3.get_object(Bucket=BUCKET, Key="é")["Body"].read() == b"of the node\n"
    fetched = run(f"umask 077; aws s3 cp --quiet s3://{BUCKET}/é fetched && stat -c %a fetched")
    assert fetched.stdout == b"600\n"
    assert node.host_path("/home/hadoop/fetched").read_bytes() == b"of the node\n"


def test_standard_streams_and_exit_status(run: Run) -> None:
    piped = run(f"aws s3 cp - s3://{BUCKET}/piped && aws s3 cp s3://{BUCKET}/piped -", stdin=b"a\0b\xff")
    assert (piped.returncode, piped.stdout, piped.stderr) == (0, b"a\0b\xff", b"")
    missing = run(f"aws s3 cp s3://{BUCKET}/missing -")
    assert (missing.returncode, missing.stdout) == (1, b"")
    assert b"(404)" in missing.stderr
    mistyped = run("aws s3 nonsense")
    assert mistyped.returncode == 2
    assert b"Invalid choice" in mistyped.stderr


def test_each_call_has_the_environment_of_its_caller(run: Run) -> None:
    listing = "aws configure list"
    assert b"eu-west-3" in run(listing, AWS_DEFAULT_REGION="eu-west-3", AWS_REGION="eu-west-3").stdout
    assert b"eu-west-3" not in run(listing).stdout
    assert b"us-east-1" in run(listing).stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
def test_it_ends_when_its_caller_is_told_to(run: Run, number: signal.Signals) -> None:
    """And its caller as by that signal. What it was to upload never comes, and it lets go of the pipe."""
    script = f"""
    mkfifo pipe.$$
    aws s3 cp - s3://{BUCKET}/never <pipe.$$ &
    exec 3>pipe.$$ # when somebody reads
    kill -{number.value} $!
    wait $!
    echo $?
    trap '' PIPE
    while echo more >&3; do :; done 2>/dev/null
    """
    assert run(script).stdout == f"{128 + number}\n".encode()


def test_it_ends_with_the_node(sandbox: Sandbox, node: Node, tmp_path: Path) -> None:
    other = type(node)(tmp_path / "node", node.tools, {**node.environment})
    other.start()
    reading, writing = os.pipe()
    with other.popen(["aws", "s3", "cp", "-", f"s3://{BUCKET}/never"], stdin=reading):
        os.close(reading)
        os.write(writing, b"x")
        other.stop()
    with os.fdopen(writing, "wb", buffering=0) as pipe, pytest.raises(BrokenPipeError):
        _write_for_ever(pipe)


def _write_for_ever(pipe: IO[bytes]) -> None:
    while True:
        pipe.write(bytes(65536))
