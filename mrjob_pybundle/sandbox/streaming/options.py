"""What a ``hadoop-streaming`` command line asks for.

Everything that changes what a job does is either understood or refused by name: a job that this engine
would run differently from Hadoop must not look as if it worked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from mrjob_pybundle.sandbox.streaming.shuffle import KeyField, parse_key_fields


class StreamingOptionError(Exception):
    """The command line is wrong, or asks for something that this engine doesn't have."""


# Names of Hadoop 1, which Hadoop 2 and 3 still take.
_OLD_NAMES = {
    "mapred.reduce.tasks": "mapreduce.job.reduces",
    "mapred.map.tasks": "mapreduce.job.maps",
    "mapred.job.name": "mapreduce.job.name",
    "mapred.text.key.partitioner.options": "mapreduce.partition.keypartitioner.options",
    "mapred.text.key.comparator.options": "mapreduce.partition.keycomparator.options",
    "map.output.key.field.separator": "mapreduce.map.output.key.field.separator",
    "mapred.output.key.comparator.class": "mapreduce.job.output.key.comparator.class",
    "mapred.partitioner.class": "mapreduce.job.partitioner.class",
    "mapred.output.compress": "mapreduce.output.fileoutputformat.compress",
    "mapred.output.compression.codec": "mapreduce.output.fileoutputformat.compress.codec",
    "mapred.textoutputformat.separator": "mapreduce.output.textoutputformat.separator",
    "mapred.line.input.format.linespermap": "mapreduce.input.lineinputformat.linespermap",
    "mapred.map.max.attempts": "mapreduce.map.maxattempts",
    "mapred.reduce.max.attempts": "mapreduce.reduce.maxattempts",
    "mapred.job.map.memory.mb": "mapreduce.map.memory.mb",
    "mapred.job.reduce.memory.mb": "mapreduce.reduce.memory.mb",
    "mapred.task.timeout": "mapreduce.task.timeout",
    "mapred.input.dir.recursive": "mapreduce.input.fileinputformat.input.dir.recursive",
    "mapreduce.job.inputformat.class": "mapred.input.format.class",
    "mapred.min.split.size": "mapreduce.input.fileinputformat.split.minsize",
    "mapred.max.split.size": "mapreduce.input.fileinputformat.split.maxsize",
}

# How fast, under what name: nothing that shows in the output on one machine.
_HARMLESS = re.compile(
    r"""mapreduce\.job\.(name|queuename|priority|maps|running\.(map|reduce)\.limit|jvm\.numtasks|tags
            |reduce\.slowstart\.completedmaps|ubertask\..*|acl-.*|counters\..*)
        |mapreduce\.jobhistory\..*
        |mapreduce\.(map|reduce)\.(java\.opts|cpu\.vcores|speculative|log\.level)
        |mapreduce\.(map\.(output\.compress(\.codec)?|sort\.spill\.percent))
        |mapreduce\.reduce\.(shuffle\..*|merge\..*|input\.buffer\.percent)
        |mapreduce\.task\.(io\.sort\.(mb|factor)|profile.*)
        |mapreduce\.client\..*|mapreduce\.output\.fileoutputformat\.compress\.type
        |mapreduce\.input\.fileinputformat\.(split\.(minsize|maxsize)|list-status\.num-threads)
        |mapreduce\.fileoutputcommitter\..*|mapreduce\.framework\.name
        |mapred\.(child\.java\.opts|map\.tasks\.speculative\.execution|reduce\.tasks\.speculative\.execution
            |compress\.map\.output|map\.output\.compression\.codec|job\.queue\.name
            |tasktracker\..*)
        |io\.(sort\.(mb|factor)|file\.buffer\.size)|dfs\..*|fs\.s3.*|yarn\..*|hadoop\.(tmp\.dir|log.*)
        |stream\.joindelay\.milli|user\.name""",
    re.VERBOSE,
)

