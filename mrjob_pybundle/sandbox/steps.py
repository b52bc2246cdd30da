"""What a step runs, by its jar."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from mrjob_pybundle.sandbox.engines import Engine, StepError
from mrjob_pybundle.sandbox.machines.nodes import Node, NodeError

_SCRIPT_RUNNER = re.compile(r"s3://[^/]*elasticmapreduce/libs/script-runner/script-runner\.jar")


@dataclass(frozen=True)
class StepPlace:
    """Where a step runs: on *master*, or, if it is a job, on the cluster's *engine*; with its logs in *logs*."""

    master: Node
    engine: Engine
    logs: Path


def run(jar: str, args: list[str], place: StepPlace) -> None:
    """Run a step to its end.

    :raises StepError: it failed.
    """
    if jar == "command-runner.jar" and args[:1] == ["hadoop-streaming"]:
        place.engine.run_streaming(args[1:], place.logs)
    elif jar == "command-runner.jar" and args:
        place.engine.run_command(args, place.logs)
    elif _SCRIPT_RUNNER.fullmatch(jar) and args:
        run_script(place.master, args[0], args[1:], place.logs)
    elif jar.endswith(".jar") and jar != "command-runner.jar":
        place.engine.run_jar(jar, args, place.logs)
    else:
        raise StepError(f"{jar or 'no jar'} {' '.join(args)}: nothing to run")


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
    script = node.host_path(f"{directory}/{name}")
    node.fit(script)
    script.chmod(0o755)
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
