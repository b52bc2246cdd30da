"""Tasks: how long they take to start, and to work."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs import OURS, PLACE, PLAIN_DISTUTILS, STOCK, STOCK_PLAIN, FinishedJob, run_job

HERE = Path(__file__).parent
#: mrjob's own example: all its time goes into mrjob's reading and writing.
WORDS = Path(importlib.import_module("mrjob.examples.mr_word_freq_count").__file__ or "")
#: Its time is its own: that of a package's regular expressions.
LETTERS = HERE.parent / "examples" / "wordcount.py"
TEXT_BYTES, SAMPLE_BYTES = 10_000_000, 1_000_000

START, MAPPER, COMBINER, REDUCER = (
    "start of a mapper",
    "mapper on 10 MB",
    "combiner on its words",
    "reducer on its words",
)
OWN_WORK = "mapper with regex on 10 MB"
OURS_SLOW = "-r pybundle-emr, pybundle_fast_tasks: false"
BARE = "the bundle's Python alone: -c pass"


@dataclass(frozen=True)
class Inputs:
    """What jobs and tasks read: paths on this machine."""

    one_line: Path
    #: the first :data:`TEXT_BYTES` of CPython's documentation, whole lines
    text: Path
    #: the first :data:`SAMPLE_BYTES` of it
    sample: Path
    #: all words of it, each with a number, as Hadoop gives a mapper's output to a combiner: sorted
    counts: Path

    @classmethod
    def of(cls, tarball: Path, directory: Path) -> Inputs:
        """Files in *directory*, made of the source of CPython in *tarball*."""
        extract = ["tar", "-xOf", str(tarball), "--wildcards", "*/Doc/*.rst"]
        text = subprocess.run(extract, stdout=subprocess.PIPE, check=True).stdout
        names = ("one-line.txt", "text.txt", "sample.txt", "counts.txt")
        inputs = cls(*(directory / name for name in names))
        inputs.one_line.write_text("the quick brown fox\n", encoding="utf-8")
        inputs.text.write_bytes(_whole_lines(text, TEXT_BYTES))
        inputs.sample.write_bytes(_whole_lines(text, SAMPLE_BYTES))
        inputs.counts.write_bytes(_counts(inputs.text.read_text(encoding="utf-8")))
        return inputs


def _whole_lines(text: bytes, size: int) -> bytes:
    return text[: text.rindex(b"\n", 0, size) + 1]


def _counts(text: str) -> bytes:
    """A count for each word of *text*. They differ: a task that reads each distinct value once would be too fast."""
    words = re.findall(r"[\w']+", text.lower())
    lines: list[bytes] = [f"{json.dumps(word)}\t{number}\n".encode() for number, word in enumerate(words, start=1)]
    lines.sort(key=_key)
    return b"".join(lines)


def _key(line: bytes) -> bytes:
    return line.partition(b"\t")[0]


@dataclass(frozen=True)
class Jobs:
    """The jobs whose tasks are measured, as both runners have them, after they ran: on a sample, and on one line."""

    stock: FinishedJob
    ours: FinishedJob
    stock_letters: FinishedJob
    our_letters: FinishedJob

    @classmethod
    def run(cls, ours: list[str], inputs: Inputs, packages_script: str) -> Jobs:
        """Run them. *packages_script* is the URI of what has a node install the packages for ``-r emr``."""
        with_packages = ["emr", "--bootstrap-action", packages_script, "--cmdenv", f"PYTHONPATH={PLACE}/packages"]
        return cls(
            run_job(WORDS, ["emr"], inputs.sample, f"{PLACE}/stock"),
            run_job(WORDS, ours, inputs.sample, f"{PLACE}/ours"),
            run_job(LETTERS, with_packages, inputs.one_line, f"{PLACE}/stock-letters"),
            run_job(LETTERS, ours, inputs.one_line, f"{PLACE}/our-letters"),
        )

    def fetching(self) -> list[str]:
        """Shell commands that bring the files of all of them to a node."""
        return [line for job in vars(self).values() for line in job.fetching()]

    def lines_that_differ(self) -> int:
        """How many lines of the jobs' output are not the same in the same place."""
        theirs, its = self.stock.output.splitlines(), self.ours.output.splitlines()
        return sum(one != other for one, other in zip(theirs, its, strict=False)) + abs(len(theirs) - len(its))


def plan(jobs: Jobs, repetitions: int) -> list[dict[str, Any]]:
    """What of tasks is to be measured: the throughput *repetitions* times, starts more often."""
    mapper = _alternatives(jobs.stock, jobs.ours, "-mapper")
    python = jobs.ours.alternative("-mapper")
    bare = {**python, "argv": [python["argv"][0], "-c", "pass"], "same_output": False}
    start = {STOCK: jobs.stock.alternative("-mapper"), **mapper, BARE: bare}
    own_work = _alternatives(jobs.stock_letters, jobs.our_letters, "-mapper")
    del own_work[OURS_SLOW]
    return [
        _measurement(START, start, 8 * repetitions, "one-line.txt"),
        _measurement(MAPPER, mapper, repetitions, "text.txt"),
        _measurement(COMBINER, _alternatives(jobs.stock, jobs.ours, "-combiner"), repetitions, "counts.txt"),
        _measurement(REDUCER, _alternatives(jobs.stock, jobs.ours, "-reducer"), repetitions, "counts.txt"),
        _measurement(OWN_WORK, own_work, repetitions, "text.txt"),
    ]


def _alternatives(stock: FinishedJob, ours: FinishedJob, switch: str) -> dict[str, Any]:
    return {
        STOCK_PLAIN: stock.alternative(switch, PLAIN_DISTUTILS),
        OURS_SLOW: ours.alternative(switch, {"MRJOB_PYBUNDLE_FAST_TASKS": "off"}),
        OURS: ours.alternative(switch),
    }


def _measurement(name: str, alternatives: dict[str, Any], repetitions: int, input_name: str) -> dict[str, Any]:
    return {
        "name": name,
        "repetitions": repetitions,
        "input": f"{PLACE}/{input_name}",
        "alternatives": alternatives,
    }
