"""The configuration of Spark on a cluster's YARN: small, and with the cluster's own Hadoop, as on EMR."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mrjob_pybundle.sandbox.hadoop import conf as hadoop_conf

#: What emr-7.11.0 to emr-7.13.0 have ("Spark release history").
VERSION = "3.5.6"

# Of every node.
CONF = "/mnt/spark/conf"


def environment() -> dict[str, str]:
    """What Spark's processes need in their environment, containers included."""
    return {"SPARK_LOCAL_IP": hadoop_conf.LOOPBACK}


def write(
    directory: Path, home: Path, java_options: Sequence[str], configurations: Sequence[Mapping[str, Any]]
) -> None:
    """Write the configuration of a node for the Spark in *home*, as ``scripts/fetch-spark.sh`` has fetched it.

    Of the cluster's *configurations*, those of ``spark-defaults`` and the exports of ``spark-env`` count.
    """
    directory.mkdir(parents=True, exist_ok=True)
    theirs = _properties(configurations, "spark-defaults")
    settings = {**_settings(home, " ".join(java_options)), **theirs}
    lines = [f"{name} {hadoop_conf.text(value)}\n" for name, value in settings.items()]
    (directory / "spark-defaults.conf").write_text("".join(lines), encoding="utf-8")
    nested = [
        more for c in configurations if c["Classification"] == "spark-env" for more in c.get("Configurations", ())
    ]
    exports = [f"export {name}={shlex.quote(value)}\n" for name, value in _properties(nested, "export").items()]
    (directory / "spark-env.sh").write_text("".join(exports), encoding="utf-8")


def _properties(configurations: Sequence[Mapping[str, Any]], classification: str) -> Mapping[str, str]:
    found = [c.get("Properties", {}) for c in configurations if c["Classification"] == classification]
    return {name: value for properties in found for name, value in properties.items()}


def _settings(home: Path, java: str) -> Mapping[str, object]:
    return {
        "spark.master": "yarn",
        # Every node sees them: nothing to send around.
        "spark.yarn.jars": f"local:{home}/jars/*",
        "spark.yarn.populateHadoopClasspath": True,
        "spark.driver.defaultJavaOptions": java,
        "spark.executor.defaultJavaOptions": java,
        "spark.yarn.am.extraJavaOptions": java,
        # A driver and its executor, unless a job asks for more: a node has three containers.
        "spark.driver.memory": "512m",
        "spark.executor.memory": "512m",
        "spark.executor.instances": 1,
        "spark.executor.cores": 1,
        "spark.ui.enabled": False,
        # All nodes have one address: none is nearer to the data than another, and none sees the others' files.
        "spark.locality.wait": 0,
        "spark.shuffle.readHostLocalDisk": False,
        # How long one waits for news: Spark's own values are for jobs of hours.
        "spark.yarn.report.interval": "200ms",
        "spark.yarn.scheduler.heartbeat.interval-ms": 200,
    }
