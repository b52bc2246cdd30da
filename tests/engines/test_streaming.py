"""Every kind of streaming job, on both engines: what comes out is what mrjob's own runners give."""

from __future__ import annotations

import bz2
import gzip
import json
import re
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.compiled import CACHE
from tests.engines.conftest import CPYTHON, POOL, Job, example, mostly_builtin, on_hadoop, succeeded
from tests.line.conftest import ROOT, Line

pytestmark = pytest.mark.engines

JOBS = Path(__file__).parent / "jobs"
LINE_JOBS = ROOT / "tests" / "jobs"


def test_words_are_counted(line: Line, cluster: str, texts: list[Path]) -> None:
    """With a combiner, packages from the bundle, several tasks of both kinds, and counters."""
    script = example("mr_word_freq_count")
    reduces = ("-D", "mapreduce.job.reduces=2")
    run = line.job(script, "--cluster-id", cluster, *reduces, *texts[:3])
    assert succeeded(run) == succeeded(line.run(script, "-r", "inline", *texts[:3]))
    counters = dict(re.findall(r"^\t\t(.+)=(\d+)$", run.stderr, re.MULTILINE))
    assert counters["Launched map tasks"] == "3"
    assert counters["Launched reduce tasks"] == "2"
    lines = sum(len(path.read_text("utf-8").splitlines()) for path in texts[:3])
    assert counters["Map input records"] == str(lines)
    assert int(counters["Combine output records"]) < int(counters["Combine input records"])


@mostly_builtin
def test_a_package_of_the_bundle(job: Job, texts: list[Path]) -> None:
    words: dict[str, int] = {}
    for word in re.findall(r"[^\W\d_]+", texts[0].read_text("utf-8").lower()):
        words[word] = words.get(word, 0) + 1
    counted = (output.split("\t") for output in succeeded(job(ROOT / "examples" / "wordcount.py", texts[0])))
    assert {json.loads(word): int(count) for word, count in counted} == words


@mostly_builtin
def test_compressed_input_and_output(line: Line, job: Job, texts: list[Path], tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(texts[0].read_bytes()))
    (tmp_path / "b.bz2").write_bytes(bz2.compress(texts[1].read_bytes()))
    script = example("mr_word_freq_count")
    run = job(
        script,
        "-D", "mapreduce.output.fileoutputformat.compress=true",
        "-D", "mapreduce.output.fileoutputformat.compress.codec=org.apache.hadoop.io.compress.GzipCodec",
        "--output-dir", "s3://sandbox/compressed", "--cat-output",
        tmp_path / "a.gz", tmp_path / "b.bz2",
    )  # fmt: skip
    assert succeeded(run) == succeeded(line.run(script, "-r", "inline", *texts[:2]))
    assert {"compressed/_SUCCESS", "compressed/part-00000.gz"} == {
        key for key in line.objects("sandbox") if key.startswith("compressed/") and not key.endswith("/")
    }


def test_output_of_hadoops_own_codec_is_input_again(line: Line, job: Job, texts: list[Path], tmp_path: Path) -> None:
    script = example("mr_word_freq_count")
    deflated = ("-D", "mapreduce.output.fileoutputformat.compress=true")
    succeeded(job(script, *deflated, "--output-dir", "s3://sandbox/deflated", "--no-cat-output", texts[0]))
    assert "deflated/part-00000.deflate" in line.objects("sandbox")
    (tmp_path / "counted").write_text("\n".join(succeeded(line.run(script, "-r", "inline", texts[0]))))
    expected = succeeded(line.run(script, "-r", "inline", tmp_path / "counted"))
    assert succeeded(job(script, "s3://sandbox/deflated/")) == expected


