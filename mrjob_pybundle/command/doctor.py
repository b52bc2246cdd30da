"""``doctor``: checks what a job and its build need, and says what to do."""

from __future__ import annotations

import argparse

from rich.console import Console
from rich.text import Text

from mrjob_pybundle.command.examination import Verdict, examine
from mrjob_pybundle.command.switches import Commands, runner_of


def add(commands: Commands) -> None:
    """Add the command."""
    commands.about_job("doctor", _doctor, "", "check what a job and its build need, and say what to do")


def _doctor(args: argparse.Namespace) -> int:
    styles = {Verdict.OK: "green", Verdict.FAILED: "bold red", Verdict.NOTE: "yellow", Verdict.NOT_CHECKED: "yellow"}
    console = Console(soft_wrap=True, highlight=False)
    failed = False
    for finding in examine(lambda runner_class: runner_of(args, runner_class)):
        failed = failed or finding.verdict is Verdict.FAILED
        verdict = (f"{finding.verdict.value:<12}", styles[finding.verdict])
        console.print(Text.assemble(verdict, f"{finding.check}: {finding.text}"))
    return 1 if failed else 0
