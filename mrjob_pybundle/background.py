"""Doing something while others are waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

_Result = TypeVar("_Result")


class Background(Generic[_Result]):
    """What *do* does in a thread of its own, from now on. A program that ends earlier does not wait for it."""

    def __init__(self, do: Callable[[], _Result]) -> None:
        self._do = do
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._value = self._do()
        except BaseException as error:  # noqa: BLE001
            self._error = error  # raised where the result is wanted

    def result(self) -> _Result:
        """What *do* has returned, once it has; what it has raised is raised here."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._value
