"""Reading and writing of mrjob's tasks: the same bytes, several times as fast.

A bundle's environment has a copy of this file beside the hook, which calls :func:`speed_up` as soon as mrjob.job has
been loaded. It stands alone: it imports the standard library, and nothing of the project.

For each pair, mrjob looks up properties, calls several functions, and goes through json's general doors. What is here
does the same with local names and C functions, json's above all. Nothing else changes: lines are read one by one from
the same object; a pair is encoded before the job's generator goes on, and written at once, to the same buffered object.
So what a job or its children write themselves stays where it was, and what fails fails with the same exception.

What a job has replaced by its first pair (a protocol or a part of one, a method of MRJob's, json itself) is called as
ever. An mrjob that is not, byte for byte, the one that this was made for is left alone.

The hook does not load this where ``MRJOB_PYBUNDLE_FAST_TASKS`` is ``off``: see ``mrjob_pybundle_imports``.
"""

from __future__ import annotations

import json.decoder
import json.encoder
import sys
import zlib
from itertools import groupby
from operator import itemgetter

TYPE_CHECKING = False  # typing's constant costs the import of typing, in every task
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import ModuleType
    from typing import Any

    Read = Callable[[bytes], tuple[Any, Any]]
    Write = Callable[[Any, Any], bytes]

#: Their private names are our business.
_json: Any = json
decoder: Any = json.decoder
encoder: Any = json.encoder

#: CRC-32 of mrjob 0.7.4's modules that we do as they do.
_KNOWN = {"mrjob.job": 0xAF3D8F27, "mrjob.protocol": 0x335CD324}


def speed_up(job_module: ModuleType) -> None:
    """Have jobs of the class MRJob of *job_module*, mrjob.job, read and write as this module does."""
    protocols = sys.modules["mrjob.protocol"]
    if _is_known(job_module) and _is_known(protocols) and _is_untouched(job_module, protocols):
        _install(job_module, protocols)


def _is_known(module: Any) -> bool:
    try:
        source = module.__spec__.loader.get_data(module.__file__)
    except (AttributeError, OSError):
        return False
    return zlib.crc32(source) == _KNOWN[module.__name__]


#: The methods that we have others for, and those that we do without.
_REPLACED = ("_wrap_protocols", "_combine_or_reduce_pairs", "run_mapper", "run_combiner", "run_reducer")
_DONE_WITHOUT = {
    "mrjob.job": ("MRJob._read_input",),
    "mrjob.protocol": (
        *("TextValueProtocol.read", "StandardJSONValueProtocol.read", "StandardJSONValueProtocol.write"),
        *("_KeyCachingProtocol.read", "_KeyCachingProtocol.write"),
        *("StandardJSONProtocol._loads", "StandardJSONProtocol._dumps"),
    ),
}


def _is_untouched(job_module: Any, protocols: Any) -> bool:
    """Whether nobody has replaced one of these yet, us included."""
    methods = (*(f"MRJob.{name}" for name in _REPLACED), *_DONE_WITHOUT["mrjob.job"])
    stdout = vars(job_module.MRJob)["stdout"]
    return (
        all(_is_function_of(job_module, path) for path in methods)
        and all(_is_function_of(protocols, path) for path in _DONE_WITHOUT["mrjob.protocol"])
        and type(stdout) is property
        and getattr(stdout.fget, "__globals__", None) is vars(job_module)
    )


class _Stock:
    """What mrjob has of its own: see :func:`_is_untouched`."""

    def __init__(self, job_class: Any, protocols: Any) -> None:
        self.protocols = protocols
        self.read_input = job_class._read_input
        self.combine_or_reduce_pairs = job_class._combine_or_reduce_pairs
        self.stdout = job_class.stdout
        self.read_text = protocols.TextValueProtocol.read
        self.read_json_value = protocols.StandardJSONValueProtocol.read
        self.write_json_value = protocols.StandardJSONValueProtocol.write
        self.read_json = protocols._KeyCachingProtocol.read
        self.write_json = protocols._KeyCachingProtocol.write
        self.loads = protocols.StandardJSONProtocol._loads
        self.dumps = protocols.StandardJSONProtocol._dumps


