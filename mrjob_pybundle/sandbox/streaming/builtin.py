"""The engine that every machine can have: our own small stand-in for Hadoop Streaming."""

from __future__ import annotations

import time
from pathlib import Path

from mrjob_pybundle.sandbox.engines import EngineKind, Ground, StepError
from mrjob_pybundle.sandbox.machines.logs import LogFile
from mrjob_pybundle.sandbox.machines.nodes import NodeError
from mrjob_pybundle.sandbox.machines.storage import FileSystems, HdfsStorage
from mrjob_pybundle.sandbox.steps import run_command
from mrjob_pybundle.sandbox.streaming import engine as streaming
from mrjob_pybundle.sandbox.streaming.options import StreamingOptionError, parse


class BuiltinEngine:
    """Runs streaming jobs on the cluster's nodes, with a directory for HDFS. Has no Java."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._storage = FileSystems(ground.s3, HdfsStorage(ground.directory / "hdfs"))
        self._created = time.time()
        self._applications = 0

    def start(self) -> None:
        """There is nothing to start."""

    def run_streaming(self, args: list[str], logs: Path) -> None:
        syslog = LogFile(logs / "syslog")
        try:
            streaming.run(parse(args), self._next_place(), syslog, LogFile(logs / "stderr"))
        except StreamingOptionError as error:
            syslog.client("org.apache.hadoop.streaming.StreamJob", str(error), "ERROR")
            raise StepError(f"{error}\nStreaming Command Failed!") from None
        except (streaming.JobError, NodeError) as error:
            raise StepError(str(error)) from None

    def run_command(self, command: list[str], logs: Path) -> None:
        if command[0] == "spark-submit":
            # As Spark logs errors: so mrjob finds them.
            now = time.strftime("%y/%m/%d %H:%M:%S")
            raise StepError(
                f"{now} ERROR spark-submit: the sandbox's built-in engine runs no Spark; the Hadoop engine does"
            )
        run_command(self._ground.master[1], command, logs)

    def run_jar(self, jar: str, args: list[str], logs: Path) -> None:  # noqa: ARG002
        raise StepError(f"{jar}: the sandbox's built-in engine runs no Java; the Hadoop engine does")

    def _next_place(self) -> streaming.Place:
        self._applications += 1
        application_id = f"application_{int(self._created * 1000)}_{self._applications:04d}"
        return streaming.Place(
            application_id,
            list(self._ground.workers.values()),
            self._storage,
            self._ground.directory / "shuffle" / application_id,
            self._ground.logs / "containers" / application_id,
            self._ground.logs / "hadoop-mapreduce" / "history",
        )


BUILTIN = EngineKind(BuiltinEngine, {}, lambda *_: None, needs_namespaces=False)
