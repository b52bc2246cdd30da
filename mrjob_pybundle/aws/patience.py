"""Asking AWS again and again, while the network is gone or AWS is too busy: as long as it is worth it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from mrjob_pybundle.aws.errors import may_pass
from mrjob_pybundle.errors import TransientError

log = logging.getLogger("mrjob.pybundle")

_Answer = TypeVar("_Answer")

#: Between two tries (seconds).
_LONGEST_PAUSE = 15.0

#: A try that took longer was not one: the machine slept. With all its own tries and time limits, botocore needs less.
_LONGEST_TRY = 600.0

#: So long (seconds) a silence must have lasted to be worth a word, and so often, at least, there is one from then on.
_FIRST_WORD, _LONGEST_WITHOUT_A_WORD = 10.0, 300.0


class Patience:
    """Patience with one *service*, up to a silence of *limit* seconds.

    Only time counts in which this machine was awake: when a lid is opened after a night, the network comes back some
    seconds after the program. Clocks differ in whether they go on in sleep, so none is believed for longer than a try
    can take.

    *pause* (seconds) is for the first time; the next ones are longer. *tell* gets what a person should know.
    """

    def __init__(self, service: str, limit: float, pause: float, tell: Callable[[str], None]) -> None:
        self._service = service
        self._limit = limit
        self._first_pause = pause
        self._tell = tell
        self._since: float | None = None
        self._silence = 0.0
        self._next_word = _FIRST_WORD

    def ask(
        self, question: Callable[[], _Answer], may_be_repeated: Callable[[Exception], bool] = lambda _: True
    ) -> _Answer:
        """The answer to *question*, which is asked until it does not end in an error that may pass.

        *may_be_repeated* says so of an error, where a question is an order that must not be carried out twice.

        :raises Exception: what *question* raised: at once what lasts, after *limit* what may pass.
        """
        pause = self._first_pause
        while True:
            answer = self._try(question, may_be_repeated)
            if answer is not None:
                return answer[0]
            time.sleep(pause)
            pause = min(2 * pause, max(_LONGEST_PAUSE, self._first_pause))

    def ask_once(self, question: Callable[[], _Answer]) -> _Answer | None:
        """The answer to *question*, ``None`` if there is none just now. Raises what :meth:`ask` raises."""
        answer = self._try(question, lambda _: True)
        return answer[0] if answer else None

    def _try(
        self, question: Callable[[], _Answer], may_be_repeated: Callable[[Exception], bool]
    ) -> tuple[_Answer] | None:
        began = time.monotonic()
        try:
            answer = question()
        except Exception as error:
            if not (isinstance(error, TransientError) or may_pass(error)) or not may_be_repeated(error):
                raise
            self._hear_nothing(began)
            if self._silence >= self._limit:
                raise
            log.debug("trying again: %s", error)
            return None
        self._hear()
        return (answer,)

    def _hear_nothing(self, began: float) -> None:
        self._count(began if self._since is None else self._since)
        if self._silence >= self._next_word:
            self._tell(f"no answer from {self._service} for {_clock(self._silence)}, trying again")
            self._next_word = min(2 * self._silence, self._silence + _LONGEST_WITHOUT_A_WORD)

    def _count(self, since: float) -> None:
        self._since = time.monotonic()
        self._silence += min(self._since - since, _LONGEST_TRY)

    def _hear(self) -> None:
        if self._since is not None and self._next_word > _FIRST_WORD:
            self._count(self._since)
            self._tell(f"{self._service} answers again, after {_clock(self._silence)}")
        self._since, self._silence, self._next_word = None, 0.0, _FIRST_WORD


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"
