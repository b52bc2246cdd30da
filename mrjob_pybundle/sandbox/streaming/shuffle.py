"""What Hadoop does with a record between a mapper and a reducer. Pure functions on bytes.

Semantics after Hadoop 3's streaming, ``mapred.lib`` and ``mapreduce.lib.partition`` packages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

Record = tuple[bytes, bytes]
SortKey = Callable[[bytes], Any]
_CHUNK = 1 << 18


def split_command(command: str) -> list[str]:
    """The words of a ``-mapper``, ``-combiner`` or ``-reducer``, as Hadoop Streaming splits them.

    Not as a shell does: a quotation mark begins or ends a word, so ``a'b c'd`` is three words; there are no
    empty words and no escapes.
    """
    words, word, quote = [], "", ""
    for char in command:
        if char == quote:
            ends, quote = True, ""
        elif not quote and char in "'\"":
            ends, quote = True, char
        else:
            ends = not quote and char == " "
        if not ends:
            word += char
        elif word:
            words.append(word)
            word = ""
    return [*words, word] if word else words


def read_lines(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Lines, without their ends, which are LF, CR LF or CR, as Hadoop's ``LineReader`` has it."""
    pending = b""
    while chunk := read(_CHUNK):
        data = pending + chunk
        held = b""
        if data.endswith(b"\r"):  # perhaps the first half of CR LF
            data, held = data[:-1], b"\r"
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, pending = data.split(b"\n")
        yield from lines
        pending += held
    if pending.endswith(b"\r"):
        pending = pending[:-1]
        yield pending
    elif pending:
        yield pending


def split_key(line: bytes, separator: bytes, fields: int) -> Record:
    """Key and value of a line: the key ends at separator number *fields*; without one, all is key."""
    position = -len(separator)
    for _ in range(fields):
        position = line.find(separator, position + len(separator))
        if position < 0:
            return line, b""
    return line[:position], line[position + len(separator) :]


def hash_bytes(data: bytes, start: int = 1) -> int:
    """Java's polynomial hash of signed bytes, as a signed 32 bit integer."""
    value = start
    for byte in data:
        value = (31 * value + (byte - 256 if byte > 127 else byte)) & 0xFFFFFFFF
    return value - (1 << 32) if value & 0x80000000 else value


@dataclass(frozen=True)
class KeyField:
    """``-kF[.C][nr][,F[.C][nr]]``: fields and characters from 1; an *end* of 0 is the end of the key."""

    begin: int
    begin_char: int
    end: int
    end_char: int
    numeric: bool
    reverse: bool

    def slice(self, key: bytes, separator: bytes) -> bytes | None:
        """The part of *key* that this names, None where it begins after the key's end."""
        fields = key.split(separator)
        if self.begin > len(fields):
            return None
        before = sum(len(field) + len(separator) for field in fields[: self.begin - 1])
        start = before + self.begin_char - 1
        if self.end == 0 or self.end > len(fields):
            stop = len(key)
        else:
            end_before = sum(len(field) + len(separator) for field in fields[: self.end - 1])
            length = len(fields[self.end - 1])
            stop = end_before + (min(self.end_char, length) if self.end_char else length)
        return key[start:stop] if start <= stop else None


_KEY_OPTION = re.compile(r"-k(\d+)(?:\.(\d+))?([nr]*)(?:,(\d+)(?:\.(\d+))?([nr]*))?$")


def parse_key_fields(options: str) -> list[KeyField]:
    """``-k1,1 -k2nr``, and ``-n`` and ``-r`` for all: options of KeyFieldBasedComparator and -Partitioner.

    :raises ValueError: something else.
    """
    flags = "".join(word[1:] for word in options.split() if re.fullmatch(r"-[nr]+", word))
    fields = []
    for word in options.split():
        if re.fullmatch(r"-[nr]+", word):
            continue
        match = _KEY_OPTION.match(word)
        if not match or match[1] == "0" or match[2] == "0":
            raise ValueError(f"key field option not understood: {word}")
        local = (match[3] or "") + (match[6] or "")
        chosen = local or flags
        fields.append(
            KeyField(
                int(match[1]),
                int(match[2] or 1),
                int(match[4] or 0),
                int(match[5] or 0),
                "n" in chosen,
                "r" in chosen,
            )
        )
    if not fields and flags:
        fields.append(KeyField(1, 1, 0, 0, "n" in flags, "r" in flags))
    return fields


def hash_partition(key: bytes, partitions: int) -> int:
    """The reducer that ``HashPartitioner`` sends *key* to."""
    return (hash_bytes(key) & 0x7FFFFFFF) % partitions


def field_partition(key: bytes, partitions: int, fields: list[KeyField], separator: bytes) -> int:
    """The reducer that ``KeyFieldBasedPartitioner`` sends *key* to."""
    if not fields:
        return (_string_hash(key) & 0x7FFFFFFF) % partitions
    value = 0
    for field in fields:
        part = field.slice(key, separator)
        if part is not None:
            value = hash_bytes(part, value)
    return (value & 0x7FFFFFFF) % partitions


def _string_hash(key: bytes) -> int:
    """Java's ``String.hashCode`` of the text: over UTF-16 code units."""
    units = key.decode("utf-8", "replace").encode("utf-16-be")
    value = 0
    for index in range(0, len(units), 2):
        value = (31 * value + int.from_bytes(units[index : index + 2], "big")) & 0xFFFFFFFF
    return value


def field_sort_key(fields: list[KeyField], separator: bytes) -> SortKey:
    """A sort key that orders keys as ``KeyFieldBasedComparator`` does."""

    def sort_key(key: bytes) -> list[Any]:
        parts: list[Any] = []
        for field in fields:
            part = field.slice(key, separator) or b""
            value: float | bytes = _number(part) if field.numeric else part
            parts.append(_Reversed(value) if field.reverse else value)
        return parts

    return sort_key


_NUMBER = re.compile(rb"-?\d*(?:\.\d*)?")


def _number(text: bytes) -> float:
    match = _NUMBER.match(text)
    digits = match[0] if match else b""
    return float(digits) if re.search(rb"\d", digits) else 0.0


@dataclass(frozen=True, order=False)
class _Reversed:
    value: Any

    def __lt__(self, other: _Reversed) -> bool:
        return bool(other.value < self.value)


def sorted_records(records: Iterable[Record], sort_key: SortKey | None) -> list[Record]:
    """*records* by key: by the key's bytes, or by *sort_key* of it. Equal keys keep their order."""
    if sort_key is None:
        return sorted(records, key=lambda record: record[0])
    return sorted(records, key=lambda record: sort_key(record[0]))
