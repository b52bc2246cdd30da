"""How long one service that does not answer is asked again, by this machine's clock, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mrjob_pybundle.aws import patience
from mrjob_pybundle.aws.patience import Patience
from mrjob_pybundle.errors import CacheError, TransientError

HOUR = 3600.0


class Clock:
    """A machine's clock that goes on only where the machine waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(patience, "time", clock)
    return clock


def _silent(clock: Clock, times: int, passing: Callable[[int], float]) -> Callable[[], str]:
    """A question that is answered after so many tries, each of which takes *passing* seconds."""
    tries = iter(range(times))

    def question() -> str:
        number = next(tries, None)
        if number is None:
            return "answer"
        clock.now += passing(number)
        raise TransientError("nobody there")

    return question


def test_what_is_said(clock: Clock) -> None:
    said: list[str] = []
    asked = Patience("S3", HOUR, 3, said.append)
    assert asked.ask(_silent(clock, 1, lambda _: 5)) == "answer"
    assert said == [], "not worth a word"
    assert asked.ask(_silent(clock, 60, lambda _: 5)) == "answer"
    assert said[0] == "no answer from S3 for 0:13, trying again"
    assert said[-1] == "S3 answers again, after 19:36"
    assert len(said) <= 9


def test_a_night_under_a_closed_lid(clock: Clock) -> None:
    """Whether the clock goes on meanwhile or not: what counts is how long nobody answered the waking machine."""
    asked = Patience("S3", HOUR, 3, lambda _: None)
    assert asked.ask(_silent(clock, 5, lambda number: 8 * HOUR if number == 1 else 1)) == "answer"


def test_it_ends_after_the_limit(clock: Clock) -> None:
    asked = Patience("S3", HOUR, 3, lambda _: None)
    with pytest.raises(TransientError):
        asked.ask(_silent(clock, 10_000, lambda _: 5))
    assert HOUR <= clock.now < HOUR + 60


def test_each_silence_has_the_whole_limit(clock: Clock) -> None:
    asked = Patience("S3", HOUR, 3, lambda _: None)
    for _ in range(5):
        assert asked.ask(_silent(clock, 150, lambda _: 5)) == "answer"
        clock.now += 9 * HOUR


def test_what_lasts_ends_at_once(clock: Clock) -> None:
    def question() -> None:
        raise CacheError("No permission")

    with pytest.raises(CacheError):
        Patience("S3", HOUR, 3, lambda _: None).ask(question)
    assert clock.now == 0


def test_asked_once(clock: Clock) -> None:
    """Somebody else looks after the time in between."""
    asked = Patience("EMR", HOUR, 3, lambda _: None)
    question = _silent(clock, 2, lambda _: 1)
    assert [asked.ask_once(question) for _ in range(3)] == [None, None, "answer"]
    endless = _silent(clock, 10_000, lambda _: 1)

    def look_every_minute() -> None:
        while True:
            asked.ask_once(endless)
            clock.now += 60

    with pytest.raises(TransientError):
        look_every_minute()
    assert HOUR <= clock.now < 2 * HOUR
