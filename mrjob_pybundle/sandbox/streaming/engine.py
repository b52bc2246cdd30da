"""Hadoop Streaming on the nodes of a cluster: splits, map, combine, partition, sort, reduce."""

from __future__ import annotations

import bz2
import gzip
import heapq
import io
import itertools
import os
import shutil
import subprocess
import threading
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from mrjob_pybundle.sandbox.machines.logs import JobHistory, LogFile, counters_message
from mrjob_pybundle.sandbox.machines.nodes import Node, NodeError, kill
from mrjob_pybundle.sandbox.machines.storage import FileSystems, StorageError, StoredFile, Uri
from mrjob_pybundle.sandbox.streaming import shuffle
from mrjob_pybundle.sandbox.streaming.limits import MemoryLimit, Patience
from mrjob_pybundle.sandbox.streaming.options import StreamingJob, StreamingOptionError
from mrjob_pybundle.sandbox.streaming.shuffle import Record

_SPLIT_BYTES = 32 << 20
_FRAMEWORK = "Map-Reduce Framework"
_JOB_COUNTERS = "Job Counters "
_JOB = "org.apache.hadoop.mapreduce.Job"
_COMPRESSED: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open}
# What Hadoop would know by its name, too.
_OTHER_CODECS = (".snappy", ".zst", ".lz4")


class JobError(Exception):
    """A task failed for good, or the job could not begin."""


@dataclass(frozen=True)
class Split:
    """Bytes *start* to *end* of *file*: whole lines."""

    file: StoredFile
    start: int
    end: int


@dataclass
class Place:
    """Where a job runs: its IDs, its nodes, their storage, and directories for its logs."""

    application_id: str
    nodes: list[Node]
    storage: FileSystems
    scratch: Path
    container_logs: Path
    history_logs: Path
    containers: int = 1
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def job_id(self) -> str:
        return self.application_id.replace("application", "job")

    def next_container(self) -> str:
        with self.lock:
            self.containers += 1
            return f"{self.application_id.replace('application', 'container')}_01_{self.containers:06d}"


def run(job: StreamingJob, place: Place, syslog: LogFile, stderr: LogFile) -> None:
    """Run *job* to its end, with its client's log in *syslog* and what it says of failures in *stderr*.

    :raises JobError: with the reason that belongs on the step's stderr.
    """
    try:
        splits = _prepare(job, place, syslog)
        _Run(job, place, syslog, stderr).run(splits)
    except (StorageError, StreamingOptionError) as error:
        syslog.client("org.apache.hadoop.streaming.StreamJob", f"Error Launching job : {error}", "ERROR")
        raise JobError(f"Error Launching job : {error}\nStreaming Command Failed!") from None


