"""What Hadoop ends a task for: silence, and memory."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

import psutil

from mrjob_pybundle.sandbox.machines.nodes import kill

_T = TypeVar("_T")

_LOOK_SECONDS = 1.0


class Patience:
    """Ends *process* when nothing that is watched has moved for *seconds*; 0: never."""

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        self.exceeded = False
        self._process = process
        self._seconds = seconds
        self._last = time.monotonic()
        self._over = threading.Event()
        if seconds:
            threading.Thread(target=self._wait, daemon=True).start()

    def watch(self, lines: Iterable[_T]) -> Iterator[_T]:
        for line in lines:
            self._last = time.monotonic()
            yield line

    def end(self) -> None:
        self._over.set()

    def _wait(self) -> None:
        while (left := self._last + self._seconds - time.monotonic()) > 0:
            if self._over.wait(left):
                return
        if self._process.poll() is None and not self._over.is_set():
            self.exceeded = True
            kill(self._process)


class MemoryLimit:
    """Ends *process* when it and its descendants are seen to have more than *limit* bytes of memory; 0: never.

    It looks every second, as YARN's monitor does every three (``yarn.nodemanager.resource-monitor.interval-ms``).
    """

    def __init__(self, process: subprocess.Popen[bytes], limit: int) -> None:
        self.exceeded = 0
        """Bytes that it had when it was ended."""
        self._process = process
        self._limit = limit
        self._over = threading.Event()
        if limit:
            threading.Thread(target=self._wait, daemon=True).start()

    def end(self) -> None:
        self._over.set()

    def _wait(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            used = _resident_bytes(self._process.pid)
            if used > self._limit:
                self.exceeded = used
                kill(self._process)
                return


def _resident_bytes(pid: int) -> int:
    """What *pid* and its descendants have; what is gone by now has nothing."""
    total = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
    return total
