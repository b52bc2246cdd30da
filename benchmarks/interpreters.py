"""Works that show how fast an interpreter is; prints JSON: seconds of each. Runs on any Python 3. A part of compiling.py.

What tasks do, and what they don't: an interpreter that was tuned to the one should not lose the other.
"""

import json
import re
import time
import zlib

TEXT = "It was the best of times, it was the worst of times, it was the age of wisdom… " * 40
DOCUMENT = [{"id": n, "name": f"name {n}", "tags": ["a", "b"], "weight": n / 7, "none": None} for n in range(2000)]


def json_both_ways():
    for _ in range(12):
        json.loads(json.dumps(DOCUMENT))


def regular_expressions():
    words = re.compile(r"[\w']+")
    for _ in range(250):
        sum(1 for match in words.finditer(TEXT) if match.group().islower())


def counting_words():
    counts = {}
    for _ in range(350):
        for word in TEXT.lower().split():
            counts[word] = counts.get(word, 0) + 1


def generators():
    def numbers(limit):
        yield from range(limit)

    def odd(source):
        for number in source:
            if number & 1:
                yield number

    for _ in range(25):
        sum(number * 3 for number in odd(numbers(60_000)))


def sorting():
    for seed in range(1, 12):
        pairs = [(f"{number * seed * 7919 % 10007:05}", number) for number in range(20_000)]
        sorted(pairs, key=lambda pair: pair[0])


def objects():
    class Point:
        __slots__ = ("x", "y")

        def __init__(self, x, y):
            self.x = x
            self.y = y

        def plus(self, other):
            return Point(self.x + other.x, self.y + other.y)

    for _ in range(14):
        total = Point(0.0, 0.0)
        for number in range(40_000):
            total = total.plus(Point(number * 0.5, number))


def numbers():
    for _ in range(9):
        x, y = 0.1, 0.2
        for n in range(100_000):
            x, y = x * 0.99 + y * y / (1 + n), y * 0.98 + x


def calls():
    def fibonacci(n):
        return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

    fibonacci(26)


def strings():
    for _ in range(120):
        "\t".join(part.strip().replace("t", "T").title() for part in TEXT.split(",")).encode("utf-8").decode("utf-8")


def decompression():
    compressed = zlib.compress(TEXT.encode() * 300)
    for _ in range(25):
        zlib.decompress(compressed)


def main():
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