def _install(job_module: Any, protocols: Any) -> None:
    job_class = job_module.MRJob
    stock = _Stock(job_class, protocols)

    def _wrap_protocols(
        self: Any, step_num: int, step_type: str
    ) -> tuple[Callable[[], Iterator[tuple[Any, Any]]], Callable[[Any, Any], None]]:
        read, write = self.pick_protocols(step_num, step_type)
        return lambda: _pairs(self, read, stock), _writer(self, write, stock)

    def _combine_or_reduce_pairs(
        self: Any, pairs: Iterable[tuple[Any, Any]], mrc: str, step_num: int = 0
    ) -> Iterator[tuple[Any, Any]]:
        step = self._get_step(step_num, job_module.MRStep)
        if step[mrc] is None:
            yield from stock.combine_or_reduce_pairs(self, pairs, mrc, step_num)  # which has a word for that
        if step[f"{mrc}_init"]:
            for key, value in step[f"{mrc}_init"]() or ():
                yield key, value
        task = step[mrc]
        for group, members in groupby(pairs, itemgetter(0)):
            for key, value in task(group, (value for _, value in members)) or ():
                yield key, value
        if step[f"{mrc}_final"]:
            for key, value in step[f"{mrc}_final"]() or ():
                yield key, value

    ours = {
        "_wrap_protocols": _wrap_protocols,
        "_combine_or_reduce_pairs": _combine_or_reduce_pairs,
        "run_mapper": _runner("mapper", "map_pairs"),
        "run_combiner": _runner("combiner", "combine_pairs"),
        "run_reducer": _runner("reducer", "reduce_pairs"),
    }
    for name in _REPLACED:
        for what in ("__module__", "__name__", "__qualname__", "__doc__"):  # by which others find it
            setattr(ours[name], what, getattr(vars(job_class)[name], what))
        setattr(job_class, name, ours[name])


def _runner(task: str, pairs_of: str) -> Callable[..., None]:
    """The method of a job that runs a *task*, whose output the method *pairs_of* yields."""

    def run(self: Any, step_num: int = 0) -> None:
        read_lines, write_line = self._wrap_protocols(step_num, task)
        make_pairs = getattr(self, pairs_of)
        its_code, write_all = getattr(write_line, "__dict__", {}).get(_ALL, (None, None))
        # No local variable holds the generator: what fails closes it at once, before the traceback is gone.
        # functools.wraps copies what is noted at a function.
        if write_all and its_code is getattr(write_line, "__code__", None):
            write_all(lambda: make_pairs(read_lines(), step_num=step_num))
        else:
            for key, value in make_pairs(read_lines(), step_num=step_num):
                write_line(key, value)

    return run


def _is_its_own(thing: Any, name: str, its_own: Any) -> bool:
    """Whether *thing*'s method of that *name* is still *its_own*, as its class had it."""
    return getattr(type(thing), name, None) is its_own and name not in getattr(thing, "__dict__", {})


# in


def _lines(job: Any, stock: _Stock) -> Iterable[bytes]:
    is_stdin = not job.options.args and _is_its_own(job, "_read_input", stock.read_input)
    lines: Iterable[bytes] = job.stdin if is_stdin else job._read_input()
    return lines