def test_files_archives_and_setup_commands(job: Job, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("one\n")
    (tmp_path / "data.txt").write_text("uploaded")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "leaf.txt").write_text("in a directory")
    (tmp_path / "setup.txt").write_text("used by a setup command")
    with zipfile.ZipFile(tmp_path / "code.zip", "w") as code:
        code.writestr("helper_module.py", "VALUE = 'a Python file'\n")
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("inside.txt", "in an archive")
    run = job(
        LINE_JOBS / "mr_what_is_here.py",
        "--files", f"{tmp_path}/data.txt#renamed.txt",
        "--dirs", f"{tmp_path}/tree#tree",
        "--archives", f"{tmp_path}/archive.zip#archive",
        "--py-files", tmp_path / "code.zip",
        "--setup", f"mkdir -p /tmp/by && cp {tmp_path}/setup.txt#used.txt /tmp/by/command",
        "--setup", "cp archive/inside.txt /tmp/by/action",
        tmp_path / "in.txt",
    )  # fmt: skip
    contents = {json.loads(text.split("\t")[0]) for text in succeeded(run)}
    assert contents == {"in an archive", "used by a setup command", "a Python file", "in a directory", "uploaded"}


@mostly_builtin
def test_an_input_manifest(job: Job, texts: list[Path]) -> None:
    found = dict(output.split("\t") for output in succeeded(job(JOBS / "mr_raw.py", *texts[:3])))
    assert found == {f'"{path.name}"': str(path.stat().st_size) for path in texts[:3]}


@mostly_builtin
def test_what_each_task_counts(job: Job, texts: list[Path]) -> None:
    counts = [int(text.split("\t")[1]) for text in succeeded(job(example("mr_count_lines_wrong"), *texts[:2]))]
    assert sum(counts) == sum(len(path.read_text("utf-8").splitlines()) for path in texts[:2])
    assert len(counts) == 2


def test_the_partitioner_and_the_order(job: Job, tmp_path: Path) -> None:
    """Keys that share their first field meet in one reducer, ordered by the second, as a number, downwards."""
    (tmp_path / "in.txt").write_text("".join(f"{letter}.{number}\n" for number in (9, 10, 1) for letter in "abcde"))
    run = job(
        JOBS / "mr_by_fields.py",
        "-D", "mapreduce.job.reduces=3",
        "--output-dir", "s3://sandbox/fields", "--cat-output",
        tmp_path / "in.txt",
    )  # fmt: skip
    succeeded(run)
    by_letter: dict[str, list[str]] = {}
    for text in run.stdout.splitlines():
        letter, number = text.rstrip("\t").split(".")
        by_letter.setdefault(letter, []).append(number)
    assert by_letter == {letter: ["10", "9", "1"] for letter in "abcde"}


def test_what_tasks_see(job: Job) -> None:
    run = job(JOBS / "mr_what_tasks_see.py", "--cmdenv", "OURS=from the conf", "--cmdenv", "OURS=a=b", stdin="x\n")
    seen = dict(text.split("\t", 1) for text in succeeded(run))
    print(json.dumps(seen, indent=1))
    assert json.loads(seen['"mapper HOME"']) == "/home/"
    assert seen['"mapper cwd is PWD"'] == "true"
    assert seen['"mapper tmp is writable"'] == "true"
    assert seen['"mapper OURS"'] == '"a=b"'
    assert seen['"mapper version"'] == f'"{CPYTHON}"'
    assert re.fullmatch(r'"/opt/pybundle/[0-9a-f]{20}/venv"', seen['"mapper python"'].replace("\\/", "/"))
    assert '"names mapreduce_task_attempt_id"' in seen


@mostly_builtin
def test_a_job_joins_the_pool(line: Line, cluster: str) -> None:
    """The cluster that create-cluster made has the job's bundle, and is found by it."""
    line.new_clusters()
    run = line.job(LINE_JOBS / "mr_line_lengths.py", *POOL, "--no-read-logs", stdin="ab\n")
    assert succeeded(run) == ["2\t1"]
    assert f"Adding our job to existing cluster {cluster}" in run.stderr
    assert "brings it along" not in run.stderr
    assert line.new_clusters() == []


# What goes wrong


def test_a_mapper_that_raises(line: Line) -> None:
    """It is tried as often as the job says; what it raised is found in the container's logs."""
    run = line.job(
        LINE_JOBS / "mr_boom.py", "--num-core-instances", "0", "-D", "mapreduce.map.maxattempts=2", stdin="one\n"
    )
    assert run.returncode == 1
    assert "Probable cause of failure" in run.stderr
    assert "ValueError: no good: one" in run.stderr
    assert "mr_boom.py" in run.stderr
    assert "Failed map tasks=2" in run.stderr


