"""``mrjob-pybundle run``: a job's script, where Python reads no ``.pth`` file.

That is so for packages which ``pip install --target`` has put somewhere, or which PYTHONPATH names. Python is
started anew, as ``python SCRIPT`` would, but with a ``sitecustomize`` of ours, which brings in the hook: in the script,
and in every Python that it starts (mrjob's runner ``local`` starts one for each task).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

ABOUT = "run a job's script where packages were installed without their .pth files"

_SITECUSTOMIZE = Path(__file__).with_name("started_by_run")


def main(words: Sequence[str]) -> NoReturn:
    """Become ``python SCRIPT ARGUMENT…`` or ``python -m MODULE ARGUMENT…``; *words* is what follows ``python``.

    :raises SystemExit: they are ``--help``, or name neither a script nor a module.
    """
    _check(words)
    path = [str(_SITECUSTOMIZE), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
    os.execve(sys.executable, [sys.executable, *_switches_of_python(), *words], environment)


def _check(words: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="mrjob-pybundle run",
        usage="%(prog)s (SCRIPT | -m MODULE) [ARGUMENT…]",
        description=f"{ABOUT[0].upper()}{ABOUT[1:]} (pip install --target, PYTHONPATH): as python"
        " (SCRIPT | -m MODULE) [ARGUMENT…] does elsewhere. All that follows SCRIPT or MODULE is the script's.",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("script", metavar="SCRIPT", nargs="?", help="path of the job's script")
    what.add_argument("-m", dest="module", metavar="MODULE", help="a module to run as a script")
    parser.parse_args(words[: 2 if words[:1] == ["-m"] else 1])


def _switches_of_python() -> list[str]:
    """What stood between ``python`` and us, as ``-W error``, or ``-m pdb``: it goes for the script."""
    switches = sys.orig_argv[1 : -len(sys.argv)]
    return switches[:-1] if switches[-1:] == ["-m"] else switches
