"""Works that show how fast an interpreter is. Prints JSON, seconds of each. A part of compiling.py, for any Python 3.

What tasks do, and what they don't: an interpreter that was tuned to the one should not lose the other.
"""

from __future__ import annotations

import json
import re
import time
import zlib
from collections.abc import Iterator

TEXT = "It was the best of times, it was the worst of times, it was the age of wisdom… " * 40
DOCUMENT = [{"id": n, "name": f"name {n}", "tags": ["a", "b"], "weight": n / 7, "none": None} for n in range(2000)]


def json_both_ways() -> None:
    for _ in range(12):
        json.loads(json.dumps(DOCUMENT))


def regular_expressions() -> None:
    words = re.compile(r"[\w']+")
    for _ in range(250):
        sum(1 for match in words.finditer(TEXT) if match.group().islower())


def counting_words() -> None:
    for _ in range(350):
        counts: dict[str, int] = {}
        for word in TEXT.lower().split():
            counts[word] = counts.get(word, 0) + 1


def generators() -> None:
    def numbers(limit: int) -> Iterator[int]:
        yield from range(limit)

    def odd(source: Iterator[int]) -> Iterator[int]:
        for number in source:
            if number & 1:
                yield number

    for _ in range(25):
        sum(number * 3 for number in odd(numbers(60_000)))


def sorting() -> None:
    for seed in range(1, 12):
        pairs = [(f"{number * seed * 7919 % 10007:05}", number) for number in range(20_000)]
        sorted(pairs, key=lambda pair: pair[0])


def objects() -> None:
    class Point:
        __slots__ = ("x", "y")

        def __init__(self, x: float, y: float) -> None:
            self.x = x
            self.y = y

        def plus(self, other: Point) -> Point:
            return Point(self.x + other.x, self.y + other.y)

    for _ in range(14):
        total = Point(0.0, 0.0)
        for number in range(40_000):
            total = total.plus(Point(number * 0.5, number))


def numbers() -> None:
    for _ in range(9):
        x, y = 0.1, 0.2
        for n in range(100_000):
            x, y = x * 0.99 + y * y / (1 + n), y * 0.98 + x


def calls() -> None:
    def fibonacci(n: int) -> int:
        return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

    fibonacci(26)


def strings() -> None:
    for _ in range(120):
        "\t".join(part.strip().replace("t", "T").title() for part in TEXT.split(",")).encode("utf-8").decode("utf-8")


def decompression() -> None:
    compressed = zlib.compress(TEXT.encode() * 300)
    for _ in range(25):
        zlib.decompress(compressed)


def main() -> None:
    seconds = {}
    for work in (
        json_both_ways,
        regular_expressions,
        counting_words,
        generators,
        sorting,
        objects,
        numbers,
        calls,
        strings,
        decompression,
    ):
        began = time.perf_counter()
        work()
        seconds[work.__name__.replace("_", " ")] = time.perf_counter() - began
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
