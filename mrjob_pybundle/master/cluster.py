"""The cluster that a build runs on, as EMR is asked for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from mrjob_pybundle.cache.builds import cluster_name
from mrjob_pybundle.templates import read_template


def cluster_request(
    shared: Mapping[str, Any],
    build_id: str,
    step_args: list[str],
    *,
    instance_type: str,
    owner: str,
    tags: Mapping[str, str],
    bootstrap_actions: Sequence[tuple[str, Sequence[str]]] = (),
) -> dict[str, Any]:
    """RunJobFlow's parameters for a build: one master, one step, and it ends by itself.

    *bootstrap_actions* are URIs and arguments of what runs before the step.

    *shared* has what it shares with the job's cluster. (A person who sets ``extra_cluster_params`` may have
    anything in there, so what makes it a build cluster is set last.)
    """
    request = deepcopy(dict(shared))
    instances = request.setdefault("Instances", {})
    for name in (
        "InstanceGroups",
        "InstanceFleets",
        "MasterInstanceType",
        "SlaveInstanceType",
        "InstanceCount",
    ):
        instances.pop(name, None)
    if "Ec2SubnetIds" in instances:  # only instance fleets take several subnets
        instances["InstanceFleets"] = [
            {
                "InstanceFleetType": "MASTER",
                "TargetOnDemandCapacity": 1,
                "InstanceTypeConfigs": [{"InstanceType": instance_type}],
            }
        ]
    else:
        instances["InstanceGroups"] = [
            {"InstanceRole": "MASTER", "InstanceType": instance_type, "InstanceCount": 1, "Market": "ON_DEMAND"}
        ]
    instances["KeepJobFlowAliveWhenNoSteps"] = False
    instances["TerminationProtected"] = False
    for name in ("AutoTerminationPolicy", "ManagedScalingPolicy", "AutoScalingRole", "StepConcurrencyLevel"):
        request.pop(name, None)
    all_tags = {tag["Key"]: tag["Value"] for tag in request.pop("Tags", ())}
    all_tags.update(tags, **{"mrjob-pybundle-build": build_id, "mrjob-pybundle-owner": owner})
    request.update(
        Name=cluster_name(build_id),
        Applications=[{"Name": "Hadoop"}],
        BootstrapActions=[
            {"Name": f"action {number}", "ScriptBootstrapAction": {"Path": uri, "Args": list(arguments)}}
            for number, (uri, arguments) in enumerate(bootstrap_actions)
        ],
        Steps=[
            {
                "Name": "build-binaries.sh",
                "ActionOnFailure": "TERMINATE_CLUSTER",
                "HadoopJarStep": {
                    "Jar": "command-runner.jar",
                    "Args": ["bash", "-c", read_template("master/fetch-and-run.sh"), "build", *step_args],
                },
            }
        ],
        Tags=[{"Key": key, "Value": value} for key, value in sorted(all_tags.items())],
        VisibleToAllUsers=True,
    )
    return request
