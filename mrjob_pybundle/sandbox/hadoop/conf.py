"""The configuration of a cluster's Hadoop: small, quick to answer, and all of it on this machine's loopback."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

VERSION = "3.4.2"
LOOPBACK = "127.0.0.1"

# Of every node. Containers work below LOCAL.
CONF = "/mnt/hadoop/conf"
TMP = "/mnt/hadoop/tmp"
LOCAL = "/mnt/yarn"
CONTAINER_LOGS = "/mnt/hadoop/containers"

# In HDFS.
INTERMEDIATE_HISTORY = "/mr-history/intermediate"
DONE_HISTORY = "/mr-history/done"

#: Short lives: what a JVM spends on compiling well, or on parallel garbage collection, never comes back.
# Hadoop's web applications look into classes that Java 17 keeps closed.
JAVA_OPTIONS = (
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-Xshare:auto",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "-Djava.net.preferIPv4Stack=true",
)


@dataclass(frozen=True)
class Distribution:
    """Java, and Hadoop's jars as ``scripts/fetch-hadoop.sh`` has fetched them into *home*."""

    java_home: Path
    home: Path

    @property
    def java(self) -> Path:
        return self.java_home / "bin" / "java"

    @property
    def jars(self) -> str:
        """All jars, as a part of a class path."""
        return f"{self.home}/jars/*"

    def jar(self, name: str) -> Path:
        """The jar of the module *name* of Hadoop's."""
        return self.home / "jars" / f"{name}-{VERSION}.jar"

    @property
    def class_archive(self) -> Path:
        """Classes as Java keeps them in memory, for JVMs to start faster. For this Java, and these jars."""
        version = int(self.java.stat().st_mtime)
        return self.home / f"classes-{self.java_home.name}-{version}.jsa"

    @property
    def java_options(self) -> tuple[str, ...]:
        return (*JAVA_OPTIONS, f"-XX:SharedArchiveFile={self.class_archive}")

    @property
    def task_options(self) -> str:
        """Options for the JVMs in containers, which run in their working directory."""
        # Java uses its archive of classes only if the class path begins with the jars that these came from.
        # YARN would put a container's own files first.
        class_path = f"{self.jars}:{CONF}:.:job.jar/*:job.jar/classes:job.jar/lib/*:./*"
        return " ".join((*self.java_options, "-cp", class_path))


@dataclass(frozen=True)
class Ports:
    """Ports of a cluster that others must know before their daemon runs. The other daemons take free ones."""

    namenode: int
    namenode_http: int
    scheduler: int
    tracker: int
    resourcemanager: int
    resourcemanager_admin: int
    resourcemanager_http: int
    historyserver: int
    historyserver_http: int


def write(directory: Path, hadoop: Distribution, ports: Ports, environment: Mapping[str, str]) -> None:
    """Write the configuration of one node, whose processes have *environment*, into *directory*."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, settings in (
        ("core-site.xml", _core(ports, environment["AWS_ENDPOINT_URL"])),
        ("hdfs-site.xml", _hdfs(ports)),
        ("yarn-site.xml", _yarn(hadoop, ports, environment)),
        ("mapred-site.xml", _mapred(hadoop, ports)),
        ("capacity-scheduler.xml", _SCHEDULER),
    ):
        (directory / name).write_bytes(_xml(settings))
    # Web pages, which the jars don't have; their servers insist on a place for them.
    for name in ("hdfs", "datanode"):
        (directory / "webapps" / name).mkdir(parents=True, exist_ok=True)
    (directory / "log4j.properties").write_text(_LOG4J, encoding="utf-8")


def text(value: object) -> str:
    """*value* as Hadoop's configuration has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _xml(settings: Mapping[str, object]) -> bytes:
    root = ElementTree.Element("configuration")
    for name, value in settings.items():
        entry = ElementTree.SubElement(root, "property")
        ElementTree.SubElement(entry, "name").text = name
        ElementTree.SubElement(entry, "value").text = text(value)
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8"))


