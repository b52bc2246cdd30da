"""Tasks with and without ``mrjob_pybundle_tasks``: the same bytes, the same exceptions."""

from __future__ import annotations

import enum
import functools
import importlib.util
import io
import json
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

import mrjob.job
import mrjob.protocol
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mrjob.job import MRJob
from mrjob.protocol import (
    BytesProtocol,
    BytesValueProtocol,
    JSONProtocol,
    JSONValueProtocol,
    PickleProtocol,
    PickleValueProtocol,
    RawProtocol,
    RawValueProtocol,
    ReprProtocol,
    ReprValueProtocol,
    StandardJSONProtocol,
    StandardJSONValueProtocol,
)

from mrjob_pybundle.nodes import mrjob_pybundle_tasks as tasks

ITS_OWN = {
    name: vars(MRJob)[name]
    for name in ("_wrap_protocols", "_combine_or_reduce_pairs", "run_mapper", "run_combiner", "run_reducer")
}
DUMPS, LOADS = json.dumps, json.loads

PROTOCOLS = [
    *(JSONProtocol, JSONValueProtocol, RawProtocol, RawValueProtocol, BytesProtocol, BytesValueProtocol),
    *(PickleProtocol, PickleValueProtocol, ReprProtocol, ReprValueProtocol),
]


def _replaced() -> set[str]:
    return {name for name, method in ITS_OWN.items() if vars(MRJob)[name] is not method}


@contextmanager
def fast() -> Iterator[None]:
    tasks.speed_up(mrjob.job)
    assert _replaced() == ITS_OWN.keys()
    try:
        yield
    finally:
        for name, method in ITS_OWN.items():
            setattr(MRJob, name, method)


def ran(job: Any, task: str, lines: bytes) -> tuple[bytes, str]:
    """What a task of *job* writes, and how it ends."""
    stdout = io.BytesIO()
    job.sandbox(stdin=io.BytesIO(lines), stdout=stdout)
    try:
        getattr(job, task)()
    except RecursionError:
        return stdout.getvalue(), "RecursionError"
    except Exception as error:  # noqa: BLE001 whatever it is, it must be the same
        return stdout.getvalue(), f"{error!r} {error.args} {error.__notes__ if hasattr(error, '__notes__') else ''}"
    return stdout.getvalue(), "done"


def same(job: Any, task: str = "run_mapper", lines: bytes = b"a\n") -> tuple[bytes, str]:
    """What a task writes and how it ends, with and without us."""
    with fast():
        found = ran(job, task, lines)
    wanted = ran(job, task, lines)
    assert found == wanted
    return wanted


class Colour(enum.IntEnum):
    RED = 1


class Name(str):
    def __str__(self) -> str:
        return "another"

    __repr__ = __str__


class Many(int):
    def __repr__(self) -> str:
        return "many"


class Half(float):
    def __repr__(self) -> str:
        return "half"


class Listing(list[Any]):
    def __iter__(self) -> Iterator[Any]:
        return iter(["not", "this"])


def _circular() -> list[Any]:
    circle: list[Any] = []
    circle.append(circle)
    return circle


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters()),  # surrogates, too
    st.binary(max_size=3),
    st.sampled_from([Colour.RED, Name("name"), Many(7), Half(0.5), Listing([1]), 10**400, 1e-7, object, b"", 1j]),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(
            st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.none(), st.tuples(st.integers())),
            inner,
            max_size=3,
        ),
        st.frozensets(st.integers(), max_size=2),
    ),
    max_leaves=8,
)


class Writer(MRJob):  # type: ignore[misc]
    """Writes what it is told."""

    pairs: list[tuple[Any, Any]]

    def mapper(self, _: None, line: str) -> Iterator[tuple[Any, Any]]:
        yield from self.pairs


def with_protocol(job: type, protocol: Any) -> Any:
    """A job of a class like *job* that uses *protocol* everywhere."""
    names = ("INPUT_PROTOCOL", "INTERNAL_PROTOCOL", "OUTPUT_PROTOCOL")
    return type("Job", (job,), dict.fromkeys(names, protocol))([])


