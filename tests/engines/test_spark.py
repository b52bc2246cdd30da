"""Spark steps on YARN: the driver and the executors have the bundle's Python, and what comes out is right."""

from __future__ import annotations

import json
import re
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engines.conftest import CPYTHON, Job, example, on_hadoop, succeeded
from tests.line.conftest import ROOT, Line

pytestmark = [pytest.mark.engines, on_hadoop]

JOBS = Path(__file__).parent / "jobs"


def _words(texts: list[Path]) -> Counter[str]:
    return Counter(word for path in texts for word in re.findall(r"[\w']+", path.read_text("utf-8").lower()))


@pytest.mark.parametrize(
    "module", ["mr_spark_wordcount", pytest.param("mr_spark_wordcount_script", marks=pytest.mark.whole)]
)
def test_words_are_counted(job: Job, texts: list[Path], module: str) -> None:
    lines = succeeded(job(example(module), *texts[:2]))
    assert lines == sorted(str(word) for word in _words(texts[:2]).items())


def test_a_file_beside_the_script(job: Job, texts: list[Path]) -> None:
    script = example("mr_spark_most_used_word")
    stop_words = script.with_name("stop_words.txt").read_text("utf-8").split()
    counted = {word: count for word, count in _words(texts[:2]).items() if word not in stop_words}
    _, word = max((count, word) for word, count in counted.items())
    assert succeeded(job(script, *texts[:2])) == [json.dumps(word)]


@pytest.mark.whole
def test_lines_are_copied(job: Job, texts: list[Path]) -> None:
    """With settings for Spark in the jobconf."""
    script = ROOT / "tests" / "jobs" / "mr_spark.py"
    lines = succeeded(job(script, "-D", "spark.executor.instances=2", texts[0]))
    assert lines == sorted(texts[0].read_text("utf-8").splitlines())


@pytest.mark.parametrize("mode", ["cluster", "client"])
def test_whose_python_it_is(job: Job, tmp_path: Path, mode: str) -> None:
    """That of the bundle, in a streaming step, in Spark's driver, wherever that runs, and in its executors."""
    with zipfile.ZipFile(tmp_path / "code.zip", "w") as code:
        code.writestr("helper_module.py", "VALUE = 'a Python file'\n")
    run = job(
        JOBS / "mr_spark_where_am_i.py",
        "--py-files", tmp_path / "code.zip",
        "--setup", "export SET_UP=yes",
        "--spark-args", f"--deploy-mode {mode}",
        stdin="x\n",
    )  # fmt: skip
    said = [json.loads(line) for line in succeeded(run)]
    assert Counter(here["part"] for here in said) == {"mapper": 1, "driver": 1, "executor": 2}
    match = re.search(r"Using bundle (\w+)", run.stderr)
    assert match
    venv = f"/opt/pybundle/{match[1]}/venv"
    for here in said:
        assert here["executable"] == f"{venv}/bin/python", here
        assert here["version"].startswith(f"{CPYTHON} "), here
        assert here["package"].startswith(f"{venv}/lib/python3.11/site-packages/regex/"), here
        assert here["py_file"] == "a Python file", here
        # The driver of client mode runs on the master, where mrjob brings no files and has no setup commands run.
        in_container = mode == "cluster" or here["part"] != "driver"
        assert here["set_up"] == ("yes" if in_container else None), here
        assert bool(re.search(r"/container_\w+$", here["cwd"])) == in_container, here


@pytest.mark.parametrize("mode", ["cluster", pytest.param("client", marks=pytest.mark.whole)])
def test_a_cluster_with_another_python_for_spark(line: Line, tmp_path: Path, mode: str) -> None:
    """It is for others: the job's steps run on the bundle's, whatever Spark's defaults and environment are."""
    with zipfile.ZipFile(tmp_path / "code.zip", "w") as code:
        code.writestr("helper_module.py", "VALUE = 'a Python file'\n")
    exports = {"PYSPARK_PYTHON": "/nowhere/python", "PYSPARK_DRIVER_PYTHON": "/nowhere/python"}
    settings = {"spark.pyspark.python": "/nowhere/python", "spark.pyspark.driver.python": "/nowhere/python"}
    configurations = [
        {"Classification": "spark-defaults", "Properties": settings},
        {"Classification": "spark-env", "Configurations": [{"Classification": "export", "Properties": exports}]},
    ]
    run = line.job(
        JOBS / "mr_spark_where_am_i.py",
        *(f"--emr-configuration={json.dumps(configuration)}" for configuration in configurations),
        "--num-core-instances", "0", "--no-read-logs",
        "--py-files", tmp_path / "code.zip",
        "--spark-args", f"--deploy-mode {mode}",
        stdin="x\n",
    )  # fmt: skip
    said = [json.loads(line) for line in succeeded(run)]
    assert Counter(here["part"] for here in said) == {"mapper": 1, "driver": 1, "executor": 2}
    assert all(here["executable"].endswith("/venv/bin/python") for here in said)
    assert "spark.pyspark.python in emr_configurations is not for this job" in run.stderr


def test_spark_submit(line: Line, cluster: str, texts: list[Path]) -> None:
    """mrjob's own ``spark-submit``, with a script that knows nothing of mrjob."""
    line.client("s3").put_object(Bucket="sandbox", Key="spark-submit/in.txt", Body=texts[0].read_bytes())
    script = example("spark_wordcount_script")
    run = line.run(
        "-m", "mrjob.cmd", "spark-submit", "-r", "pybundle-emr", "--cluster-id", cluster,
        script, "s3://sandbox/spark-submit/in.txt", "s3://sandbox/spark-submit/out",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-6000:]
    parts = [key for key in line.objects("sandbox") if key.startswith("spark-submit/out/part-")]
    counted = b"".join(line.read(key, "sandbox") for key in parts).decode()
    assert sorted(counted.splitlines()) == sorted(str(word) for word in _words(texts[:1]).items())


@pytest.mark.whole
def test_what_an_executor_raises(failure: Callable[..., str]) -> None:
    """The cause of the failure is found in the containers' logs."""
    said = failure(example("mr_sparkaboom"), "-D", "spark.yarn.maxAppAttempts=1")
    assert "Probable cause of failure" in said
    assert "Exception: KABOOM" in said
