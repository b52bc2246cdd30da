"""Plain PySpark programs on a cluster that the AWS CLI has started with a job's bundle."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from mrjob_pybundle.sandbox.sandbox import image_id
from tests.engines.conftest import CPYTHON, on_hadoop
from tests.line.conftest import Line
from tests.other_programs import cluster_by_aws_cli, output, run_step

# A streaming step, on the built-in engine, is in tests/line.
pytestmark = [pytest.mark.engines, on_hadoop]

PROGRAM = Path(__file__).parent / "jobs" / "plain_spark.py"


@pytest.fixture(scope="module")
def prepared(line: Line) -> Iterator[str]:
    printed = line.run("-m", "mrjob_pybundle", "cluster-params", "--format", "cli")
    assert printed.returncode == 0, printed.stderr[-6000:]
    line.client("s3").put_object(Bucket="the-team", Key="plain/program.py", Body=PROGRAM.read_bytes())
    with cluster_by_aws_cli(line, printed.stdout, image_id()) as cluster_id:
        yield cluster_id


@pytest.mark.parametrize("mode", ["cluster", "client"])
def test_spark_submit_runs_on_the_bundle(line: Line, prepared: str, mode: str) -> None:
    """Its driver and its executors, without a word of that in the step."""
    place = f"plain/{prepared}/{mode}"
    program = "s3://the-team/plain/program.py"
    run_step(line, prepared, "spark-submit", "--deploy-mode", mode, program, f"s3://the-team/{place}")
    said = [json.loads(text) for text in output(line, place)]
    assert Counter(part for part, *_ in said) == {"driver": 1, "executor": 2}
    for _, version, executable, package in said:
        assert version == CPYTHON
        venv = re.fullmatch(r"(/opt/pybundle/[0-9a-f]{20}/venv)/bin/python", executable)
        assert venv, executable
        assert package.startswith(f"{venv[1]}/lib/python3.11/site-packages/regex/")
