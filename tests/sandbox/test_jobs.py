"""Unmodified mrjob jobs with stock ``-r emr``."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

RunJob = Callable[..., "subprocess.CompletedProcess[str]"]

_WORDS = """
from mrjob.job import MRJob
class Words(MRJob):
    def mapper(self, _, line):
        self.increment_counter("mine", "lines")
        for word in line.split():
            yield word, 1
    def combiner(self, word, counts):
        yield word, sum(counts)
    def reducer(self, word, counts):
        yield word, sum(counts)
if __name__ == "__main__":
    Words.run()
"""

_TWO_STEPS = """
from mrjob.job import MRJob
from mrjob.step import MRStep
class Longest(MRJob):
    SORT_VALUES = True
    def steps(self):
        return [MRStep(mapper=self.first, reducer=self.join), MRStep(reducer=self.join)]
    def first(self, _, line):
        yield line[:1], line
    def join(self, key, values):
        yield key, "|".join(values)
if __name__ == "__main__":
    Longest.run()
"""

_FAILING = """
from mrjob.job import MRJob
class Failing(MRJob):
    def mapper(self, _, line):
        raise ValueError("no good: %s" % line)
if __name__ == "__main__":
    Failing.run()
"""


def _script(directory: Path, text: str) -> Path:
    path = directory / "job.py"
    path.write_text(text)
    return path


def _inline(script: Path, *inputs: str) -> str:
    command = [sys.executable, str(script), "-r", "inline", *inputs]
    env = {**os.environ, "MRJOB_CONF": os.devnull}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout


def test_words_are_counted(tmp_path: Path, run_job: RunJob) -> None:
    texts = ["to be or not to be\n" * 30, "that is the question\nwhether 't is nobler\n", ""]
    inputs = []
    for number, text in enumerate(texts):
        inputs.append(tmp_path / f"text{number}")
        inputs[-1].write_text(text)
    job = run_job(_script(tmp_path, _WORDS), "--jobconf", "mapreduce.job.reduces=3", *map(str, inputs))
    assert job.returncode == 0, job.stderr
    counted = {word: int(count) for word, count in (line.split("\t") for line in job.stdout.splitlines())}
    assert counted == {f'"{word}"': n for word, n in Counter(" ".join(texts).split()).items()}
    assert "lines=32" in job.stderr
    assert "Launched reduce tasks=3" in job.stderr


def test_steps_meet_in_hdfs_and_values_are_sorted(tmp_path: Path, run_job: RunJob) -> None:
    text = tmp_path / "text"
    text.write_text("".join(f"{letter}{number}\n" for number in range(9, 0, -1) for letter in "abc"))
    script = _script(tmp_path, _TWO_STEPS)
    # Steps that mrjob adds one by one would come too late for a cluster without keep-alive, as on EMR.
    job = run_job(script, "--add-steps-in-batch", "--no-read-logs", str(text))
    assert job.returncode == 0, job.stderr
    assert sorted(job.stdout.splitlines()) == sorted(_inline(script, str(text)).splitlines())


def test_a_failing_mapper_shows_its_traceback(tmp_path: Path, run_job: RunJob) -> None:
    text = tmp_path / "text"
    text.write_text("x\n")
    job = run_job(_script(tmp_path, _FAILING), "--jobconf", "mapreduce.map.maxattempts=1", str(text))
    assert job.returncode == 1
    assert "subprocess failed with code 1" in job.stderr
    assert "ValueError: no good: x" in job.stderr
    assert "/files/text" in job.stderr


def test_a_failing_bootstrap_command_is_diagnosed(tmp_path: Path, run_job: RunJob) -> None:
    text = tmp_path / "text"
    text.write_text("x\n")
    job = run_job(_script(tmp_path, _WORDS), "--bootstrap", "sh -c 'echo bad luck >&2; exit 7'", str(text))
    assert job.returncode == 1
    assert "bootstrap action 1 returned a non-zero return code" in job.stderr
    assert "bad luck" in job.stderr


@pytest.mark.parametrize("option", ["-lazyOutput", "-io"])
def test_an_unknown_option_is_an_error(tmp_path: Path, run_job: RunJob, option: str) -> None:
    text = tmp_path / "text"
    text.write_text("x\n")
    job = run_job(_script(tmp_path, _WORDS), f"--hadoop-arg={option}", str(text))
    assert job.returncode == 1
    assert f"doesn't understand {option}" in job.stderr
