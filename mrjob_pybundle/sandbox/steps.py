"""What a step runs, by its jar."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mrjob_pybundle.sandbox import streaming
from mrjob_pybundle.sandbox.logs import LogFile
from mrjob_pybundle.sandbox.nodes import Node, NodeError
from mrjob_pybundle.sandbox.streaming_options import StreamingOptionError, parse

_SCRIPT_RUNNER = re.compile(r"s3://[^/]*elasticmapreduce/libs/script-runner/script-runner\.jar")


class StepError(Exception):
    """A step cannot run, or failed. The message belongs at the end of its stderr."""


@dataclass(frozen=True)
class StepPlace:
    """Where a step runs: on *master*, with its logs in *logs*; *streaming_place* makes a job's place."""

    master: Node
    logs: Path
    streaming_place: Callable[[], streaming.Place]


def run(jar: str, args: list[str], place: StepPlace) -> None:
    """Run a step to its end.

    :raises StepError: it failed.
    """
    if jar == "command-runner.jar" and args[:1] == ["hadoop-streaming"]:
        _run_streaming(args[1:], place)
    elif jar == "command-runner.jar" and args[:1] == ["spark-submit"]:
        raise StepError("spark-submit: the sandbox has no Spark")
    elif jar == "command-runner.jar" and args:
        run_command(place.master, args, place.logs)
    elif _SCRIPT_RUNNER.fullmatch(jar) and args:
        run_script(place.master, args[0], args[1:], place.logs)
    else:
        raise StepError(f"{jar or 'no jar'}: the sandbox runs command-runner.jar and script-runner.jar, not Java")


def _run_streaming(args: list[str], place: StepPlace) -> None:
    syslog = LogFile(place.logs / "syslog")
    try:
        job = parse(args)
        streaming.run(job, place.streaming_place(), syslog)
    except StreamingOptionError as error:
        syslog.client("org.apache.hadoop.streaming.StreamJob", str(error), "ERROR")
        raise StepError(f"{error}\nStreaming Command Failed!") from None
    except (streaming.JobError, NodeError) as error:
        raise StepError(str(error)) from None


def run_script(node: Node, uri: str, args: list[str], logs: Path) -> None:
    """Fetch a script with the AWS CLI and run it, as bootstrap actions and script-runner.jar do.

    :raises StepError: it could not be fetched, or its exit status isn't 0.
    """
    name = uri.rstrip("/").rpartition("/")[2]
    directory = f"/home/hadoop/scripts/{logs.parent.name}-{logs.name}"
    node.host_path(directory).mkdir(parents=True, exist_ok=True)
    path = f"{node.path(directory)}/{name}"
    try:
        run_command(node, ["aws", "s3", "cp", "--only-show-errors", uri, path], logs)
    except StepError:
        raise ScriptMissingError(f"cannot download {uri}") from None
    node.host_path(f"{directory}/{name}").chmod(0o755)
    run_command(node, [path, *args], logs)


class ScriptMissingError(StepError):
    """A script could not be fetched."""


def run_command(node: Node, command: list[str], logs: Path) -> None:
    """Run *command* on *node* with stdout and stderr appended to the files of that name in *logs*.

    :raises StepError: its exit status isn't 0.
    """
    logs.mkdir(parents=True, exist_ok=True)
    with (logs / "stdout").open("ab") as stdout, (logs / "stderr").open("ab") as stderr:
        try:
            process = node.popen(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr)
        except NodeError as error:
            raise StepError(str(error)) from None
        code = process.wait()
    if code:
        raise StepError(f"Command exiting with ret '{code if code > 0 else 128 - code}'")
