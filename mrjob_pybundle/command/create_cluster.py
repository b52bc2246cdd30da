"""``create-cluster``: a persistent cluster with a job's bundle on it."""

from __future__ import annotations

import argparse

from mrjob_pybundle.command.switches import Commands, runner_of


def add(commands: Commands) -> None:
    """Add the command."""
    commands.about_job(
        "create-cluster", _create_cluster, "", "create a persistent cluster with a job's bundle on it, print its id"
    )


def _create_cluster(args: argparse.Namespace) -> int:
    print(runner_of(args).make_persistent_cluster())
    return 0
