"""Engines: what a cluster's Hadoop is made of.

Everything else in the sandbox hands a step's arguments to an :class:`Engine` and knows no more of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mrjob_pybundle.sandbox.machines.nodes import Node
from mrjob_pybundle.sandbox.machines.storage import S3Storage


class StepError(Exception):
    """A step cannot run, or failed. The message belongs at the end of its stderr."""


class EngineError(Exception):
    """A cluster's Hadoop cannot start."""


@dataclass(frozen=True)
class Ground:
    """What an engine gets to stand on: a cluster's nodes, by instance id, and two directories.

    *master* is one node, *workers* are those that run tasks; on a cluster of one node they are the same.
    *directory* is for what the engine keeps. Files below *logs* land below LogUri after each step. *configurations* are
    those of RunJobFlow.
    """

    master: tuple[str, Node]
    workers: Mapping[str, Node]
    s3: S3Storage
    directory: Path
    logs: Path
    configurations: Sequence[Mapping[str, Any]] = ()


class Engine(Protocol):
    """The Hadoop of one cluster. It ends when its nodes do."""

    def start(self) -> None:
        """Make ready for steps, after the bootstrap actions.

        :raises EngineError: it cannot start.
        """

    def run_streaming(self, args: list[str], logs: Path) -> None:
        """Run a streaming job, from the arguments that follow ``hadoop-streaming``; *logs* are the step's.

        :raises StepError: it failed.
        """

    def run_command(self, command: list[str], logs: Path) -> None:
        """Run *command* on the master, as ``command-runner.jar`` does.

        :raises StepError: it failed.
        """

    def run_jar(self, jar: str, args: list[str], logs: Path) -> None:
        """Run the main class of *jar* (``s3://``, or a path on the master) with *args*.

        :raises StepError: it failed.
        """


@dataclass(frozen=True)
class EngineKind:
    """A kind of engine: how to make one, and what nodes need in their environment for it.

    *prepare(s3_client, aws_environment)* is called once S3 is there. *needs_namespaces*: its nodes must have files of
    their own.
    """

    make: Callable[[Ground], Engine]
    node_environment: Mapping[str, str]
    prepare: Callable[[Any, Mapping[str, str]], None]
    needs_namespaces: bool
