"""Doing something while others are waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

_Result = TypeVar("_Result")


class Background(Generic[_Result]):
    """What *do* does in a thread of its own, from now on. A program that ends earlier does not wait for it."""

    def __init__(self, do: Callable[[], _Result]) -> None:
        self._do: Callable[[], _Result] | None = do
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        do, self._do = self._do, None  # what it holds goes with it
        assert do is not None
        try:
            self._value = do()
        except BaseException as error:  # noqa: BLE001
            self._error = error  # raised where the result is wanted

    @property
    def is_done(self) -> bool:
        """Whether :meth:`result` would come, or raise, at once."""
        return not self._thread.is_alive()

    def wait(self) -> None:
        """Wait until it is done, however that ends."""
        self._thread.join()

    def result(self) -> _Result:
        """What *do* has returned, once it has; what it has raised is raised here."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._value
