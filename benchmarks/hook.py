"""What the hook, which every Python program of the submitter's environment loads, costs those that don't use mrjob."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from figures import Measurement
from submissions import ordinary_environment

HERE = Path(__file__).parent
NAME, WITH_HOOK, WITHOUT_HOOK = "python -c pass", "with the hook", "without"


def measure(work: Path, repetitions: int) -> Measurement:
    """``python -c pass`` in two environments that differ by the hook alone."""
    pythons = {}
    for name in (WITHOUT_HOOK, WITH_HOOK):
        environment = work / name.replace(" ", "-")
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
        pythons[name] = environment / "bin" / "python"
        if name == WITH_HOOK:
            (site_packages,) = environment.glob("lib/python*/site-packages")
            for file in ("mrjob_pybundle_hook.py", "mrjob_pybundle_hook.pth"):
                (site_packages / file).write_bytes((HERE.parent / file).read_bytes())
    measured = Measurement(NAME, "ms", WITHOUT_HOOK, WITH_HOOK)
    for repetition in range(repetitions + 1):
        for name, python in pythons.items():
            began = time.perf_counter()
            subprocess.run([python, "-c", "pass"], env=ordinary_environment(), check=True)
            if repetition:  # the first compiles the hook
                measured.add(name, (time.perf_counter() - began) * 1000)
    return measured
