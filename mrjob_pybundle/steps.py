"""A job's steps: what their commands become on nodes, and how many of them EMR takes at a time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from mrjob_pybundle.mrjob_plugin import ALIAS

#: So many steps of a cluster may be pending or running (EMR Management Guide, "Submit work to a cluster").
MAX_ACTIVE_STEPS = 256

# What Hadoop Streaming takes for a mapper, combiner or reducer itself, instead of running a command.
_STREAMING_BUILT_IN = re.compile(r"aggregate|NONE|([a-z_]\w*\.)+[A-Z]\w*(\$\w+)*")


def is_refused_by_full_cluster(error: ClientError) -> bool:
    """Whether EMR takes no such number of steps because its cluster would have too many."""
    return "Maximum number of active steps" in str(error)


def is_run_by_streaming_itself(args: Sequence[str]) -> bool:
    """Whether Hadoop Streaming knows that mapper, combiner or reducer, so that no process runs."""
    return len(args) == 1 and bool(_STREAMING_BUILT_IN.fullmatch(args[0]))


def is_in_client_mode(spark_args: Sequence[str], step: Mapping[str, Any]) -> bool:
    """Whether the driver of a Spark step runs on the master. Of several deploy modes, the last one counts."""
    args = " ".join([*spark_args, *step.get("spark_args", ())])
    return re.findall(r"--deploy-mode[= ](\S+)", args)[-1:] == ["client"]


def with_runner_that_nodes_know(args: Sequence[Any]) -> list[Any]:
    """*args* for tasks, in which a passed-through ``--runner`` says ``emr``: nodes don't know our alias."""
    result: list[Any] = []
    for arg in args:
        follows_switch = bool(result) and result[-1] in ("-r", "--runner")
        if follows_switch and arg == ALIAS:
            result.append("emr")
        elif arg == f"--runner={ALIAS}":
            result.append("--runner=emr")
        else:
            result.append(arg)
    return result
