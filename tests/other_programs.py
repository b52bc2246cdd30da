"""Clusters that the AWS CLI starts, from what ``mrjob-pybundle cluster-params --format cli`` has printed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.line.conftest import Line

#: As docs/other-programs.md has it, with what the sandbox wants to be told besides. One value is in a file.
CREATE = """\
set -eu
. ./params.sh
printf '%s' "$PYBUNDLE_CONFIGURATIONS" >configurations.json
aws emr create-cluster --name theirs --release-label emr-7.14.0 --custom-ami-id "$IMAGE_ID" \\
    --applications Name=Hadoop Name=Spark --instance-type m5.xlarge --instance-count 1 \\
    --service-role EMR_DefaultRole --ec2-attributes InstanceProfile=EMR_EC2_DefaultRole \\
    --log-uri s3://the-team/logs/ --no-auto-terminate \\
    --bootstrap-actions "$PYBUNDLE_BOOTSTRAP_ACTIONS" --configurations file://configurations.json
"""


@contextmanager
def cluster_by_aws_cli(line: Line, params: str, image_id: str) -> Iterator[str]:
    """A cluster of one node that waits for steps; *params* is what cluster-params has printed."""
    (line.directory / "params.sh").write_text(params)
    path = f"{Path(sys.executable).parent}{os.pathsep}{line.environment['PATH']}"
    created = subprocess.run(
        ["sh", "-c", CREATE],
        env={**line.environment, "PATH": path, "IMAGE_ID": image_id, "AWS_DEFAULT_REGION": "us-east-1"},
        capture_output=True,
        text=True,
        cwd=line.directory,
    )
    assert created.returncode == 0, created.stderr
    cluster_id = json.loads(created.stdout)["ClusterId"]
    try:
        yield cluster_id
    finally:
        line.client("emr").terminate_job_flows(JobFlowIds=[cluster_id])


def run_step(line: Line, cluster_id: str, *args: str) -> None:
    """Run a step of ``command-runner.jar`` to its end."""
    emr = line.client("emr")
    step: dict[str, Any] = {"Jar": "command-runner.jar", "Args": list(args)}
    steps = [{"Name": args[0], "ActionOnFailure": "CONTINUE", "HadoopJarStep": step}]
    (step_id,) = emr.add_job_flow_steps(JobFlowId=cluster_id, Steps=steps)["StepIds"]
    emr.get_waiter("step_complete").wait(
        ClusterId=cluster_id, StepId=step_id, WaiterConfig={"Delay": 0.5, "MaxAttempts": 1200}
    )


def output(line: Line, prefix: str) -> list[str]:
    """The lines of a step's output in the team's bucket."""
    parts = sorted(key for key in line.objects() if key.startswith(f"{prefix}/part-"))
    return b"".join(line.read(key) for key in parts).decode().splitlines()
