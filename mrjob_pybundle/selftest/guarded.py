"""A command that is killed as soon as who started it is gone: ``python -m mrjob_pybundle.selftest.guarded``.

A run of the selftest that is killed must not leave submitters behind that launch one more cluster.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading


def main(words: list[str]) -> int:
    """Run a command; *words* are two file descriptors, and the command.

    The first is the reading end of a pipe into which nobody writes: it ends when its writing end is closed. The second
    is inherited by the command: see ``run_lock.py``. The result is the command's exit status, negative for a signal's.
    """
    lifeline, lock, *command = words
    signal.signal(signal.SIGINT, lambda *_: None)  # is for the command, which gets it, too
    child = subprocess.Popen(command, pass_fds=[int(lock)])
    threading.Thread(target=_kill_when_alone, args=(int(lifeline), child), daemon=True).start()
    return child.wait()


def _kill_when_alone(lifeline: int, child: subprocess.Popen[bytes]) -> None:
    os.read(lifeline, 1)
    child.kill()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) & 255)