WRITERS = {protocol: with_protocol(Writer, protocol) for protocol in PROTOCOLS}


@given(pairs=st.lists(st.tuples(VALUES, VALUES), max_size=4))
@example(pairs=[("key", 1), (None, _circular()), ("after", 2)])
@example(pairs=[(["a", 1], {"b": [1.5, None, True]}), (float("nan"), float("-inf"))])
@pytest.mark.parametrize("protocol", [JSONProtocol, JSONValueProtocol])
def test_whatever_is_written(protocol: Any, pairs: list[tuple[Any, Any]]) -> None:
    WRITERS[protocol].pairs = pairs
    same(WRITERS[protocol])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_other_protocols_write(protocol: Any) -> None:
    for pair in [("a", "b"), (b"a", b"b"), (None, "é"), (["a"], (1, 2)), ("\udc80", None), (1, 2)]:
        WRITERS[protocol].pairs = [pair, pair]
        same(WRITERS[protocol])


JSON = VALUES.map(lambda value: json.dumps(value, default=str, skipkeys=True)).map(str.encode)
LINES = st.one_of(
    st.tuples(JSON, JSON).map(b"\t".join),
    st.tuples(JSON, JSON).map(b" \t ".join),
    st.text().map(str.encode),
    st.binary(max_size=12),
    st.sampled_from(
        [
            *(
                b"1\t0123",
                b"-\t1",
                b"1\t-",
                b'"a"',
                b"",
                b"\t",
                b"1\t1\t",
                b"NaN\tInfinity",
                b'1\t"\\ud800"',
                b"1\t1 x",
            ),
            *(b"\xef\xbb\xbf1\t1", b'"a"\t\xef\xbb\xbf1', b"1\t1e400", b"1\t[1,]", b"1\t" + b"9" * 5000, b'1\t"\x01"'),
            *(b"1.0\t2", b"1\t3", b'"\\u0061"\t4', b'"a"\t5', b"1\t6\r", b"1\t7\r\r", b"1\t\xc3", b" 1\t 2 "),
        ]
    ),
)


