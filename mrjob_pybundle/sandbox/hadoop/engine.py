"""The Hadoop engine: each cluster has its own HDFS and YARN, as daemons on its nodes.

NameNode, ResourceManager and JobHistoryServer run on the master, a DataNode and a NodeManager on each worker.
All of them are processes of their node: containers see the node's files, and everything ends with the node.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import Any

from mrjob_pybundle.sandbox.engines import EngineError, EngineKind, Ground
from mrjob_pybundle.sandbox.errors import SandboxError
from mrjob_pybundle.sandbox.hadoop import conf as hadoop_conf
from mrjob_pybundle.sandbox.hadoop import spark_conf
from mrjob_pybundle.sandbox.machines.logs import notice
from mrjob_pybundle.sandbox.machines.nodes import Node
from mrjob_pybundle.sandbox.steps import run_command
from mrjob_pybundle.templates import render_text

# On a machine that has much else to do. A daemon that ends is noticed at once.
_READY_WITHIN_SECONDS = 900.0
_ASK_EVERY_SECONDS = 0.1
_HEAP_MB = {"namenode": 160, "datanode": 128, "resourcemanager": 256, "nodemanager": 192, "historyserver": 160}
_BIN = "/mnt/hadoop/bin"
_COMMAND = f"{_BIN}/hadoop"
_STEPS = "/mnt/hadoop/steps"
# Where EMR has Hadoop's own jars, under names without a version.
_EMR_JARS = "/usr/lib/hadoop-mapreduce/"
_APPLICATION = {"namenode": "hdfs", "datanode": "hdfs", "historyserver": "mapreduce"}


def kind() -> EngineKind:
    """The Hadoop engine, if this machine can have it.

    :raises SandboxError: there is no Java, or Hadoop's jars have not been fetched.
    """
    java = shutil.which("java")
    if java is None:
        raise SandboxError("--engine hadoop needs Java 11 or 17: apt-get install openjdk-17-jre-headless")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = cache / "mrjob-pybundle" / f"hadoop-{hadoop_conf.VERSION}"
    if not (home / "jars").is_dir():
        raise SandboxError(f"--engine hadoop needs Hadoop in {home}: run scripts/fetch-hadoop.sh")
    distribution = hadoop_conf.Distribution(Path(java).resolve().parents[1], home)
    # Paths in a node's environment are what it sees of the machine.
    spark = cache / "mrjob-pybundle" / f"spark-{spark_conf.VERSION}"
    environment = {"JAVA_HOME": str(distribution.java_home), "HADOOP_HOME": str(home), "SPARK_HOME": str(spark)}
    return EngineKind(
        lambda ground: HadoopEngine(ground, distribution, spark),
        environment,
        lambda s3, aws_environment: _archive_classes(distribution, s3, aws_environment),
        needs_namespaces=True,
    )


def _archive_classes(distribution: hadoop_conf.Distribution, s3: Any, aws_environment: Mapping[str, str]) -> None:
    """Have Java archive the classes that a small job on S3 loads, once: JVMs then start in half the time."""
    if distribution.class_archive.exists():
        return
    notice("preparing Hadoop: once, for this Java")
    bucket = "sandbox-warm-up"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="input", Body=b"a b\n")
    with tempfile.TemporaryDirectory() as scratch:
        archive = Path(scratch) / "classes.jsa"
        settings = {**hadoop_conf.s3a(aws_environment["AWS_ENDPOINT_URL"]), "hadoop.tmp.dir": f"{scratch}/tmp"}
        with (distribution.home / "preparing.log").open("wb") as log:
            job = subprocess.run(
                [str(distribution.java), f"-XX:ArchiveClassesAtExit={archive}", "-cp", distribution.jars]
                + ["org.apache.hadoop.streaming.HadoopStreaming"]
                + [f"-D{name}={hadoop_conf.text(value)}" for name, value in settings.items()]
                + ["-input", f"s3://{bucket}/input", "-output", f"s3://{bucket}/output"]
                + ["-mapper", "cat", "-reducer", "cat"],
                cwd=scratch,
                env={**os.environ, **aws_environment},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        if job.returncode or not archive.exists():
            raise SandboxError(f"Hadoop does not run with {distribution.java}; it says why in {log.name}")
        staged = distribution.class_archive.with_suffix(f".{os.getpid()}")
        shutil.move(archive, staged)
        staged.rename(distribution.class_archive)
    for item in s3.list_objects_v2(Bucket=bucket)["Contents"]:
        s3.delete_object(Bucket=bucket, Key=item["Key"])
    s3.delete_bucket(Bucket=bucket)


class HadoopEngine:
    """HDFS, YARN and the job history of one cluster."""

    def __init__(self, ground: Ground, distribution: hadoop_conf.Distribution, spark: Path) -> None:
        self._ground = ground
        self._master_id, self._master = ground.master
        self._distribution = distribution
        self._spark = spark
        self._ports = hadoop_conf.Ports(*itertools.islice(_free_ports(), 9))

    # Daemons

    def start(self) -> None:
        for node in self._nodes().values():
            self._configure(node)
        deadline = time.monotonic() + _READY_WITHIN_SECONDS
        starts: list[Callable[[], None]] = [
            lambda: self._start_hdfs_and_history(deadline),
            lambda: self._start_yarn(deadline),
        ]
        with ThreadPoolExecutor(max_workers=len(starts)) as pool:
            for future in [pool.submit(start) for start in starts]:
                future.result()

    def _nodes(self) -> dict[str, Node]:
        return {self._master_id: self._master, **self._ground.workers}

    def _configure(self, node: Node) -> None:
        # Without Kerberos, Hadoop believes who one says to be.
        node.environment.update({"HADOOP_USER_NAME": "hadoop", **spark_conf.environment()})
        node.environment["PATH"] = f"{_BIN}:{node.environment['PATH']}"
        conf = node.host_path(hadoop_conf.CONF)
        hadoop_conf.write(conf, self._distribution, self._ports, node.environment)
        for path in (hadoop_conf.TMP, hadoop_conf.CONTAINER_LOGS, hadoop_conf.LOCAL):
            node.host_path(path).mkdir(parents=True, exist_ok=True)
        configurations = self._ground.configurations
        spark_conf.write(node.host_path(spark_conf.CONF), self._spark, hadoop_conf.JAVA_OPTIONS, configurations)
        commands: dict[str, dict[str, str | Sequence[str]]] = {
            "hadoop": {
                "JAVA": str(self._distribution.java),
                "JAVA_OPTIONS": self._distribution.java_options,
                "CLASSPATH": f"{self._distribution.jars}:{hadoop_conf.CONF}",
            },
            "spark-submit": {
                "SPARK": str(self._spark),
                "SPARK_CONF": spark_conf.CONF,
                "HADOOP_CONF": hadoop_conf.CONF,
                "HADOOP_JARS": self._distribution.jars,
                "JAVA_OPTIONS": " ".join(hadoop_conf.JAVA_OPTIONS),
            },
        }
        for name, values in commands.items():
            template = resources.files(__package__).joinpath(f"{name}.sh.tmpl").read_text(encoding="utf-8")
            command = node.host_path(f"{_BIN}/{name}")
            command.parent.mkdir(parents=True, exist_ok=True)
            command.write_text(render_text(template, values), encoding="utf-8")
            command.chmod(0o755)

    def _start_hdfs_and_history(self, deadline: float) -> None:
        datanodes = [
            self._start_daemon("datanode", instance_id, node) for instance_id, node in self._ground.workers.items()
        ]
        formatting = self._start_daemon("namenode", self._master_id, self._master, "-format", "-force")
        if formatting.wait() != 0:
            raise self._failure("namenode", self._master_id)
        namenode = self._start_daemon("namenode", self._master_id, self._master)
        url = f"http://{hadoop_conf.LOOPBACK}:{self._ports.namenode_http}/jmx?qry=Hadoop:service=NameNode,name=FSNamesystem*"

        def is_up() -> bool:
            beans = _ask(url)
            state = {name: value for bean in beans.get("beans", ()) for name, value in bean.items()} if beans else {}
            return bool(state.get("NumLiveDataNodes") == len(datanodes))

        self._await(is_up, deadline, [("namenode", self._master_id, namenode)])
        history = self._start_daemon("historyserver", self._master_id, self._master)
        url = f"http://{hadoop_conf.LOOPBACK}:{self._ports.historyserver_http}/ws/v1/history/info"
        self._await(lambda: _ask(url) is not None, deadline, [("historyserver", self._master_id, history)])

    def _start_yarn(self, deadline: float) -> None:
        manager = self._start_daemon("resourcemanager", self._master_id, self._master)
        daemons = [("resourcemanager", self._master_id, manager)]
        for instance_id, node in self._ground.workers.items():
            daemons.append(("nodemanager", instance_id, self._start_daemon("nodemanager", instance_id, node)))
        url = f"http://{hadoop_conf.LOOPBACK}:{self._ports.resourcemanager_http}/ws/v1/cluster/metrics"

        def is_up() -> bool:
            metrics = _ask(url)
            return bool(metrics and metrics["clusterMetrics"]["activeNodes"] == len(self._ground.workers))

        self._await(is_up, deadline, daemons)

    def _start_daemon(self, name: str, instance_id: str, node: Node, *args: str) -> subprocess.Popen[bytes]:
        with self._daemon_log(name, instance_id).open("ab") as log:
            return node.popen(
                [_COMMAND, name, *args],
                cwd=hadoop_conf.TMP,
                environment={"HADOOP_OPTS": f"-Xmx{_HEAP_MB[name]}m"},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _daemon_log(self, name: str, instance_id: str) -> Path:
        application = _APPLICATION.get(name, "yarn")
        path = self._ground.logs / "node" / instance_id / "applications" / f"hadoop-{application}" / f"{name}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _await(
        self, is_up: Callable[[], bool], deadline: float, daemons: list[tuple[str, str, subprocess.Popen[bytes]]]
    ) -> None:
        while not is_up():
            for name, instance_id, process in daemons:
                if process.poll() is not None:
                    raise self._failure(name, instance_id)
            if time.monotonic() > deadline:
                raise EngineError(f"{daemons[0][0]} is not ready after {_READY_WITHIN_SECONDS:.0f} seconds")
            time.sleep(_ASK_EVERY_SECONDS)

    def _failure(self, name: str, instance_id: str) -> EngineError:
        log = self._daemon_log(name, instance_id)
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        problems = [line for line in lines if "ERROR" in line or "FATAL" in line] or lines or ["no output"]
        return EngineError(f"{name} on {instance_id} ended: {problems[-1]} (all of it: {log})")

    # Steps

    def run_streaming(self, args: list[str], logs: Path) -> None:
        self._run_jar(str(self._distribution.jar("hadoop-streaming")), args, logs)

    def run_command(self, command: list[str], logs: Path) -> None:
        try:
            run_command(self._master, command, logs)
        finally:
            self._collect_logs()

    def run_jar(self, jar: str, args: list[str], logs: Path) -> None:
        if jar.startswith("s3"):
            path = f"{_STEPS}/{logs.name}/{jar.rpartition('/')[2]}"
            self._master.host_path(path).parent.mkdir(parents=True, exist_ok=True)
            run_command(self._master, ["aws", "s3", "cp", "--only-show-errors", jar, path], logs)
            jar = path
        elif jar.startswith(_EMR_JARS):
            jar = str(self._distribution.jar(jar.removeprefix(_EMR_JARS).removesuffix(".jar")))
        self._run_jar(jar, args, logs)

    def _run_jar(self, jar: str, args: list[str], logs: Path) -> None:
        syslog = f"{_STEPS}/{logs.name}/syslog"
        written = self._master.host_path(syslog)
        written.parent.mkdir(parents=True, exist_ok=True)
        options = f"-Xmx256m -Dhadoop.root.logger=INFO,file -Dhadoop.log.file={syslog}"
        try:
            run_command(self._master, ["env", f"HADOOP_OPTS={options}", _COMMAND, "jar", jar, *args], logs)
        finally:
            if written.exists():
                shutil.copy(written, logs / "syslog")
            self._collect_logs()

    def _collect_logs(self) -> None:
        """Copy what containers and jobs have left to where EMR has it."""
        for node in self._ground.workers.values():
            containers = node.host_path(hadoop_conf.CONTAINER_LOGS)
            shutil.copytree(containers, self._ground.logs / "containers", dirs_exist_ok=True)
        history = self._ground.logs / "hadoop-mapreduce" / "history"
        # The history server moves files from the first to the second at any time.
        for directory in (hadoop_conf.INTERMEDIATE_HISTORY, hadoop_conf.DONE_HISTORY):
            self._copy_from_hdfs(directory, history)

    def _copy_from_hdfs(self, directory: str, target: Path) -> None:
        """Copy what is not there yet, over WebHDFS: that takes no JVM."""
        base = f"http://{hadoop_conf.LOOPBACK}:{self._ports.namenode_http}/webhdfs/v1"
        listing = _ask(f"{base}{directory}?op=LISTSTATUS&user.name=hadoop") or {"FileStatuses": {"FileStatus": ()}}
        for status in listing["FileStatuses"]["FileStatus"]:
            path, copy = f"{directory}/{status['pathSuffix']}", target / status["pathSuffix"]
            if status["type"] == "DIRECTORY":
                self._copy_from_hdfs(path, copy)
            elif not copy.exists() and (content := _get(f"{base}{path}?op=OPEN&user.name=hadoop")) is not None:
                target.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(content)


def _ask(url: str) -> Any:
    """The JSON at *url*; None if there is none, or as long as nobody answers."""
    answer = _get(url)
    return None if answer is None else json.loads(answer)


def _get(url: str) -> bytes | None:
    try:
        with _direct.open(url, timeout=30) as answer:
            content: bytes = answer.read()
            return content
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return None


# A proxy of this machine's is for the world outside.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

_ports_lock = threading.Lock()
_next_port = itertools.cycle(range(20000, 32000))
for _ in range(random.randrange(12000)):
    next(_next_port)


def _free_ports() -> Iterator[int]:
    """Ports that are free, and below those that the kernel hands out by itself. None comes twice soon."""
    while True:
        with _ports_lock:
            port = next(_next_port)
        with socket.socket() as probe:
            try:
                probe.bind((hadoop_conf.LOOPBACK, port))
            except OSError:
                continue
        yield port