@mostly_builtin
def test_a_container_that_is_killed_is_tried_again(job: Job) -> None:
    assert succeeded(job(JOBS / "mr_first_attempts_die.py", stdin="x\ny\n")) == ['"x"\t1', '"y"\t1']


@mostly_builtin
def test_a_task_that_says_nothing(line: Line, failure: Callable[..., str]) -> None:
    """What it died of is in the step's log. The cause that mrjob finds may also be what the task's JVM saw: a kill."""
    said = failure(JOBS / "mr_never_ends.py", "-D", "mapreduce.task.timeout=4000", "-D", "mapreduce.map.maxattempts=2")
    assert "Probable cause of failure" in said
    assert "Failed map tasks=2" in said
    (log,) = _step_logs(line, said, "stderr")
    assert "task timeout set: 4s, taskTimedOut: true" in log


@mostly_builtin
def test_a_container_with_too_much_memory(failure: Callable[..., str]) -> None:
    settings = ("-D", "mapreduce.map.memory.mb=768", "-D", "mapreduce.map.maxattempts=1")
    assert "beyond the 'PHYSICAL' memory limit" in failure(JOBS / "mr_eats_memory.py", *settings)


def _step_logs(line: Line, said: str, name: str) -> list[str]:
    """The logs of that name of all steps of the cluster that a job has said it created."""
    match = re.search(r"Created new cluster (j-\w+)", said)
    assert match
    logs = re.compile(rf".*/{match[1]}/steps/[^/]+/{name}\.gz")
    return [
        gzip.decompress(line.read(key, "sandbox")).decode() for key in line.objects("sandbox") if logs.fullmatch(key)
    ]


@pytest.mark.parametrize("engine", ["builtin"], indirect=True)
def test_a_spark_step_on_the_builtin_engine(failure: Callable[..., str]) -> None:
    said = failure(LINE_JOBS / "mr_spark.py")
    assert "the sandbox's built-in engine runs no Spark; the Hadoop engine does" in said


# What only Hadoop does: Java


@on_hadoop
def test_a_jar_brings_an_output_format(line: Line, job: Job, texts: list[Path]) -> None:
    output = "s3://sandbox/nick-nack"
    succeeded(job(example("mr_nick_nack"), "--output-dir", output, "--no-cat-output", texts[0]))
    found = sorted(key for key in line.objects("sandbox") if key.startswith("nick-nack/"))
    letters = {word[0].lower() for word in re.findall(r"[A-Za-z]+", texts[0].read_text("utf-8"))}
    assert {key.split("/")[1] for key in found if key.endswith("part-00000")} == letters, found


@on_hadoop
@pytest.mark.whole
def test_a_jar_step_before_a_streaming_step(job: Job, texts: list[Path]) -> None:
    run = job(example("mr_jar_step_example"), texts[0])
    words = re.findall(r"\S+", texts[0].read_text("utf-8"))
    frequencies = [words.count(word) for word in set(words)]
    expected = sorted(f"{frequency}\t{frequencies.count(frequency)}" for frequency in set(frequencies))
    assert succeeded(run) == expected


@on_hadoop
def test_a_jar_step_between_streaming_steps(job: Job, texts: list[Path]) -> None:
    letters = Counter(word[0] for word in texts[0].read_text("utf-8").upper().split())
    counted = (text.split("\t") for text in succeeded(job(JOBS / "mr_jar_in_the_middle.py", texts[0])))
    assert {json.loads(letter): int(count) for letter, count in counted} == letters


@on_hadoop
@pytest.mark.whole
def test_a_streaming_jar_of_ones_own(line: Line, job: Job, texts: list[Path]) -> None:
    (jar,) = CACHE.glob("hadoop-*/jars/hadoop-streaming-*.jar")
    script = example("mr_word_freq_count")
    run = job(script, "--hadoop-streaming-jar", jar, texts[0])
    assert succeeded(run) == succeeded(line.run(script, "-r", "inline", texts[0]))