class Reader(MRJob):  # type: ignore[misc]
    """Says what it reads."""

    def mapper(self, key: Any, value: Any) -> Iterator[tuple[Any, Any]]:
        yield repr(key), repr(value)

    def reducer(self, key: Any, values: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
        yield repr(key), [repr(value) for value in values]

    combiner = reducer


READERS = {protocol: with_protocol(Reader, protocol) for protocol in PROTOCOLS}


@given(lines=st.lists(LINES, max_size=6).map(b"\n".join), task=st.sampled_from(["run_mapper", "run_reducer"]))
@pytest.mark.parametrize("protocol", [JSONProtocol, JSONValueProtocol, RawValueProtocol])
def test_whatever_is_read(protocol: Any, task: str, lines: bytes) -> None:
    same(READERS[protocol], task, lines)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_other_protocols_read(protocol: Any) -> None:
    lines = b"a\tb\n\xff\t\xc3\xa9\r\nI1\\n.\tI2\\n.\n'a'\t{1: (2,)}\n\t\t\nI1\\n."
    for kept in range(7):
        for task in ("run_mapper", "run_combiner", "run_reducer"):
            same(READERS[protocol], task, b"\n".join(lines.splitlines()[kept:]))


def test_keys_are_cached_by_their_bytes_and_groups_compare_what_they_mean() -> None:
    class Job(MRJob):  # type: ignore[misc]
        def reducer_init(self) -> None:
            self.keys: list[Any] = []

        def reducer(self, key: Any, values: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
            self.keys.append(key)
            yield key, [key is self.keys[0], list(values)]

    lines = [b'["a"]\t1', b'["a"]\t2', b'["\\u0061"]\t3', b"[1]\t4", b"[1.0]\t5", b"NaN\t6", b"NaN\t7"]
    written, _ = same(Job([]), "run_reducer", b"\n".join(lines))
    assert written == b'["a"]\t[true, [1, 2, 3]]\n[1]\t[false, [4, 5]]\nNaN\t[false, [6, 7]]\n'


class Odd(MRJob):  # type: ignore[misc]
    """Does with the values of each group what it is told."""

    INTERNAL_PROTOCOL = JSONProtocol
    plan: list[list[str]]

    def reducer_init(self) -> None:
        self.todo = iter(self.plan)
        self.kept: list[Iterator[Any]] = []

    def reducer(self, key: Any, values: Any) -> Iterator[tuple[Any, Any]]:
        for what in next(self.todo, []):
            try:
                yield repr(key), [what, self.did(what, values)]
            except ValueError as error:
                yield repr(key), [what, str(error)]

    def did(self, what: str, values: Any) -> list[str]:
        if what == "keep":
            self.kept.append(values)
        elif what == "close":
            values.close()
        iterators = self.kept if what == "one of all kept" else [values]
        return [repr(list(values) if what == "all" else next(values, "no more")) for values in iterators]

    def reducer_final(self) -> Iterator[tuple[Any, Any]]:
        yield "kept", [list(values) for values in self.kept]


@given(
    plan=st.lists(
        st.lists(st.sampled_from(["one", "all", "close", "keep", "one of all kept"]), max_size=3), max_size=6
    ),
    lines=st.lists(
        st.tuples(
            st.sampled_from([b"1", b"1.0", b"true", b'"a"', b'"\\u0061"', b"NaN", b"[1]", b"[1.0]", b"-"]),
            st.sampled_from([b"1", b'"x"', b"[2]", b"-"]),
        ).map(b"\t".join),
        max_size=9,
    ),
)
@example(plan=[["one", "close", "one"], ["all"]], lines=[b"1\t1", b"1\t2", b"1\t3", b"2\t4", b"2\t5"])
@example(plan=[["keep"], ["keep", "all"], ["one of all kept"]], lines=[b"1\t1", b"1\t2", b"2\t3", b"3\t4"])
@example(plan=[["all", "one"], ["all"]], lines=[b"1\t1", b"1\t-", b"1\t2", b"2\t3"])
def test_whatever_is_done_with_values(plan: list[list[str]], lines: list[bytes]) -> None:
    job = Odd([])
    job.plan = plan
    same(job, "run_reducer", b"\n".join(lines))


# what jobs replace


class _Upper(StandardJSONProtocol):  # type: ignore[misc]
    def _dumps(self, value: Any) -> bytes:
        return super()._dumps(value).upper()  # type: ignore[no-any-return]


class _Tagged(StandardJSONProtocol):  # type: ignore[misc]
    def _loads(self, value: bytes) -> Any:
        return ["read", super()._loads(value)]


class _Whole(StandardJSONProtocol):  # type: ignore[misc]
    def read(self, line: bytes) -> Any:
        return "line", line.decode("latin_1")

    def write(self, key: Any, value: Any) -> bytes:
        return b"written " + super().write(key, value)  # type: ignore[no-any-return]


class _Text(StandardJSONValueProtocol):  # type: ignore[misc]
    def write(self, key: Any, value: Any) -> Any:
        return "text, which stdout does not take"


class _View(StandardJSONValueProtocol):  # type: ignore[misc]
    def write(self, key: Any, value: Any) -> Any:
        return memoryview(b"a view")


def _on_the_object() -> Any:
    protocol = StandardJSONProtocol()
    protocol._dumps = lambda value: b"an object's own"
    return protocol


class _Lines(Reader):
    def _read_input(self) -> Iterator[bytes]:
        for line in super()._read_input():
            yield b"1\t" + line


class _Stdin(Reader):
    @property
    def stdin(self) -> Any:
        return io.BytesIO(b"1\t2\n3\t4\n")


class _Stdout(Reader):
    @property
    def stdout(self) -> Any:
        wrapped = super().stdout

        class Shouting:
            def write(self, data: bytes) -> int:
                return wrapped.write(data.upper())  # type: ignore[no-any-return]

        return Shouting()


class _Loops(Reader):
    def run_mapper(self, step_num: int = 0) -> None:
        self.stdout.write(b"before\n")
        super().run_mapper(step_num)

    def map_pairs(self, pairs: Any, step_num: int = 0) -> Iterator[tuple[Any, Any]]:
        yield "all", list(pairs)

    def combine_pairs(self, pairs: Any, step_num: int = 0) -> Iterator[tuple[Any, Any]]:
        yield "combined", list(pairs)

    def reduce_pairs(self, pairs: Any, step_num: int = 0) -> Iterator[tuple[Any, Any]]:
        yield "reduced", [next(pairs)]
        pairs.close()
        yield "closed", list(pairs)


class _GroupsItself(Reader):
    def _combine_or_reduce_pairs(self, pairs: Any, mrc: str, step_num: int = 0) -> Iterator[tuple[Any, Any]]:
        yield mrc, list(pairs)


class _Raw(MRJob):  # type: ignore[misc]
    def mapper_init(self) -> Iterator[tuple[Any, Any]]:
        yield "first", self.options.args

    def mapper_raw(self, path: str, uri: str) -> Iterator[tuple[Any, Any]]:
        yield path, uri

    def mapper_final(self) -> Iterator[tuple[Any, Any]]:
        yield "last", None


class _Maps(Reader):
    """Calls what it replaces, and looks at what that gives."""

    def map_pairs(self, pairs: Any, step_num: int = 0) -> Iterator[tuple[Any, Any]]:
        for pair in super().map_pairs(pairs, step_num):
            yield type(pair).__name__, pair

    def reduce_pairs(self, pairs: Any, step_num: int = 0) -> Iterator[tuple[Any, Any]]:
        for pair in super().reduce_pairs(pairs, step_num):
            yield type(pair).__name__, pair


class _Picks(Reader):
    def pick_protocols(self, step_num: int, step_type: str) -> Any:
        return lambda line: (len(line), line.decode()), lambda key, value: repr((key, value)).encode()


class _Wraps(Reader):
    def _wrap_protocols(self, step_num: int, step_type: str) -> Any:
        read_lines, write_line = super()._wrap_protocols(step_num, step_type)
        return read_lines, lambda key, value: write_line([key, "wrapped"], value)


class _Counts(Reader):
    def _wrap_protocols(self, step_num: int, step_type: str) -> Any:
        read_lines, write_line = super()._wrap_protocols(step_num, step_type)

        @functools.wraps(write_line)
        def counting(key: Any, value: Any) -> None:
            self.stdout.write(b"one more\n")
            write_line(key, value)

        return read_lines, counting


class _Closes(Reader):
    """Says so when its generator is closed, which an error does before anybody has caught it."""

    def run_mapper(self, step_num: int = 0) -> None:
        try:
            super().run_mapper(step_num)
        except TypeError:
            self.stdout.write(b"caught\n")

    def mapper(self, key: Any, value: Any) -> Iterator[tuple[Any, Any]]:
        try:
            yield key, {1, 2}
        finally:
            self.stdout.write(b"closed\n")


class _ClosesInput(_Closes):
    """The same of what it reads: a line that is refused, or a task that fails."""

    def _read_input(self) -> Iterator[bytes]:
        try:
            yield from super()._read_input()
        finally:
            self.stdout.write(b"input closed\n")

    def run_mapper(self, step_num: int = 0) -> None:
        self.catching(super().run_mapper)

    def run_reducer(self, step_num: int = 0) -> None:
        self.catching(super().run_reducer)

    def catching(self, run: Any) -> None:
        try:
            run()
        except (TypeError, ValueError):
            self.stdout.write(b"caught\n")

    def reducer(self, key: Any, values: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
        yield key, sum(values)


class _DumpsLate(MRJob):  # type: ignore[misc]
    """Replaces a part of its protocol when it has been asked for it."""

    def output_protocol(self) -> Any:
        self.protocol = StandardJSONProtocol()
        return self.protocol

    def mapper_init(self) -> None:
        self.protocol._dumps = lambda value: b"its own"

    def mapper(self, key: Any, value: Any) -> Iterator[tuple[Any, Any]]:
        yield key, value


class _Throws(Reader):
    def reducer(self, key: Any, values: Any) -> Iterator[tuple[Any, Any]]:
        for _ in range(2):
            next(values, None)
        try:
            values.throw(KeyError("stop"))
        except KeyError as error:
            yield key, str(error)


class _Records(Reader):
    """Its stdout can tell how many writes there were."""

    @property
    def stdout(self) -> Any:
        plain = super().stdout

        class Recording:
            def write(self, data: bytes) -> int:
                return plain.write(b"%d: %b" % (len(data), data))  # type: ignore[no-any-return]

        return Recording()


class _Catches(Reader):
    def run_reducer(self, step_num: int = 0) -> None:
        read_lines, write_line = self._wrap_protocols(step_num, "reducer")
        circle = _circular()
        for value in (circle, {1: circle}, object(), [[1]], circle, {"a": [2]}):
            try:
                write_line("key", value)
            except (ValueError, TypeError) as error:
                write_line("error", str(error))
        for pair in self.reduce_pairs(read_lines(), step_num):
            write_line(*pair)

    def reducer(self, key: Any, values: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
        try:
            yield key, list(values)
        except ValueError as error:
            yield key, str(error)


class _WritesItself(Reader):
    def mapper(self, key: Any, value: Any) -> Iterator[tuple[Any, Any]]:
        self.stdout.write(b"mine, first\n")
        yield 1, value
        self.stdout.write(b"mine, between\n")
        yield 2, value
        self.stdout.write(b"mine, last\n")


class _Ends(Reader):
    def mapper(self, key: Any, value: Any) -> Any:
        return [next(iter([]))]


class _Triples(Reader):
    def mapper(self, key: Any, value: Any) -> Any:
        yield 1, 2
        yield 1, 2, 3


class _Lists(Reader):
    def mapper(self, key: Any, value: Any) -> Any:
        return [[key, value], [value, key]] if value == 1 else None

    def reducer(self, key: Any, values: Any) -> Any:
        return iter([[key, sum(values)]])


class _Numbers(Reader):
    """Gives what has no pairs."""

    def mapper(self, key: Any, value: Any) -> Any:
        return 7

    def reducer(self, key: Any, values: Any) -> Any:
        return [7]


def _with(protocol: Any) -> type:
    class Job(Reader):
        def internal_protocol(self) -> Any:
            return protocol()

        input_protocol = output_protocol = internal_protocol

    return Job


JOBS = [
    *(_Lines, _Stdin, _Stdout, _Loops, _Picks, _Wraps, _Catches, _WritesItself, _Ends, _Triples),
    *(_ClosesInput, _DumpsLate, _Throws),
    *(_Counts, _Closes, _Records, _GroupsItself, _Raw, _Maps, _Lists, _Numbers),
    *map(_with, (_Upper, _Tagged, _Whole, _Text, _View, _on_the_object)),
]


@pytest.mark.parametrize("task", ["run_mapper", "run_combiner", "run_reducer"])
@pytest.mark.parametrize("job", JOBS)
def test_what_a_job_replaces_is_called(job: Any, task: str) -> None:
    for lines in (b'"a"\t1\n"a"\t[2]\n"b"\t3\n', b'"a"\t1\n"a"\t-\n"b"\t3\n', b""):
        same(job([]), task, lines)


def test_a_mapper_that_reads_files_itself() -> None:
    same(_Raw(["path", "uri"]))


def test_steps_that_are_not_there() -> None:
    same(Writer([]), "run_reducer")


@pytest.mark.parametrize("task", ["run_mapper", "run_reducer"])
def test_input_that_is_named(task: str, tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(b"1\t2\n1\t3\n")
    written, _ = same(Reader([str(tmp_path / "input"), "-"]), task, b"4\t5\n")
    assert written.count(b"\n") == (3 if task == "run_mapper" else 2)


def _patched(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    if how == "dumps":
        monkeypatch.setattr(json, "dumps", lambda value: DUMPS(value, indent=1).replace("\n", ""))
    elif how == "loads":
        monkeypatch.setattr(json, "loads", lambda text: ["read", LOADS(text)])
    elif how == "default":
        monkeypatch.setattr(json.JSONEncoder, "default", lambda self, value: repr(type(value)))
    elif how == "default encoder":
        monkeypatch.setattr(json, "_default_encoder", json.JSONEncoder(sort_keys=True, default=str))
    elif how == "default decoder":
        monkeypatch.setattr(json, "_default_decoder", json.JSONDecoder(parse_float=str, strict=False))
    elif how == "a default of dumps":
        monkeypatch.setitem(vars(json)["dumps"].__kwdefaults__, "ensure_ascii", False)
    elif how == "the decoder's decode":
        monkeypatch.setattr(vars(json)["_default_decoder"], "decode", lambda text: ["read", text], raising=False)
    elif how == "separator":
        monkeypatch.setattr(json.JSONEncoder, "item_separator", ",")
    elif how == "in Python":
        monkeypatch.setattr(json.encoder, "c_make_encoder", None)
    else:
        monkeypatch.setattr(mrjob.protocol, "json", _of_decimals())


def _of_decimals() -> ModuleType:
    module = ModuleType("json")
    module.dumps = lambda value: json.dumps(value, default=str)  # type: ignore[attr-defined]
    module.loads = lambda text: json.loads(text, parse_float=str)  # type: ignore[attr-defined]
    return module


@pytest.mark.parametrize("when", ["before", "in mapper_init"])
@pytest.mark.parametrize(
    "how",
    [
        *("dumps", "loads", "default", "default encoder", "default decoder", "separator", "in Python"),
        *("another module", "a default of dumps", "the decoder's decode"),
    ],
)
def test_json_that_somebody_has_replaced(how: str, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Job(Reader):
        INPUT_PROTOCOL = JSONProtocol

        def mapper_init(self) -> None:
            if when == "in mapper_init":
                _patched(monkeypatch, how)

        def mapper(self, key: Any, value: Any) -> Iterator[tuple[Any, Any]]:
            yield key, value
            yield [key, "é"], value
            yield [key, value], {"b": 1.5, "a": {1, 2}}

    lines = b'"a"\t1.5\n'
    if when == "before":
        _patched(monkeypatch, how)
    with fast():
        found = ran(Job([]), "run_mapper", lines)
    assert found == ran(Job([]), "run_mapper", lines)


@pytest.mark.parametrize("task", ["run_mapper", "run_reducer"])
@pytest.mark.parametrize(
    "path",
    [
        *("JSONProtocol._dumps", "JSONProtocol._loads", "JSONProtocol.read", "JSONProtocol.write"),
        *("JSONValueProtocol.write", "JSONValueProtocol.read", "RawValueProtocol.read"),
    ],
)
def test_protocols_that_somebody_has_patched(path: str, task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In mrjob's own classes, as a library may that the job imports, after mrjob."""
    name, method = path.split(".")
    protocol = getattr(mrjob.protocol, name)

    class Job(Reader):
        INPUT_PROTOCOL = INTERNAL_PROTOCOL = protocol
        OUTPUT_PROTOCOL = JSONProtocol if name == "RawValueProtocol" else protocol  # that takes text alone

    lines = b'"a"\t1\n"b"\t[2]\n' if name == "JSONProtocol" else b"[1]\n[2]\n"
    before, _ = ran(Job([]), task, lines)
    its_own = getattr(protocol, method)

    def patched(self: Any, *args: Any) -> Any:
        result = its_own(self, *args)
        if isinstance(result, bytes):
            return result + b" patched"
        return (result[0], "patched") if method == "read" else "patched"

    with fast():
        monkeypatch.setattr(protocol, method, patched)
        found = ran(Job([]), task, lines)
    wanted = ran(Job([]), task, lines)
    assert found == wanted
    assert before != wanted[0]


@pytest.mark.parametrize(
    "path",
    [
        *("job.MRJob.run_mapper", "job.MRJob._read_input", "job.MRJob._combine_or_reduce_pairs"),
        *("protocol.StandardJSONProtocol._dumps", "protocol._KeyCachingProtocol.write"),
    ],
)
def test_what_was_patched_before_us_stays(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a library that was imported before mrjob.job, or beside it."""
    module, name, method = path.split(".")
    patched = getattr(getattr(mrjob, module), name)
    its_own = getattr(patched, method)
    monkeypatch.setattr(patched, method, lambda *args, **kwargs: its_own(*args, **kwargs))
    tasks.speed_up(mrjob.job)
    assert _replaced() <= {method}


def test_a_job_is_gone_when_nobody_has_it() -> None:
    with fast():
        job = type(READERS[JSONProtocol])([])
        ran(job, "run_mapper", b"1\t2\n")
        gone = weakref.ref(job)
        del job
        assert gone() is None, "and all that it has open is closed"


def test_methods_go_by_their_names() -> None:
    with fast():
        for name, its_own in ITS_OWN.items():
            method = vars(MRJob)[name]
            assert (method.__qualname__, method.__module__) == (f"MRJob.{name}", "mrjob.job")
            assert method.__doc__ == its_own.__doc__
        replaced = vars(MRJob)["run_mapper"]
        tasks.speed_up(mrjob.job)
        assert vars(MRJob)["run_mapper"] is replaced, "not twice"


class _Moves(MRJob):  # type: ignore[misc]
    """Writes to another place from its second pair on."""

    INPUT_PROTOCOL = mrjob.protocol.RawValueProtocol
    other = io.BytesIO()

    def mapper(self, _: None, value: str) -> Iterator[tuple[Any, Any]]:
        yield 1, value
        self.move()
        yield 2, value

    def move(self) -> None:
        self._stdout: Any = self.other


class _MovesSys(_Moves):
    def move(self) -> None:
        self._stdout = None
        sys.stdout = io.TextIOWrapper(self.other, write_through=True)


class _MovesProperty(_Moves):
    moved = False

    @property
    def stdout(self) -> Any:
        return self.other if self.moved else super().stdout

    def move(self) -> None:
        self.moved = True


@pytest.mark.parametrize("job", [_Moves, _MovesSys, _MovesProperty])
def test_output_that_a_job_has_elsewhere(job: type[_Moves], monkeypatch: pytest.MonkeyPatch) -> None:
    for with_us in (fast(), nullcontext()):
        monkeypatch.setattr(sys, "stdout", sys.stdout)
        monkeypatch.setattr(_Moves, "other", io.BytesIO())
        with with_us:
            written, _ = ran(job([]), "run_mapper", b"a\n")
        assert (written, _Moves.other.getvalue()) == (b'1\t"a"\n', b'2\t"a"\n')


@pytest.mark.parametrize("name", ["job", "protocol"])
def test_an_mrjob_that_is_another_is_left_alone(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = sys.modules[f"mrjob.{name}"]
    (tmp_path / "changed.py").write_bytes(Path(str(module.__file__)).read_bytes() + b"\n")
    spec = importlib.util.spec_from_file_location(f"mrjob.{name}", tmp_path / "changed.py")
    monkeypatch.setattr(module, "__spec__", spec)
    monkeypatch.setattr(module, "__file__", str(tmp_path / "changed.py"))
    tasks.speed_up(mrjob.job)
    assert _replaced() == set()