def _prepare(job: StreamingJob, place: Place, syslog: LogFile) -> list[Split]:
    if place.storage.exists(Uri.parse(job.output)):
        raise StorageError(f"Output directory {job.output} already exists")
    files = [file for text in job.inputs for file in place.storage.inputs(text, job.recursive)]
    for file in files:
        if file.uri.name.endswith(_OTHER_CODECS):
            raise StorageError(f"the sandbox's streaming engine cannot decompress {file.uri}")
    syslog.client("org.apache.hadoop.mapred.FileInputFormat", f"Total input files to process : {len(files)}")
    maps = int(job.conf.get("mapreduce.job.maps", 1))
    wanted = max(1, min(_SPLIT_BYTES, -(-sum(file.size for file in files) // max(1, maps))))
    splits = [split for file in files for split in _splits(job, place.storage, file, wanted)]
    syslog.client("org.apache.hadoop.mapreduce.JobSubmitter", f"number of splits:{len(splits)}")
    return splits


def _splits(job: StreamingJob, storage: FileSystems, file: StoredFile, size: int) -> Iterator[Split]:
    if job.lines_per_map:
        yield from _line_splits(storage, file, job.lines_per_map)
        return
    if file.uri.name.endswith((*_COMPRESSED, ".deflate")):
        yield Split(file, 0, file.size)  # nobody can begin in the middle
        return
    start = 0
    while start < file.size or start == file.size == 0:
        end = _line_end(storage, file, start + size)
        yield Split(file, start, end)
        if end >= file.size:
            return
        start = end


def _line_end(storage: FileSystems, file: StoredFile, position: int) -> int:
    """The first beginning of a line at or after *position*."""
    if position >= file.size:
        return file.size
    position -= 1
    with storage.of(file.uri).open(file.uri, position) as stream:
        while chunk := stream.read(1 << 16):
            newline = chunk.find(b"\n")
            if newline >= 0:
                return position + newline + 1
            position += len(chunk)
    return file.size


def _line_splits(storage: FileSystems, file: StoredFile, lines: int) -> Iterator[Split]:
    with storage.of(file.uri).open(file.uri) as stream:
        content = stream.read()
    ends, position = [], 0
    while position < len(content):
        newline = content.find(b"\n", position)
        position = len(content) if newline < 0 else newline + 1
        ends.append(position)
    boundaries = [0, *ends[lines - 1 :: lines]]
    if ends and boundaries[-1] != ends[-1]:
        boundaries.append(ends[-1])
    yield from (Split(file, start, end) for start, end in itertools.pairwise(boundaries))


class _TaskError(Exception):
    pass


class _Run:
    """One run of a job."""

    def __init__(self, job: StreamingJob, place: Place, syslog: LogFile, stderr: LogFile) -> None:
        self.stderr = stderr
        self.job = job
        self.place = place
        self.syslog = syslog
        self.output = Uri.parse(job.output)
        self.counters: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._counters_lock = threading.Lock()
        self._history = JobHistory(place.history_logs, place.job_id)
        sort_fields = job.sort_fields
        self._sort_key = shuffle.field_sort_key(list(sort_fields), job.key_separator) if sort_fields else None

    def run(self, splits: list[Split]) -> None:
        place, job = self.place, self.job
        self.syslog.client(
            "org.apache.hadoop.yarn.client.api.impl.YarnClientImpl",
            f"Submitted application {place.application_id}",
        )
        self.syslog.client(_JOB, f"Running job: {place.job_id}")
        place.scratch.mkdir(parents=True, exist_ok=True)
        try:
            staged = _stage(job, place)
            self._localized = {id(node): _localize(job, place, node, staged) for node in place.nodes}
            self._all(self._map, list(enumerate(splits)))
            self.syslog.client(_JOB, " map 100% reduce 0%")
            self._all(self._reduce, [(number, len(splits)) for number in range(job.reduces)])
            self.syslog.client(_JOB, " map 100% reduce 100%")
        except _TaskError as failure:
            self.syslog.client(_JOB, f"Job {place.job_id} failed with state FAILED due to: Task failed {failure}")
            self._log_counters()
            self.syslog.client("org.apache.hadoop.streaming.StreamJob", "Job not successful!", "ERROR")
            raise JobError("Streaming Command Failed!") from None
        finally:
            shutil.rmtree(place.scratch, ignore_errors=True)
        if job.marks_success:
            place.storage.of(self.output).put(self.output / "_SUCCESS", Path(os.devnull))
        self.syslog.client(_JOB, f"Job {place.job_id} completed successfully")
        self._log_counters()
        self._history.job_finished(place.job_id, self.counters)
        self.syslog.client("org.apache.hadoop.streaming.StreamJob", f"Output directory: {job.output}")

    def _all(self, task: Callable[[Any], None], arguments: list[Any]) -> None:
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
            futures = [pool.submit(task, argument) for argument in arguments]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                for future in futures:
                    future.cancel()
                raise

    def count(self, group: str, name: str, amount: int = 1) -> None:
        with self._counters_lock:
            self.counters[group][name] += amount

    def _log_counters(self) -> None:
        self.syslog.client(_JOB, counters_message(self.counters))

    # Map

    def _map(self, numbered: tuple[int, Split]) -> None:
        number, split = numbered
        self._attempts("m", number, self.job.map_attempts, lambda task: self._map_attempt(task, split))

    def _map_attempt(self, task: _Task, split: Split) -> None:
        job = self.job
        task.syslog.task(
            "org.apache.hadoop.mapred.MapTask",
            f"Processing split: {split.file.uri}:{split.start}+{split.end - split.start}",
        )
        task.environment.update(
            {
                "mapreduce_map_input_file": str(split.file.uri),
                "map_input_file": str(split.file.uri),
                "mapreduce_map_input_start": str(split.start),
                "map_input_start": str(split.start),
                "mapreduce_map_input_length": str(split.end - split.start),
                "map_input_length": str(split.end - split.start),
            }
        )
        lines = task.pipe(job.mapper, self._map_input(task, split)) if job.mapper else None
        if lines is None:
            records: Iterator[Record] = self._identity_map(task, split)
        else:
            records = (shuffle.split_key(line, job.map_output_separator, job.map_output_key_fields) for line in lines)
        if not job.reduces:
            self._write_part(task, f"part-{task.number:05d}", records)
            return
        partitions: list[list[Record]] = [[] for _ in range(job.reduces)]
        for key, value in records:
            task.count(_FRAMEWORK, "Map output records")
            partitions[self._partition(key)].append((key, value))
        for reduce_number, partition in enumerate(partitions):
            ordered: Iterable[Record] = shuffle.sorted_records(partition, self._sort_key)
            if job.combiner and partition:
                ordered = self._combine(task, job.combiner, ordered)
            _write_records(self._spill(task.number, reduce_number), ordered)

    def _map_input(self, task: _Task, split: Split) -> Iterator[bytes]:
        for offset, line in self._input_lines(split):
            task.count(_FRAMEWORK, "Map input records")
            if self.job.ignore_input_key:
                yield line + b"\n"
            else:
                yield str(offset).encode() + self.job.map_input_separator + line + b"\n"

    def _identity_map(self, task: _Task, split: Split) -> Iterator[Record]:
        for offset, line in self._input_lines(split):
            task.count(_FRAMEWORK, "Map input records")
            yield str(offset).encode(), line

    def _input_lines(self, split: Split) -> Iterator[tuple[int, bytes]]:
        uri = split.file.uri
        suffix = Path(uri.name).suffix
        opener = _inflated if suffix == ".deflate" else _COMPRESSED.get(suffix)
        if split.start == split.end:
            return
        storage = self.place.storage.of(uri)
        with storage.open(uri, split.start, None if opener else split.end) as stream:
            content: IO[bytes] = opener(stream) if opener else stream
            offset = split.start
            for line in shuffle.read_lines(content.read):
                yield offset, line
                offset += len(line) + 1

    def _partition(self, key: bytes) -> int:
        job = self.job
        if job.reduces == 1:
            return 0
        if job.partition_fields is None:
            return shuffle.hash_partition(key, job.reduces)
        return shuffle.field_partition(key, job.reduces, list(job.partition_fields), job.key_separator)

    def _combine(self, task: _Task, command: str, records: Iterable[Record]) -> Iterator[Record]:
        # Streaming's combiner is a reducer in everything, also in how its output is split.
        for line in task.pipe(command, self._reduce_input(task, records, "Combine input records")):
            task.count(_FRAMEWORK, "Combine output records")
            yield shuffle.split_key(line, self.job.reduce_output_separator, self.job.reduce_output_key_fields)

    def _spill(self, map_number: int, reduce_number: int) -> Path:
        return self.place.scratch / f"map-{map_number}-{reduce_number}"

    # Reduce

    def _reduce(self, numbered: tuple[int, int]) -> None:
        number, maps = numbered
        self._attempts("r", number, self.job.reduce_attempts, lambda task: self._reduce_attempt(task, maps))

    def _reduce_attempt(self, task: _Task, maps: int) -> None:
        job = self.job
        runs = [_read_records(self._spill(map_number, task.number)) for map_number in range(maps)]
        sort_key = self._sort_key
        records = heapq.merge(*runs, key=(lambda r: sort_key(r[0])) if sort_key else (lambda r: r[0]))
        output: Iterator[Record] = records
        if job.reducer:
            has_input = any(self._spill(map_number, task.number).stat().st_size for map_number in range(maps))
            reduce_input = self._reduce_input(task, records, "Reduce input records")
            lines = task.pipe(job.reducer, reduce_input)
            output = (
                shuffle.split_key(line, job.reduce_output_separator, job.reduce_output_key_fields) for line in lines
            )
            if not has_input:  # Streaming runs the command, but drops what it writes.
                output = iter(list(output)[:0])
        self._write_part(task, f"part-{task.number:05d}", output)

    def _reduce_input(self, task: _Task, records: Iterable[Record], counter: str) -> Iterator[bytes]:
        for key, value in records:
            task.count(_FRAMEWORK, counter)
            yield key + self.job.reduce_input_separator + value + b"\n"

    def _write_part(self, task: _Task, name: str, records: Iterable[Record]) -> None:
        path = self.place.scratch / f"{name}-{task.attempt}"
        counter = "Reduce output records" if self.job.reduces else "Map output records"
        with _open_output(path, self.job.output_suffix) as file:
            for key, value in records:
                task.count(_FRAMEWORK, counter)
                file.write(key + self.job.text_output_separator + value + b"\n")
        self.place.storage.of(self.output).put(self.output / f"{name}{self.job.output_suffix}", path)
        path.unlink()

    # Tasks

    def _attempts(self, kind: str, number: int, allowed: int, attempt: Callable[[_Task], None]) -> None:
        """Run a task until an attempt works, *allowed* times at most."""
        node = self.place.nodes[number % len(self.place.nodes)]
        name = "map" if kind == "m" else "reduce"
        for attempt_number in range(allowed):
            task = _Task(self, node, kind, number, attempt_number)
            self.count(_JOB_COUNTERS, f"Launched {name} tasks")
            self._history.attempt_started(name.upper(), task.attempt_id, task.container_id)
            try:
                attempt(task)
            except _AttemptError as failure:
                task.fail(str(failure))
                self._history.attempt_failed(name.upper(), task.task_id, task.attempt_id, str(failure))
                self.count(_JOB_COUNTERS, f"Failed {name} tasks")
                if attempt_number < allowed - 1:  # of the last one, Hadoop's client says nothing
                    self.syslog.client(_JOB, f"Task Id : {task.attempt_id}, Status : FAILED")
                    self.stderr.write(f"{failure}\n\n")
            except NodeError as error:
                raise _TaskError(f"{task.task_id}: {error}") from None
            else:
                for (group, counter), amount in task.counts.items():
                    self.count(group, counter, amount)
                return
            finally:
                task.clean_up()
        raise _TaskError(task.task_id)


class _AttemptError(Exception):
    """The message is what Hadoop would log, with its Java stack trace."""


def _timed_out(attempt_id: str, seconds: float) -> _AttemptError:
    # In the words of Hadoop 3.4.2, which has a second limit; this engine has not.
    return _AttemptError(
        f"AttemptID:{attempt_id} task timeout set: {seconds:.0f}s, taskTimedOut: true;"
        " task stuck timeout set: 600s, taskStuck: false"
    )


def _too_much_memory(pid: int, container_id: str, used: int, limit: int) -> _AttemptError:
    # As YARN's ContainersMonitorImpl says it, without the virtual memory, which this engine does not limit.
    return _AttemptError(
        f"Container [pid={pid},containerID={container_id}] is running {used - limit}B beyond the 'PHYSICAL' memory"
        f" limit. Current usage: {used / (1 << 20):.1f} MB of {limit / (1 << 20):.0f} MB physical memory used."
        " Killing container."
    )


def _subprocess_failed(code: int) -> _AttemptError:
    status = code if code >= 0 else 128 - code
    return _AttemptError(
        "Error: java.lang.RuntimeException: PipeMapRed.waitOutputThreads(): subprocess failed with code"
        f" {status}\n\tat org.apache.hadoop.streaming.PipeMapRed.waitOutputThreads(PipeMapRed.java:326)"
    )


class _Task:
    """One attempt of one task, in a container of its own on a node."""

    def __init__(self, run: _Run, node: Node, kind: str, number: int, attempt: int) -> None:
        place, job = run.place, run.job
        self.job = job
        self.node = node
        self.number = number
        self.attempt = attempt
        self.task_id = f"{place.job_id.replace('job', 'task')}_{kind}_{number:06d}"
        self.attempt_id = f"{self.task_id.replace('task', 'attempt')}_{attempt}"
        self.container_id = place.next_container()
        self.memory_limit = job.map_memory_bytes if kind == "m" else job.reduce_memory_bytes
        self.logs = place.container_logs / self.container_id
        self.syslog = LogFile(self.logs / "syslog")
        (self.logs / "stdout").touch()
        self._stderr = (self.logs / "stderr").open("ab")
        self._stderr_lock = threading.Lock()
        self.counts: dict[tuple[str, str], int] = defaultdict(int)
        self.directory = f"/mnt/yarn/usercache/hadoop/appcache/{place.application_id}/{self.container_id}"
        working = node.host_path(self.directory)
        (working / "tmp").mkdir(parents=True)
        for name, target in run._localized[id(node)]:
            link = working / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(node.path(target))
        conf = {
            "mapreduce.job.reduces": str(job.reduces),
            "mapreduce.job.output.dir": job.output,
            "mapreduce.output.fileoutputformat.outputdir": job.output,
            **job.conf,
            "mapreduce.job.id": place.job_id,
            "mapred.job.id": place.job_id,
            "mapreduce.task.id": self.task_id,
            "mapred.tip.id": self.task_id,
            "mapreduce.task.attempt.id": self.attempt_id,
            "mapred.task.id": self.attempt_id,
            "mapreduce.task.partition": str(number),
            "mapred.task.partition": str(number),
            "mapreduce.task.ismap": "true" if kind == "m" else "false",
            "mapred.task.is.map": "true" if kind == "m" else "false",
            "user.name": "hadoop",
        }
        self.environment = {
            **{_variable(name): value for name, value in conf.items()},
            # As YARN has it: no home that one could write to.
            "HOME": "/home/",
            "PWD": node.path(self.directory),
            "TMPDIR": node.path(f"{self.directory}/tmp"),
            "CONTAINER_ID": self.container_id,
            **dict(job.environment),
        }

    def count(self, group: str, name: str, amount: int = 1) -> None:
        self.counts[group, name] += amount

    def pipe(self, command: str, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Run *command*, feed it *lines*, yield the lines that it writes.

        :raises _AttemptError: at the end, if its exit status isn't 0.
        """
        argv = shuffle.split_command(command)
        working = self.node.host_path(self.directory)
        if argv and not argv[0].startswith("/") and (working / argv[0]).is_file():
            (working / argv[0]).chmod(0o755)
            argv[0] = f"{self.node.path(self.directory)}/{argv[0]}"
        self.syslog.task("org.apache.hadoop.streaming.PipeMapRed", f"PipeMapRed exec [{', '.join(argv)}]")
        process = self.node.popen(
            argv,
            cwd=self.directory,
            environment=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        problems: list[BaseException] = []
        patience = Patience(process, self.job.timeout_seconds)
        memory = MemoryLimit(process, self.memory_limit)
        feeder = threading.Thread(target=self._feed, args=(process.stdin, patience.watch(lines), problems))
        listener = threading.Thread(target=self._listen, args=(process.stderr, patience))
        feeder.start()
        listener.start()
        try:
            yield from patience.watch(shuffle.read_lines(process.stdout.read1))  # type: ignore[attr-defined]
            feeder.join()
            listener.join()
            code = process.wait()
        finally:
            patience.end()
            memory.end()
            kill(process)
            process.stdout.close()
        if patience.exceeded:
            raise _timed_out(self.attempt_id, self.job.timeout_seconds)
        if memory.exceeded:
            raise _too_much_memory(process.pid, self.container_id, memory.exceeded, self.memory_limit)
        if problems:
            raise problems[0]
        if code and self.job.nonzero_exit_is_failure:
            raise _subprocess_failed(code)

    def _feed(self, stdin: IO[bytes], lines: Iterable[bytes], problems: list[BaseException]) -> None:
        try:
            stdin.writelines(lines)
            stdin.close()
        except BrokenPipeError:  # it need not read all; its exit status says whether that was right
            pass
        except Exception as error:  # noqa: BLE001 raised again by the thread that waits for the task
            problems.append(error)
            stdin.close()

    def _listen(self, stderr: IO[bytes], patience: Patience) -> None:
        with stderr:
            for line in patience.watch(stderr):
                if not line.startswith(b"reporter:"):
                    with self._stderr_lock:
                        self._stderr.write(line)
                elif line.startswith(b"reporter:counter:"):
                    self._count_reported(line)

    def _count_reported(self, line: bytes) -> None:
        columns = line.decode("utf-8", "replace")[len("reporter:counter:") :].strip().split(",")
        try:
            group, name, amount = columns
            self.count(group, name, int(amount))
        except ValueError:
            self.syslog.task("org.apache.hadoop.streaming.PipeMapRed", f"Cannot parse counter line: {line!r}", "WARN")

    def fail(self, message: str) -> None:
        self.syslog.task(
            "org.apache.hadoop.mapred.YarnChild",
            "Exception running child : " + message.removeprefix("Error: "),
            "WARN",
        )

    def clean_up(self) -> None:
        self._stderr.close()
        shutil.rmtree(self.node.host_path(self.directory), ignore_errors=True)


def _variable(name: str) -> str:
    """A jobconf's name as a task's environment has it."""
    return "".join(char if char.isascii() and char.isalnum() else "_" for char in name)


def _stage(job: StreamingJob, place: Place) -> list[Path]:
    """Fetch the job's files and archives once, as Hadoop's job client copies them into the cluster's HDFS."""
    staged = []
    for index, (text, _) in enumerate((*job.files, *job.archives)):
        uri = Uri.parse(text)
        path = place.scratch / "staging" / str(index) / uri.name
        path.parent.mkdir(parents=True)
        if not any(file.uri == uri for file in place.storage.of(uri).files(uri)):
            raise StorageError(f"File does not exist: {uri}")
        with place.storage.of(uri).open(uri) as source, path.open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
        staged.append(path)
    return staged


def _localize(job: StreamingJob, place: Place, node: Node, staged: list[Path]) -> list[tuple[str, str]]:
    """Bring what is *staged* onto *node*: (name in a task's directory, path on the node)."""
    localized = []
    cache = f"/mnt/yarn/usercache/hadoop/appcache/{place.application_id}/filecache"
    for index, (source, (_, name)) in enumerate(zip(staged, (*job.files, *job.archives), strict=True)):
        target = f"{cache}/{index}/{source.name}"
        path = node.host_path(target)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, path)
        if index >= len(job.files):
            _unpack(path)
        else:
            node.fit(path)
            path.chmod(0o555)
        localized.append((name, target))
    return localized


def _unpack(path: Path) -> None:
    """Replace an archive by a directory of its name with its content, as YARN does."""
    packed = path.with_name(path.name + ".packed")
    path.rename(packed)
    path.mkdir()
    if path.name.endswith((".zip", ".jar")):
        with zipfile.ZipFile(packed) as archive:
            for info in archive.infolist():
                extracted = Path(archive.extract(info, path))
                if mode := info.external_attr >> 16 & 0o777:
                    extracted.chmod(mode)
    elif path.name.endswith((".tar", ".tar.gz", ".tgz")):
        subprocess.run(["tar", "-xf", str(packed), "-C", str(path)], check=True)
    else:
        packed.rename(path / path.name)
        return
    packed.unlink()


def _write_records(path: Path, records: Iterable[Record]) -> None:
    with path.open("wb") as file:
        for key, value in records:
            file.write(len(key).to_bytes(4, "big") + len(value).to_bytes(4, "big") + key + value)


def _read_records(path: Path) -> Iterator[Record]:
    with path.open("rb") as file:
        while head := file.read(8):
            key = file.read(int.from_bytes(head[:4], "big"))
            yield key, file.read(int.from_bytes(head[4:], "big"))


def _open_output(path: Path, suffix: str) -> Any:
    if suffix == ".deflate":
        return _Deflate(path)
    return _COMPRESSED[suffix](path, "wb") if suffix else path.open("wb")


def _inflated(file: IO[bytes]) -> IO[bytes]:
    return io.BytesIO(zlib.decompress(file.read()))


class _Deflate:
    """A file in zlib's format, which is what Hadoop's DefaultCodec writes."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._compressor = zlib.compressobj()

    def __enter__(self) -> _Deflate:
        return self

    def write(self, data: bytes) -> None:
        self._file.write(self._compressor.compress(data))

    def __exit__(self, *_: object) -> None:
        self._file.write(self._compressor.flush())
        self._file.close()