def _core(ports: Ports, s3_endpoint: str) -> dict[str, object]:
    return {
        "fs.defaultFS": f"hdfs://{LOOPBACK}:{ports.namenode}",
        "hadoop.tmp.dir": TMP,
        "hadoop.http.staticuser.user": "hadoop",
        **s3a(s3_endpoint),
    }


def s3a(endpoint: str) -> dict[str, object]:
    """Settings with which ``s3://`` is the S3 at *endpoint*."""
    return {
        # s3:// is S3A, as on EMR from 7.10 on.
        "fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
        "fs.AbstractFileSystem.s3.impl": "org.apache.hadoop.fs.s3a.S3A",
        "fs.s3a.endpoint": endpoint,
        "fs.s3a.endpoint.region": "us-east-1",
        "fs.s3a.path.style.access": True,
        "fs.s3a.connection.ssl.enabled": False,
        # Of the environment: every node signs as itself.
        "fs.s3a.aws.credentials.provider": _FROM_ENVIRONMENT,
        "fs.s3a.threads.max": 8,
        "fs.s3a.multipart.size": "8M",
        "fs.s3a.fast.upload.buffer": "disk",
    }


def _hdfs(ports: Ports) -> dict[str, object]:
    return {
        "dfs.namenode.name.dir": "file:///mnt/hadoop/namenode",
        "dfs.datanode.data.dir": "file:///mnt/hadoop/datanode",
        "dfs.namenode.rpc-address": f"{LOOPBACK}:{ports.namenode}",
        "dfs.namenode.http-address": f"{LOOPBACK}:{ports.namenode_http}",
        "dfs.datanode.address": f"{LOOPBACK}:0",
        "dfs.datanode.ipc.address": f"{LOOPBACK}:0",
        "dfs.datanode.http.address": f"{LOOPBACK}:0",
        "dfs.datanode.hostname": LOOPBACK,
        "dfs.namenode.datanode.registration.ip-hostname-check": False,
        "dfs.replication": 1,
        "dfs.permissions.enabled": False,
        "dfs.heartbeat.interval": 1,
        "dfs.namenode.safemode.extension": 0,
        "dfs.namenode.safemode.min.datanodes": 0,
        "dfs.namenode.fs-limits.min-block-size": 0,
    }


def _yarn(hadoop: Distribution, ports: Ports, environment: Mapping[str, str]) -> dict[str, object]:
    return {
        "yarn.resourcemanager.hostname": LOOPBACK,
        "yarn.resourcemanager.address": f"{LOOPBACK}:{ports.resourcemanager}",
        "yarn.resourcemanager.scheduler.address": f"{LOOPBACK}:{ports.scheduler}",
        "yarn.resourcemanager.resource-tracker.address": f"{LOOPBACK}:{ports.tracker}",
        "yarn.resourcemanager.admin.address": f"{LOOPBACK}:{ports.resourcemanager_admin}",
        "yarn.resourcemanager.webapp.address": f"{LOOPBACK}:{ports.resourcemanager_http}",
        "yarn.nodemanager.hostname": LOOPBACK,
        "yarn.nodemanager.address": f"{LOOPBACK}:0",
        "yarn.nodemanager.localizer.address": f"{LOOPBACK}:0",
        "yarn.nodemanager.collector-service.address": f"{LOOPBACK}:0",
        "yarn.nodemanager.webapp.address": f"{LOOPBACK}:0",
        "yarn.nodemanager.aux-services": "mapreduce_shuffle",
        "yarn.nodemanager.local-dirs": LOCAL,
        "yarn.nodemanager.log-dirs": CONTAINER_LOGS,
        # What makes this machine a node of EMR, and lets its package clients reach the network.
        "yarn.nodemanager.env-whitelist": ",".join(sorted({*environment} - {"HOME", "USER", "LOGNAME", "SHELL"})),
        # Commands that EMR's images have in /usr/bin. The whitelist gives no PATH: bash has one without being given it.
        "yarn.nodemanager.force.path": environment["PATH"],
        "yarn.nodemanager.vmem-check-enabled": False,
        # Memory is limited by looking at it. By default, a NodeManager leaves that to cgroups, even if it uses none.
        "yarn.nodemanager.resource.memory.enforced": False,
        # Of one machine's disk that others fill, too.
        "yarn.nodemanager.disk-health-checker.enable": False,
        # Three containers at a time on a node.
        "yarn.nodemanager.resource.memory-mb": 3072,
        "yarn.nodemanager.resource.cpu-vcores": 8,
        "yarn.scheduler.minimum-allocation-mb": 256,
        "yarn.scheduler.maximum-allocation-mb": 3072,
        "yarn.application.classpath": f"{CONF},{hadoop.jars}",
        "yarn.resourcemanager.nodemanagers.heartbeat-interval-ms": 200,
        "yarn.client.application-client-protocol.poll-interval-ms": 100,
    }