def _pairs(job: Any, read: Read, stock: _Stock) -> Iterator[tuple[Any, Any]]:
    """What *job* reads. Nothing runs here before the first pair is wanted: by then, mapper_init and its like have.

    No variable of it holds the lines: a traceback would, and their generator is to be closed by what fails, as ever.
    """
    method = getattr(read, "__func__", None)
    protocol: Any = getattr(read, "__self__", None)
    if method is stock.read_text:
        for line in _lines(job, stock):
            line = line.rstrip(b"\r\n")
            try:
                text = line.decode()
            except UnicodeDecodeError:
                text = line.decode("latin_1")
            yield None, text
    elif method is stock.read_json_value and _json_reads_as_ever(stock):
        scan, loads = _json._default_decoder.scan_once, json.loads
        for line in _lines(job, stock):
            text = line.rstrip(b"\r\n").decode()
            try:
                value, end = scan(text, 0)
            except StopIteration:
                end = None
            yield None, value if end == len(text) else loads(text)
    elif method is stock.read_json and _is_its_own(protocol, "_loads", stock.loads) and _json_reads_as_ever(stock):
        scan, loads = _json._default_decoder.scan_once, json.loads
        last, key = protocol._last_key_encoded, protocol._last_key_decoded
        for line in _lines(job, stock):
            raw_key, raw_value = line.rstrip(b"\r\n").split(b"\t", 1)
            if raw_key != last:
                last = protocol._last_key_encoded = raw_key
                key = protocol._last_key_decoded = loads(raw_key.decode())
            text = raw_value.decode()
            try:
                value, end = scan(text, 0)
            except StopIteration:
                end = None
            # What is no value from its first character to its last is json's own to read, or to refuse.
            yield key, value if end == len(text) else loads(text)
    else:
        for line in _lines(job, stock):
            key, value = read(line.rstrip(b"\r\n"))
            yield key, value


def _json_reads_as_ever(stock: _Stock) -> bool:
    default: Any = _json._default_decoder
    scan: Any = getattr(default, "scan_once", None)
    return (
        stock.protocols.json is json
        and _is_function_of(json, "loads")
        and _json.loads.__code__ is _CODES[1]
        and set(_json.loads.__kwdefaults__.values()) == {None}
        and type(default) is decoder.JSONDecoder
        and not {"decode", "raw_decode"}.intersection(vars(default))
        and all(_is_function_of(decoder, f"JSONDecoder.{name}") for name in ("decode", "raw_decode"))
        and _is_of_c(type(scan))
        and (scan.strict, scan.object_hook, scan.object_pairs_hook) == (True, None, None)
        and (scan.parse_float, scan.parse_int) == (float, int)
        and scan.parse_constant == decoder._CONSTANTS.__getitem__
    )


# out


def _writer(job: Any, encode: Write, stock: _Stock) -> Callable[[Any, Any], None]:
    """A function that writes a pair to *job*'s stdout, as *encode* has it, the method ``write`` of a protocol."""
    method, protocol = getattr(encode, "__func__", None), getattr(encode, "__self__", None)
    # Not before the first pair: see _pairs. *put* is good as long as what it was taken from is in its place.
    put: Callable[[bytes], object] | None = None
    own: object = _NONE_YET
    standard: object = None
    texts: Mapping[type, Callable[[Any], str]] = {}
    text_of: Callable[[str], str] = str

    def write_line(key: Any, value: Any) -> None:
        out = job.stdout
        line = encode(key, value)
        if type(line) is bytes and is_plain(out):
            out.write(line + b"\n")
        else:
            out.write(line)
            job.stdout.write(b"\n")

    def is_plain(out: Any) -> bool:
        """Whether nobody can tell one write from two."""
        return type(job).stdout is stock.stdout and type(out).__module__ in ("_io", "io")

    def put_where_the_job_says(line: bytes) -> None:
        job.stdout.write(line[:-1])
        job.stdout.write(b"\n")

    def writes_as_ever() -> bool:
        return method is stock.write_json_value or _is_its_own(protocol, "_dumps", stock.dumps)

    def begin() -> Callable[[bytes], object] | None:
        nonlocal put, own, standard, texts, text_of
        if texts or (writes_as_ever() and _json_writes_as_ever(stock)):
            texts = texts or _Texts()
            text_of = texts[str]
            put = job.stdout.write if is_plain(job.stdout) else put_where_the_job_says
            own, standard = job._stdout, sys.stdout
        return put

    def write_all_json(make_pairs: Callable[[], Iterable[tuple[Any, Any]]]) -> None:
        for key, value in make_pairs():
            write = put if own is job._stdout and standard is sys.stdout else begin()
            if write is None:
                write_line(key, value)
            elif type(key) is str and type(value) is int:  # of which most jobs write most
                write(f"{text_of(key)}\t{value}\n".encode())
            else:
                write(f"{texts[type(key)](key)}\t{texts[type(value)](value)}\n".encode())

    def write_json(key: Any, value: Any) -> None:
        write_all_json(lambda: ((key, value),))

    def write_json_value(key: Any, value: Any) -> None:
        write = put if own is job._stdout and standard is sys.stdout else begin()
        if write is None:
            write_line(key, value)
        else:
            write(f"{texts[type(value)](value)}\n".encode())

    vars(write_json)[_ALL] = (write_json.__code__, write_all_json)
    if method is stock.write_json_value:
        return write_json_value
    return write_json if method is stock.write_json else write_line


