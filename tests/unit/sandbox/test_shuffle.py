"""The streaming engine's pure parts, against facts about Hadoop and against properties."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrjob_pybundle.sandbox.streaming import shuffle


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("cat", ["cat"]),
        ("  a   b ", ["a", "b"]),
        ("python3 'my job.py' --x", ["python3", "my job.py", "--x"]),
        ("sh -c \"echo 'a b'\"", ["sh", "-c", "echo 'a b'"]),
        ("a'b c'd", ["a", "b c", "d"]),  # unlike a shell
        ("x '' y", ["x", "y"]),
        ("a\tb", ["a\tb"]),
        ("", []),
    ],
)
def test_commands_are_split_as_streaming_does(command: str, words: list[str]) -> None:
    assert shuffle.split_command(command) == words


@given(st.lists(st.text(alphabet="abc -$\\", min_size=1), min_size=1))
def test_quoted_words_survive(words: list[str]) -> None:
    assert shuffle.split_command(" ".join(f"'{word}'" for word in words)) == words


@given(st.lists(st.sampled_from([b"a", b"bc", b"\r", b"\n", b"\r\n", b"\t"])), st.integers(1, 5))
def test_lines_end_with_lf_crlf_or_cr(pieces: list[bytes], chunk: int) -> None:
    data = b"".join(pieces)
    stream = io.BytesIO(data)
    lines = list(shuffle.read_lines(lambda _: stream.read(chunk)))
    expected = re.split(rb"\r\n|\r|\n", data)
    assert lines == (expected[:-1] if expected[-1] == b"" else expected)


def test_a_line_without_separator_is_all_key() -> None:
    assert shuffle.split_key(b"word", b"\t", 1) == (b"word", b"")
    assert shuffle.split_key(b"a\tb\tc", b"\t", 1) == (b"a", b"b\tc")
    assert shuffle.split_key(b"a\tb\tc", b"\t", 2) == (b"a\tb", b"c")
    assert shuffle.split_key(b"a\tb", b"\t", 2) == (b"a\tb", b"")


def test_hashes_are_those_of_java() -> None:
    # Text.hashCode of "a" is 31 + 97; bytes are signed.
    assert shuffle.hash_bytes(b"a") == 128
    assert shuffle.hash_bytes(b"\xff") == 30
    assert shuffle.hash_bytes(b"hello world", 0) == 1794106052  # "hello world".hashCode()


@given(st.binary(), st.integers(1, 7))
def test_every_key_has_one_reducer(key: bytes, partitions: int) -> None:
    assert 0 <= shuffle.hash_partition(key, partitions) < partitions
    fields = shuffle.parse_key_fields("-k1,1")
    assert 0 <= shuffle.field_partition(key, partitions, fields, b"\t") < partitions


@given(st.binary(), st.binary(), st.binary(), st.integers(1, 7))
def test_partitioning_by_first_field_ignores_the_rest(first: bytes, one: bytes, other: bytes, partitions: int) -> None:
    fields = shuffle.parse_key_fields("-k1,1")
    key = first.replace(b"\t", b"")
    assert shuffle.field_partition(key + b"\t" + one, partitions, fields, b"\t") == (
        shuffle.field_partition(key + b"\t" + other, partitions, fields, b"\t")
    )


@given(st.lists(st.tuples(st.binary(max_size=3), st.binary(max_size=3))))
def test_sorting_keeps_all_records_and_orders_keys_by_bytes(records: list[tuple[bytes, bytes]]) -> None:
    ordered = shuffle.sorted_records(records, None)
    assert sorted(ordered) == sorted(records)
    assert [key for key, _ in ordered] == sorted(key for key, _ in records)


def test_numeric_and_reverse_fields() -> None:
    keys = [b"a\t9", b"b\t1", b"a\t10", b"a\t-2", b"b\tx"]
    sort_key = shuffle.field_sort_key(shuffle.parse_key_fields("-k1,1 -k2nr"), b"\t")
    ordered = [key for key, _ in shuffle.sorted_records([(key, b"") for key in keys], sort_key)]
    assert ordered == [b"a\t10", b"a\t9", b"a\t-2", b"b\t1", b"b\tx"]


def test_characters_of_fields() -> None:
    (field,) = shuffle.parse_key_fields("-k2.2,2.3")
    assert field.slice(b"x\tabcde\ty", b"\t") == b"bc"
    assert field.slice(b"x", b"\t") is None


@pytest.mark.parametrize("options", ["-k", "-k0", "-kx", "-k1,2M", "--key=1"])
def test_key_options_that_are_not_understood(options: str) -> None:
    with pytest.raises(ValueError, match="not understood"):
        shuffle.parse_key_fields(options)