def _mapred(hadoop: Distribution, ports: Ports) -> dict[str, object]:
    java = hadoop.task_options
    return {
        "mapreduce.framework.name": "yarn",
        "mapreduce.application.classpath": hadoop.jars,
        "mapreduce.shuffle.port": 0,
        "mapreduce.jobhistory.address": f"{LOOPBACK}:{ports.historyserver}",
        "mapreduce.jobhistory.webapp.address": f"{LOOPBACK}:{ports.historyserver_http}",
        "mapreduce.jobhistory.admin.address": f"{LOOPBACK}:0",
        "mapreduce.jobhistory.intermediate-done-dir": INTERMEDIATE_HISTORY,
        "mapreduce.jobhistory.done-dir": DONE_HISTORY,
        "yarn.app.mapreduce.am.resource.mb": 1024,
        # The administrator's options, which come before those that a job may have.
        "yarn.app.mapreduce.am.admin-command-opts": java,
        "mapreduce.admin.map.child.java.opts": java,
        "mapreduce.admin.reduce.child.java.opts": java,
        "yarn.app.mapreduce.am.command-opts": "-Xmx384m",
        "mapreduce.map.memory.mb": 1024,
        "mapreduce.reduce.memory.mb": 1024,
        "mapreduce.map.java.opts": "-Xmx384m",
        "mapreduce.reduce.java.opts": "-Xmx384m",
        "mapreduce.task.io.sort.mb": 64,
        "mapreduce.fileoutputcommitter.algorithm.version": 2,
        # All nodes are this machine: a second attempt at a slow task makes it slower.
        "mapreduce.map.speculative": False,
        "mapreduce.reduce.speculative": False,
        # How long one waits for news: Hadoop's own values are for jobs of hours.
        "mapreduce.task.timeout.check-interval-ms": 1000,
        "mapreduce.client.completion.pollinterval": 200,
        "mapreduce.client.progressmonitor.pollinterval": 200,
        "yarn.app.mapreduce.am.scheduler.heartbeat.interval-ms": 200,
    }


_FROM_ENVIRONMENT = "software.amazon.awssdk.auth.credentials.EnvironmentVariableCredentialsProvider"

_SCHEDULER: dict[str, object] = {
    "yarn.scheduler.capacity.root.queues": "default",
    "yarn.scheduler.capacity.root.default.capacity": 100,
    "yarn.scheduler.capacity.maximum-am-resource-percent": 1,
    # All nodes are this machine: none is nearer to the data than another.
    "yarn.scheduler.capacity.node-locality-delay": -1,
}

_LOG4J = """\
hadoop.root.logger=INFO,console
log4j.rootLogger=${hadoop.root.logger}
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.target=System.err
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%d{ISO8601} %p %c (%t): %m%n
log4j.appender.file=org.apache.log4j.FileAppender
log4j.appender.file.File=${hadoop.log.file}
log4j.appender.file.layout=org.apache.log4j.PatternLayout
log4j.appender.file.layout.ConversionPattern=%d{ISO8601} %p %c (%t): %m%n
"""
