"""Work such as tasks do, for gcc to count what an interpreter does in it, besides CPython's own tests.

    profile_tasks.py DIRECTORY

Runs under the interpreter that is being profiled, before it is installed. The texts are the modules in DIRECTORY.
"""

from __future__ import print_function, unicode_literals

import collections
import io
import itertools
import json
import operator
import os
import re
import sys
import zlib

WORD = re.compile(r"[\w']+", re.UNICODE)
#: So much text (characters), so that it takes seconds.
MOST = 1500000


def main():
    lines = list(some_lines(sys.argv[1]))
    # Most text is ASCII; some is Latin, and some has dashes and quotes of its own.
    for decorate in ("{}", "{} \u00e9t\u00e9", "{} \u2014 \u201cok\u201d"):
        count_words([decorate.format(line) for line in lines])
    read_records(lines)
    compress(lines)


def some_lines(directory):
    read = 0
    for name in sorted(os.listdir(directory)):
        if name.endswith(".py") and read < MOST:
            with io.open(os.path.join(directory, name), encoding="utf-8", errors="replace") as text:
                for line in text:
                    read += len(line)
                    yield line


class Counter(object):
    def __init__(self):
        self.seen = 0

    def pairs(self, lines):
        for line in lines:
            for match in WORD.finditer(line):
                self.seen += 1
                yield match.group().lower(), 1


def count_words(lines):
    """As a job's mapper, sort and reducer do, and in a dictionary."""
    encode, decode = json.JSONEncoder().encode, json.JSONDecoder().decode
    encoded = ["%s\t%s\n" % (encode(word), encode(one)) for word, one in Counter().pairs(lines)]
    encoded.sort()
    split = (line.rstrip("\n").split("\t", 1) for line in encoded)
    pairs = ((decode(key), decode(value)) for key, value in split)
    totals = [(sum(one for _, one in group), word) for word, group in itertools.groupby(pairs, operator.itemgetter(0))]
    counts = collections.defaultdict(int)
    for line in lines:
        for word in line.lower().split():
            counts[word.strip(".,:;()[]{}'\"")] += 1
    return max(totals), sorted(counts.items(), key=operator.itemgetter(1), reverse=True)[:10]


class Record(object):
    def __init__(self, number, fields):
        self.number = number
        self.fields = fields

    @property
    def width(self):
        return len(self.fields)

    def weight(self, scale):
        return self.number * scale / (1.0 + self.width)


def read_records(lines):
    """Fields, numbers and objects, there and back."""
    records = [Record(number, line.strip().split(" ")) for number, line in enumerate(lines)]
    total, seen = 0.0, set()
    for record in records:
        weight = record.weight(0.5)
        seen.add((record.width, record.number % 7))
        text = json.dumps({"number": record.number, "weight": weight, "fields": record.fields, "last": None})
        again = json.loads(text)
        joined = "|".join(field.replace("=", ":") for field in again["fields"] if field)
        head, _, rest = joined.partition(":")
        if rest.startswith("e") or not head.isalpha():
            seen.add(hash(head) % 1000)
        total += float("%.3f" % again["weight"]) - int(str(record.number))
    return total, seen


def compress(lines):
    text = "".join(lines).encode("utf-8")
    return zlib.decompress(zlib.compress(text, 1)) == text


if __name__ == "__main__":
    main()
