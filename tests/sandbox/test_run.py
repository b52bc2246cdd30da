"""Running a command in a sandbox: its environment, its exit status, and what is left afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

_RUN = (
    "import sys, pathlib; from mrjob_pybundle.sandbox import run\n"
    "sys.exit(run(pathlib.Path(sys.argv[1]), 1, sys.argv[2:]))"
)

_BUSY = """
import boto3, os, signal, sys, time
emr = boto3.client("emr")
groups = [{"InstanceRole": r, "InstanceType": "m5.xlarge", "InstanceCount": 1} for r in ("MASTER", "CORE")]
script = "setsid sleep 9999 & touch /tmp/started; aws s3 cp /tmp/started s3://sandbox/; sleep 9999"
step = {"Name": "s", "HadoopJarStep": {"Jar": "command-runner.jar", "Args": ["bash", "-c", script]}}
emr.run_job_flow(Name="busy", Instances={"InstanceGroups": groups}, Steps=[step])
waiter = boto3.client("s3").get_waiter("object_exists")
waiter.wait(Bucket="sandbox", Key="started", WaiterConfig={"Delay": 0.2, "MaxAttempts": 300})
try:
    print("busy", flush=True)
    signal.pause()
except KeyboardInterrupt:
    sys.exit(42)
"""


def _left_over(directory: Path) -> list[str]:
    """Processes that know of *directory*, by command line or environment, and mounts below it."""
    found = [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(directory) in line]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                texts = [(entry / name).read_bytes() for name in ("cmdline", "environ")]
            except OSError:
                continue
            if any(str(directory).encode() in text for text in texts):
                found.append(texts[0].decode())
    return found


@pytest.mark.parametrize(
    ("stop", "status"),
    [
        (lambda process: os.killpg(process.pid, signal.SIGINT), 42),
        (lambda process: process.terminate(), 128 + signal.SIGTERM),
    ],
    ids=["ctrl-c", "sigterm"],
)
def test_nothing_is_left_after_a_signal(tmp_path: Path, stop: object, status: int) -> None:
    assert callable(stop)
    process = subprocess.Popen(
        # What a shell starts in the background ignores Ctrl-C, and so does all that this starts.
        ["env", "--default-signal=INT", sys.executable, "-c", _RUN, str(tmp_path), sys.executable, "-c", _BUSY],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "busy\n", process.communicate()
    assert _left_over(tmp_path)
    stop(process)
    _, notices = process.communicate()
    assert process.returncode == status, notices
    assert _left_over(tmp_path) == []


def test_exit_status_and_environment_of_the_command(tmp_path: Path) -> None:
    conf = tmp_path / "own.conf"
    conf.write_text("runners: {emr: {owner: me}}\n")
    script = "aws s3 ls && python3 -c 'import os; print(open(os.environ[\"MRJOB_CONF\"]).read())'; exit 5"
    done = subprocess.run(
        [sys.executable, "-c", _RUN, str(tmp_path / "box"), "bash", "-c", script],
        env={**os.environ, "MRJOB_CONF": str(conf)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 5, done.stderr
    assert done.stdout.splitlines()[0].endswith(" sandbox")
    assert str(conf) not in done.stdout, "it may name buckets and subnets that aren't there"
    assert '"image_id": "ami-sandbox-' in done.stdout


def _cannot_run(directory: Path, command: str) -> str:
    """What is said of a command that cannot be run."""
    done = subprocess.run([sys.executable, "-c", _RUN, str(directory), command], capture_output=True, text=True)
    assert done.returncode
    *_, last = done.stderr.splitlines()
    return last.partition("cannot run ")[2]


def test_a_command_that_does_not_exist(tmp_path: Path) -> None:
    assert _cannot_run(tmp_path / "box", "no-such-command") == "no-such-command: there is no such command"
    script = tmp_path / "script.sh"
    script.write_text("#!/nonexistent\n")
    assert _cannot_run(tmp_path / "box", str(script)) == f"{script}: it is not executable"
    assert not (tmp_path / "box").exists(), "for these, no sandbox need start"


def test_a_command_that_cannot_start(tmp_path: Path) -> None:
    script = tmp_path / "script.sh"
    script.write_text("#!/nonexistent\n")
    script.chmod(0o755)
    assert _cannot_run(tmp_path / "box", str(script)) == f"{script}: No such file or directory"
    assert _left_over(tmp_path / "box") == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--image", "ami-bare=/nonexistent"), "/nonexistent holds no operating system"),
        (("--image", "ami-bare=/", "--engine", "hadoop"), "--engine builtin"),
        (("--image", "ami-bare"), "--image"),
        (("--start-seconds", "soon"), "not a number of seconds: soon"),
        (("--start-seconds=-1",), "not a number of seconds: -1"),
    ],
    ids=["no tree", "on Hadoop", "no tree named", "no number", "less than nothing"],
)
def test_what_no_sandbox_can_have(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    command = [
        sys.executable,
        "-m",
        "mrjob_pybundle",
        "sandbox",
        "--dir",
        str(tmp_path),
        *arguments,
        "--",
        "true",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


_LAUNCH = """
import boto3
groups = [{"InstanceRole": "MASTER", "InstanceType": "m5.xlarge", "InstanceCount": 1}]
print(boto3.client("emr").run_job_flow(Name="earlier", Instances={"InstanceGroups": groups})["JobFlowId"])
"""

_ASK = """
import boto3, sys
emr = boto3.client("emr")
cluster = emr.describe_cluster(ClusterId=sys.argv[1])["Cluster"]
assert [(found["Id"], found["Name"]) for found in emr.list_clusters()["Clusters"]] == [(sys.argv[1], "earlier")]
print(cluster["Name"], cluster["Status"]["State"])
"""


@pytest.mark.whole
def test_clusters_of_an_earlier_sandbox_are_known_to_have_ended(tmp_path: Path) -> None:
    """As EMR knows them. Who waits for one is not left waiting by a sandbox that was interrupted."""

    def run(*words: str) -> str:
        done = subprocess.run([sys.executable, "-c", _RUN, tmp_path, *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    cluster_id = run(sys.executable, "-c", _LAUNCH)
    for _ in range(2):
        assert run(sys.executable, "-c", _ASK, cluster_id) == "earlier TERMINATED_WITH_ERRORS"


_ON_IMAGE = """
import boto3
emr, s3 = boto3.client("emr"), boto3.client("s3")
script = "command -v aws | aws s3 cp - s3://sandbox/said"
step = {"Name": "s", "HadoopJarStep": {"Jar": "command-runner.jar", "Args": ["bash", "-c", script]}}
instances = {"MasterInstanceType": "m5.xlarge", "InstanceCount": 1}
emr.run_job_flow(Name="image", CustomAmiId="ami-bare", Instances=instances, Steps=[step])
s3.get_waiter("object_exists").wait(Bucket="sandbox", Key="said", WaiterConfig={"Delay": 0.2, "MaxAttempts": 300})
print(s3.get_object(Bucket="sandbox", Key="said")["Body"].read().decode())
"""


@pytest.mark.whole
def test_aws_on_an_image_comes_with_its_own_python(tmp_path: Path) -> None:
    """The image is this machine's own system here: tests/pristine has others."""
    command = [
        sys.executable,
        "-m",
        "mrjob_pybundle",
        "sandbox",
        "--dir",
        str(tmp_path),
        "--image",
        "ami-bare=/",
    ]
    done = subprocess.run([*command, "--", sys.executable, "-c", _ON_IMAGE], capture_output=True, text=True)
    if "images need" in done.stderr:
        pytest.skip(done.stderr.splitlines()[-1])
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "/run/sandbox/bin/aws"
