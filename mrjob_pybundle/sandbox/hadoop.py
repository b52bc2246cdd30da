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
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import Any

from mrjob_pybundle.sandbox import SandboxError, hadoop_conf
from mrjob_pybundle.sandbox.engines import EngineError, EngineKind, Ground
from mrjob_pybundle.sandbox.nodes import Node
from mrjob_pybundle.sandbox.steps import run_command
from mrjob_pybundle.templates import render_text

VERSION = "3.4.2"

_READY_WITHIN_SECONDS = 180.0
_ASK_EVERY_SECONDS = 0.1
_HEAP_MB = {"namenode": 160, "datanode": 128, "resourcemanager": 256, "nodemanager": 192, "historyserver": 160}
_APPLICATION = {"namenode": "hdfs", "datanode": "hdfs", "historyserver": "mapreduce"}


def kind() -> EngineKind:
    """The Hadoop engine, if this machine can have it.

    :raises SandboxError: there is no Java, or Hadoop's jars have not been fetched.
    """
    java = shutil.which("java")
    if java is None:
        raise SandboxError("--engine hadoop needs Java 11 or 17: apt-get install openjdk-17-jre-headless")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    jars = cache / "mrjob-pybundle" / f"hadoop-{VERSION}"
    if not jars.is_dir():
        raise SandboxError(f"--engine hadoop needs Hadoop {VERSION} in {jars}: scripts/fetch-hadoop.sh")
    java_home = Path(java).resolve().parents[1]
    # Paths in a node's environment are what it sees of the machine.
    environment = {"JAVA_HOME": str(java_home), "HADOOP_HOME": str(jars)}
    return EngineKind(lambda ground: HadoopEngine(ground, java_home, jars), environment)


class HadoopEngine:
    """HDFS, YARN and the job history of one cluster."""

    def __init__(self, ground: Ground, java_home: Path, jars: Path) -> None:
        self._ground = ground
        self._master_id, self._master = ground.master
        self._java_home = java_home
        self._jars = jars
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
        places = _places(node)
        conf = node.host_path("/mnt/hadoop/conf")
        hadoop_conf.write(conf, self._ports, places, self._jars, node.environment)
        for path in ("/mnt/hadoop/tmp", "/mnt/hadoop/containers", "/mnt/hadoop/steps", "/mnt/yarn"):
            node.host_path(path).mkdir(parents=True, exist_ok=True)
        template = resources.files(__package__).joinpath("bin/hadoop.sh.tmpl").read_text(encoding="utf-8")
        values = {
            "HADOOP": str(self._jars),
            "CONF": places.conf,
            "JAVA": str(self._java_home / "bin" / "java"),
            "JAVA_OPTIONS": hadoop_conf.JAVA_OPTIONS,
        }
        command = node.host_path("/mnt/hadoop/bin/hadoop")
        command.parent.mkdir(parents=True, exist_ok=True)
        command.write_text(render_text(template, values), encoding="utf-8")
        command.chmod(0o755)
        node.environment["PATH"] = f"{node.path('/mnt/hadoop/bin')}:{node.environment['PATH']}"
        # Without Kerberos, Hadoop believes who one says to be.
        node.environment["HADOOP_USER_NAME"] = "hadoop"

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
                [node.path("/mnt/hadoop/bin/hadoop"), name, *args],
                cwd="/mnt/hadoop/tmp",
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
        self._run_jar(str(self._jars / f"hadoop-streaming-{VERSION}.jar"), args, logs)

    def run_jar(self, jar: str, args: list[str], logs: Path) -> None:
        if "://" in jar:
            directory = f"/mnt/hadoop/steps/{logs.name}"
            self._master.host_path(directory).mkdir(parents=True, exist_ok=True)
            path = f"{self._master.path(directory)}/{jar.rpartition('/')[2]}"
            run_command(self._master, ["aws", "s3", "cp", "--only-show-errors", jar, path], logs)
            jar = path
        self._run_jar(jar, args, logs)

    def _run_jar(self, jar: str, args: list[str], logs: Path) -> None:
        syslog = f"/mnt/hadoop/steps/{logs.name}/syslog"
        self._master.host_path(syslog).parent.mkdir(parents=True, exist_ok=True)
        options = f"-Xmx256m -Dhadoop.root.logger=INFO,file -Dhadoop.log.file={self._master.path(syslog)}"
        try:
            command = ["env", f"HADOOP_OPTS={options}", self._master.path("/mnt/hadoop/bin/hadoop"), "jar", jar, *args]
            run_command(self._master, command, logs)
        finally:
            if self._master.host_path(syslog).exists():
                shutil.copy(self._master.host_path(syslog), logs / "syslog")
            self._collect_logs()

    def _collect_logs(self) -> None:
        """Copy what containers and jobs have left to where EMR has it."""
        for node in self._ground.workers.values():
            containers = node.host_path("/mnt/hadoop/containers")
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


def _places(node: Node) -> hadoop_conf.Directories:
    return hadoop_conf.Directories(yarn=node.path("/mnt/yarn"), own=node.path("/mnt/hadoop"))


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