#: The attribute of a function that writes one pair: its code, and the function that writes many. (Not itself: that
#: would keep a job that all others have forgotten.)
_ALL = "_mrjob_pybundle_all"

#: No job's stdout.
_NONE_YET = object()


class _Texts(dict):  # type: ignore[type-arg]
    """Type → a function that gives the JSON text of whatever is of exactly that type, as ``json.dumps`` does."""

    def __init__(self) -> None:
        super().__init__()
        self[str] = encoder.encode_basestring_ascii
        self[int] = int.__repr__
        self[bool] = {True: "true", False: "false"}.__getitem__
        self[type(None)] = {None: "null"}.__getitem__
        self[float] = self._text_of_float
        self._encode = self._new_encoder()

    def __missing__(self, kind: type) -> Callable[[Any], str]:
        return self._text

    def _text(self, value: Any) -> str:
        try:
            return "".join(self._encode(value, 0))
        except BaseException:
            self._encode = self._new_encoder()  # this one takes what it has begun for a part of itself
            raise

    def _text_of_float(self, value: float) -> str:
        return float.__repr__(value) if value - value == 0 else self._text(value)

    @staticmethod
    def _new_encoder() -> Callable[[Any, int], Iterable[str]]:
        """What ``json.dumps`` makes for each call."""
        default: Any = _json._default_encoder
        make: Any = encoder.c_make_encoder
        text = encoder.encode_basestring_ascii
        return make({}, default.default, text, None, ": ", ", ", False, False, True)  # type: ignore[no-any-return]


def _json_writes_as_ever(stock: _Stock) -> bool:
    default: Any = _json._default_encoder
    return (
        stock.protocols.json is json
        and _is_function_of(json, "dumps")
        and _json.dumps.__code__ is _CODES[0]
        and _json.dumps.__kwdefaults__ == _DEFAULTS_OF_DUMPS
        and type(default) is encoder.JSONEncoder
        and all(_is_function_of(encoder, f"JSONEncoder.{name}") for name in ("default", "encode", "iterencode"))
        and vars(default) == _AS_EVER
        and (default.key_separator, default.item_separator) == (": ", ", ")
        and _is_of_c(encoder.encode_basestring_ascii)
        and _is_of_c(encoder.c_make_encoder)
    )


# json


#: The state of json's own encoder.
_AS_EVER = {
    "skipkeys": False,
    "ensure_ascii": True,
    "check_circular": True,
    "allow_nan": True,
    "sort_keys": False,
    "indent": None,
}


def _is_function_of(module: Any, path: str) -> bool:
    """Whether what is at *path* in *module* was written there, and not put there by somebody else."""
    thing = module
    for name in path.split("."):
        thing = vars(thing).get(name)
    return type(thing) is type(_is_function_of) and thing.__globals__ is vars(module)


#: What somebody may replace of a function that stays the same object: its code, and its defaults.
_CODES = json.dumps.__code__, json.loads.__code__
_DEFAULTS_OF_DUMPS = {**_AS_EVER, "cls": None, "separators": None, "default": None}


def _is_of_c(thing: Any) -> bool:
    return type(thing) in (type, type(len)) and thing.__module__ == "_json"