_CODECS = {
    "org.apache.hadoop.io.compress.GzipCodec": ".gz",
    "org.apache.hadoop.io.compress.BZip2Codec": ".bz2",
    "org.apache.hadoop.io.compress.DefaultCodec": ".deflate",
}
_TEXT = ("TextInputFormat", "org.apache.hadoop.mapred.TextInputFormat")
_N_LINE = ("org.apache.hadoop.mapred.lib.NLineInputFormat",)
_HASH = ("org.apache.hadoop.mapred.lib.HashPartitioner",)
_FIELDS = ("org.apache.hadoop.mapred.lib.KeyFieldBasedPartitioner",)
_FIELD_COMPARATORS = (
    "org.apache.hadoop.mapreduce.lib.partition.KeyFieldBasedComparator",
    "org.apache.hadoop.mapred.lib.KeyFieldBasedComparator",
)
_JAVA_CLASS = re.compile(r"(?:[a-z_][a-z0-9_]*\.)+[A-Z][A-Za-z0-9_$]*")


@dataclass(frozen=True)
class StreamingJob:
    """One streaming job, ready to run. Commands are whole command lines, None for Hadoop's identity."""

    inputs: tuple[str, ...]
    output: str
    mapper: str | None
    combiner: str | None
    reducer: str | None
    reduces: int
    files: tuple[tuple[str, str], ...] = ()
    archives: tuple[tuple[str, str], ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    conf: dict[str, str] = field(default_factory=dict)
    lines_per_map: int = 0
    """Lines of input per map task, with NLineInputFormat; 0: by size."""
    ignore_input_key: bool = True
    recursive: bool = False
    map_attempts: int = 4
    reduce_attempts: int = 4
    timeout_seconds: float = 600
    """A task that neither reads nor writes for so long is ended; 0: never."""
    map_memory_bytes: int = 0
    """A map task that has more memory is ended; 0: never."""
    reduce_memory_bytes: int = 0
    nonzero_exit_is_failure: bool = True
    map_output_separator: bytes = b"\t"
    map_output_key_fields: int = 1
    map_input_separator: bytes = b"\t"
    reduce_input_separator: bytes = b"\t"
    reduce_output_separator: bytes = b"\t"
    reduce_output_key_fields: int = 1
    text_output_separator: bytes = b"\t"
    key_separator: bytes = b"\t"
    """Separates the fields of a key, for partitioning and comparing by field."""
    partition_fields: tuple[KeyField, ...] | None = None
    """None: HashPartitioner."""
    sort_fields: tuple[KeyField, ...] | None = None
    """None: by the key's bytes."""
    output_suffix: str = ""
    marks_success: bool = True
    """By an empty file ``_SUCCESS`` in the output."""


def parse(args: Sequence[str]) -> StreamingJob:
    """Understand the arguments that follow ``hadoop-streaming``.

    :raises StreamingOptionError: with a message that names the option.
    """
    generic, rest = _generic_options(list(args))
    options = _streaming_options(rest)
    conf = {_OLD_NAMES.get(name, name): value for name, value in generic["-D"]}
    for name, value in (_assignment("-jobconf", text) for text in options.get("-jobconf", [])):
        conf[_OLD_NAMES.get(name, name)] = value

    for required in ("-input", "-output"):
        if not options.get(required):
            raise StreamingOptionError(f"Required argument: {required} <name>")
    reducer = _command(options, "-reducer")
    settings = _Settings(conf)
    reduces = settings.integer("mapreduce.job.reduces", 1)
    if "-numReduceTasks" in options:
        reduces = _integer("-numReduceTasks", options["-numReduceTasks"][-1])
    if reducer == "NONE":
        reduces = 0
    partitioner = options.get("-partitioner", [settings.text("mapreduce.job.partitioner.class", _HASH[0])])[-1]
    input_format = options.get("-inputformat", [settings.text("mapred.input.format.class", _TEXT[0])])[-1]

    job = StreamingJob(
        inputs=tuple(path for text in options["-input"] for path in _split_paths(text)),
        output=options["-output"][-1],
        mapper=_command(options, "-mapper"),
        combiner=_command(options, "-combiner"),
        reducer=reducer if reduces else None,
        reduces=reduces,
        files=tuple(_cached(generic["-files"])),
        archives=tuple(_cached(generic["-archives"])),
        environment=tuple(_command_environment(options.get("-cmdenv", []))),
        conf=conf,
        lines_per_map=_lines_per_map(input_format, settings),
        ignore_input_key=settings.boolean("stream.map.input.ignoreKey", input_format in _TEXT),
        recursive=settings.boolean("mapreduce.input.fileinputformat.input.dir.recursive", False),
        map_attempts=settings.integer("mapreduce.map.maxattempts", 4),
        reduce_attempts=settings.integer("mapreduce.reduce.maxattempts", 4),
        timeout_seconds=settings.integer("mapreduce.task.timeout", 600_000) / 1000,
        map_memory_bytes=settings.megabytes("mapreduce.map.memory.mb"),
        reduce_memory_bytes=settings.megabytes("mapreduce.reduce.memory.mb"),
        nonzero_exit_is_failure=settings.boolean("stream.non.zero.exit.is.failure", True),
        map_input_separator=settings.separator("stream.map.input.field.separator"),
        map_output_separator=settings.separator("stream.map.output.field.separator"),
        map_output_key_fields=settings.integer("stream.num.map.output.key.fields", 1),
        reduce_input_separator=settings.separator("stream.reduce.input.field.separator"),
        reduce_output_separator=settings.separator("stream.reduce.output.field.separator"),
        reduce_output_key_fields=settings.integer("stream.num.reduce.output.key.fields", 1),
        text_output_separator=settings.separator("mapreduce.output.textoutputformat.separator"),
        key_separator=settings.separator("mapreduce.map.output.key.field.separator"),
        partition_fields=_partition_fields(partitioner, settings),
        sort_fields=_sort_fields(settings),
        output_suffix=_output_suffix(settings),
        marks_success=settings.boolean("mapreduce.fileoutputcommitter.marksuccessfuljobs", True),
    )
    settings.refuse_the_rest()
    return job


def _generic_options(args: list[str]) -> tuple[dict[str, list[tuple[str, str]]], list[str]]:
    """Hadoop's generic options, which come first, and the rest."""
    found: dict[str, list[tuple[str, str]]] = {"-D": [], "-files": [], "-archives": []}
    while args:
        name = args[0]
        if name.startswith("-D") and name != "-D":
            found["-D"].append(_assignment("-D", name[2:]))
            args = args[1:]
        elif name in found:
            if len(args) < 2:
                raise StreamingOptionError(f"Missing argument for option: {name}")
            if name == "-D":
                found["-D"].append(_assignment("-D", args[1]))
            else:
                found[name] += [(uri, "") for uri in args[1].split(",")]
            args = args[2:]
        elif name in ("-libjars", "-conf", "-fs", "-jt", "-tokenCacheFile"):
            raise StreamingOptionError(f"the sandbox's streaming engine has no {name}: it runs no Java")
        else:
            break
    return found, args


_ONE_ARGUMENT = (
    *("-output", "-mapper", "-combiner", "-reducer", "-inputformat", "-partitioner", "-numReduceTasks"),
    *("-jobconf", "-cmdenv"),
)


def _streaming_options(args: list[str]) -> dict[str, list[str]]:
    options: dict[str, list[str]] = {}
    position = 0
    while position < len(args):
        name = args[position]
        if name == "-verbose":
            position += 1
            continue
        if name in ("-D", "-files", "-archives"):
            raise StreamingOptionError(f"Unrecognized option: {name} (generic options come before streaming's own)")
        if name not in (*_ONE_ARGUMENT, "-input"):
            raise StreamingOptionError(f"the sandbox's streaming engine doesn't understand {name}")
        if position + 1 >= len(args):
            raise StreamingOptionError(f"Missing argument for option: {name}")
        position += 1
        options.setdefault(name, []).append(args[position])
        position += 1
        while name == "-input" and position < len(args) and not args[position].startswith("-"):
            options[name].append(args[position])
            position += 1
    return options


def _command(options: dict[str, list[str]], name: str) -> str | None:
    """The command of *name*.

    :raises StreamingOptionError: it is Java's.
    """
    if name not in options:
        return None
    command = options[name][-1]
    if command.lower() == "aggregate" or _JAVA_CLASS.fullmatch(command):
        raise StreamingOptionError(f"{name} {command}: the sandbox's streaming engine runs commands, not Java classes")
    return command


def _assignment(option: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise StreamingOptionError(f"{option} {text}: not of the form NAME=VALUE")
    return name, value


def _integer(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise StreamingOptionError(f"{name}: not a number: {text}") from None


def _split_paths(text: str) -> list[str]:
    """Hadoop takes commas, outside of braces, as separators between input paths."""
    paths, depth = [""], 0
    for char in text:
        depth += {"{": 1, "}": -1}.get(char, 0)
        if char == "," and depth == 0:
            paths.append("")
        else:
            paths[-1] += char
    return paths


def _cached(uris: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """(URI, name in the task's working directory) of ``-files`` and ``-archives``."""
    cached = []
    for text, _ in uris:
        uri, _, name = text.partition("#")
        cached.append((uri, name or uri.rstrip("/").rpartition("/")[2]))
    return cached


def _command_environment(values: list[str]) -> list[tuple[str, str]]:
    """``-cmdenv`` settings. Streaming joins and splits them with blanks: a value ends at its first blank."""
    words = " ".join(values).split(" ")
    return [(word.partition("=")[0], word.partition("=")[2]) for word in words if "=" in word]


class _Settings:
    """The jobconf, which remembers what has been asked for."""

    def __init__(self, conf: dict[str, str]) -> None:
        self._conf = conf
        self._understood: set[str] = set()

    def text(self, name: str, default: str) -> str:
        self._understood.add(name)
        return self._conf.get(name, default)

    def integer(self, name: str, default: int) -> int:
        return _integer(f"-D {name}", self.text(name, str(default)))

    def megabytes(self, name: str) -> int:
        """In bytes. Hadoop's default of -1, and 0, say nothing: 0."""
        return max(0, self.integer(name, -1)) << 20

    def boolean(self, name: str, default: bool) -> bool:
        value = self.text(name, str(default)).strip().lower()
        if value not in ("true", "false"):
            raise StreamingOptionError(f"-D {name}: neither true nor false: {value}")
        return value == "true"

    def separator(self, name: str) -> bytes:
        return self.text(name, "\t").encode()

    def refuse_the_rest(self) -> None:
        for name, value in self._conf.items():
            if name not in self._understood and not _HARMLESS.fullmatch(name):
                raise StreamingOptionError(f"the sandbox's streaming engine doesn't understand -D {name}={value}")


def _lines_per_map(input_format: str, settings: _Settings) -> int:
    lines = settings.integer("mapreduce.input.lineinputformat.linespermap", 1)
    if input_format in _TEXT:
        return 0
    if input_format in _N_LINE:
        return lines
    raise StreamingOptionError(f"the sandbox's streaming engine has no -inputformat {input_format}")


def _partition_fields(partitioner: str, settings: _Settings) -> tuple[KeyField, ...] | None:
    options = settings.text("mapreduce.partition.keypartitioner.options", "")
    if partitioner in _HASH:
        return None
    if partitioner not in _FIELDS:
        raise StreamingOptionError(f"the sandbox's streaming engine has no -partitioner {partitioner}")
    return _key_fields("mapreduce.partition.keypartitioner.options", options)


def _sort_fields(settings: _Settings) -> tuple[KeyField, ...] | None:
    comparator = settings.text("mapreduce.job.output.key.comparator.class", "")
    options = settings.text("mapreduce.partition.keycomparator.options", "")
    if not comparator:
        return None
    if comparator not in _FIELD_COMPARATORS:
        raise StreamingOptionError(
            "the sandbox's streaming engine doesn't understand"
            f" -D mapreduce.job.output.key.comparator.class={comparator}"
        )
    return _key_fields("mapreduce.partition.keycomparator.options", options) or None


def _key_fields(name: str, options: str) -> tuple[KeyField, ...]:
    try:
        return tuple(parse_key_fields(options))
    except ValueError as error:
        raise StreamingOptionError(f"-D {name}: {error}") from None


def _output_suffix(settings: _Settings) -> str:
    compress = settings.boolean("mapreduce.output.fileoutputformat.compress", False)
    codec = settings.text(
        "mapreduce.output.fileoutputformat.compress.codec", "org.apache.hadoop.io.compress.DefaultCodec"
    )
    if not compress:
        return ""
    if codec not in _CODECS:
        raise StreamingOptionError(f"the sandbox's streaming engine has no compression codec {codec}")
    return _CODECS[codec]
