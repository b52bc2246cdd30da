"""Which Python a Spark step runs on: who may name one, and what steps are told so that it is the bundle's.

Spark asks, in this order, ``spark.pyspark.driver.python``, ``spark.pyspark.python``, ``PYSPARK_DRIVER_PYTHON`` and
``PYSPARK_PYTHON`` (``PythonRunner``; "Spark Configuration", section "Environment Variables"), and takes the one of
its driver for executors, too, unless that is the driver's alone. mrjob sets the last one only. All the others would
beat it: those in a job's own options, and those that a cluster has for everybody (``spark-defaults``, ``spark-env``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_PYTHON = "spark.pyspark.python"
_DRIVER_PYTHON = "spark.pyspark.driver.python"
_VARIABLE = "PYSPARK_PYTHON"
_DRIVER_VARIABLE = "PYSPARK_DRIVER_PYTHON"

_SETTING = re.compile(
    rf"{re.escape(_PYTHON)}|{re.escape(_DRIVER_PYTHON)}"
    rf"|spark\.(?:yarn\.appMasterEnv|executorEnv)\.(?:{_VARIABLE}|{_DRIVER_VARIABLE})"
)
_OF_DRIVER_ALONE = (_DRIVER_PYTHON, f"spark.yarn.appMasterEnv.{_DRIVER_VARIABLE}")


def named_by(opts: Mapping[str, Any]) -> dict[str, str]:
    """What *opts* (mrjob's, or a step's) say of Spark's Python: name → value, of jobconf, spark_args and cmdenv."""
    jobconf, cmdenv = (opts.get(name) or {} for name in ("jobconf", "cmdenv"))
    return {
        **{name: value for name, value in cmdenv.items() if name in (_VARIABLE, _DRIVER_VARIABLE)},
        **{name: value for name, value in jobconf.items() if _SETTING.fullmatch(name)},
        **{name: value for _, name, value in _settings_in(opts.get("spark_args") or ())},
    }


def without_python(opts: Mapping[str, Any]) -> dict[str, Any]:
    """*opts* of a section of a conf file, but for what they say of Spark's Python."""
    kept = dict(opts)
    for name in ("jobconf", "cmdenv"):
        if isinstance(opts.get(name), Mapping):
            said = named_by({name: opts[name]})
            kept[name] = {key: value for key, value in opts[name].items() if key not in said}
    if isinstance(opts.get("spark_args"), list):
        left_out = {place for places, *_ in _settings_in(opts["spark_args"]) for place in places}
        kept["spark_args"] = [arg for place, arg in enumerate(opts["spark_args"]) if place not in left_out]
    return kept


def named_by_cluster(configurations: Sequence[Mapping[str, Any]]) -> list[str]:
    """The settings of Spark's Python among *emr_configurations*: what a cluster has for all of its steps."""
    names = []
    for configuration in configurations:
        properties = configuration.get("Properties") or {}
        names += [name for name in properties if _SETTING.fullmatch(name) or name in (_VARIABLE, _DRIVER_VARIABLE)]
        names += named_by_cluster(configuration.get("Configurations") or ())
    return names


def configurations_of_cluster(python: str) -> list[dict[str, Any]]:
    """EMR's ``Configurations`` with which drivers and executors run on *python*, unless a job says otherwise.

    In ``spark-defaults``: what stands there beats what EMR itself exports in ``spark-env``.
    """
    return [{"Classification": "spark-defaults", "Properties": {_PYTHON: python, _DRIVER_PYTHON: python}}]


def settings_of_step(said: Mapping[str, str], cmdenv: Mapping[str, str], driver_python: str | None) -> dict[str, str]:
    """Settings that have a step run on the Python of mrjob's *cmdenv* for Spark, whatever its cluster's are.

    *said* is what the job itself says of Spark's Python, which wins. *driver_python* is for a driver on the master;
    ``None``: it runs as executors do.
    """
    if any(name.startswith("spark.") and name not in _OF_DRIVER_ALONE for name in said):
        return {}
    settings = {_PYTHON: cmdenv[_VARIABLE]}
    if not any(name in said for name in _OF_DRIVER_ALONE):
        own = driver_python if _VARIABLE not in said else None
        settings[_DRIVER_PYTHON] = cmdenv.get(_DRIVER_VARIABLE) or own or cmdenv[_VARIABLE]
    return settings


def is_in_client_mode(spark_args: Sequence[Any], step: Mapping[str, Any]) -> bool:
    """Whether the driver of a Spark step runs on the master. Of several deploy modes, the last one counts."""
    args = " ".join(map(str, [*spark_args, *step.get("spark_args", ())]))
    return re.findall(r"--deploy-mode[= ](\S+)", args)[-1:] == ["client"]


def _settings_in(spark_args: Sequence[Any]) -> Iterator[tuple[tuple[int, ...], str, str]]:
    """Where in *spark_args* a setting of Spark's Python stands, its name and its value."""
    for place, arg in enumerate(spark_args):
        is_switch = place > 0 and spark_args[place - 1] in ("--conf", "-c")
        joined = re.match(r"--conf=", str(arg))
        name, _, value = (str(arg)[joined.end() :] if joined else str(arg)).partition("=")
        if (is_switch or joined) and _SETTING.fullmatch(name):
            yield (place - 1, place) if is_switch else (place,), name, value
