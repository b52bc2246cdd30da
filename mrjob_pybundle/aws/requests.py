"""What a request for a cluster (EMR's RunJobFlow) asks for, as far as it decides on a bundle and on who writes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mrjob_pybundle.aws.emr import Machines
from mrjob_pybundle.errors import OptionError

#: RunJobFlow's parameters that name instances → the options of mrjob that lead to them.
_OPTIONS = {"InstanceFleets": "instance_fleets", "InstanceGroups": "instance_groups"}


@dataclass(frozen=True)
class Wanted:
    """What a cluster is to be made of, and who it is. ``None`` as a role: whatever mrjob finds or makes."""

    machines: Machines
    #: EC2 instance profile (``JobFlowRole``)
    instance_profile: str | None
    service_role: str | None


def wanted_by(request: Mapping[str, Any]) -> Wanted:
    """What *request*, RunJobFlow's parameters, asks for. They need not be complete.

    :raises OptionError: its instances cannot be told, or have different AMIs.
    """
    label = _text(request, "ReleaseLabel") or f"ami-{request.get('AmiVersion')}"
    instances = request.get("Instances") or {}
    if not isinstance(instances, Mapping):
        raise OptionError(f"extra_cluster_params: Instances is {instances!r}, and no mapping")
    return Wanted(
        Machines.of(label, _text(request, "CustomAmiId"), list(_kinds_of_instances(instances))),
        _text(request, "JobFlowRole"),
        _text(request, "ServiceRole"),
    )


def _text(parameters: Mapping[str, Any], name: str) -> str | None:
    value = parameters.get(name)
    if value is not None and not isinstance(value, str):
        raise OptionError(f"extra_cluster_params: {name} is {value!r}, and no text")
    return value or None


#: All strings of a step together (AddJobFlowSteps in the Amazon EMR API Reference).
_MAX_CHARACTERS_OF_STEP = 10_240


def check_step_fits(step: Mapping[str, Any], brought: Collection[str] = ()) -> None:
    """Check that EMR takes *step*, one of AddJobFlowSteps' parameters. *brought* are URIs of the bundle's files in it.

    :raises OptionError: its strings are too long; the message names what most of them belong to.
    """
    jar_step = step["HadoopJarStep"]
    args = [str(arg) for arg in jar_step["Args"]]
    characters = sum(map(len, (jar_step["Jar"], jar_step.get("MainClass") or "", *args)))
    if characters <= _MAX_CHARACTERS_OF_STEP:
        return
    switch, of_switches = "", Counter[str]()
    for arg in args:
        # What a job's own script is passed has switches, too, and long ones are its values.
        switch = arg.partition("=")[0] if arg.startswith("-") else switch
        of_switches[switch] += len(arg)
    (longest, share), *_ = of_switches.most_common(1)
    carried = sum(len(uri) for arg in args for uri in brought if uri in arg)
    bundles = (
        f"; {carried:,} are the bundle's, which the job need not bring along to a cluster that mrjob-pybundle"
        " create-cluster has made"
    )
    raise OptionError(
        f"{step['Name']} has arguments of {characters:,} characters in all, and EMR takes {_MAX_CHARACTERS_OF_STEP:,}"
        f" ({share:,} belong to {longest or 'the first ones'}{bundles if carried else ''}). Shorten them: a directory"
        " or a glob in the place of many inputs, an archive in that of many files, a file in that of a long argument."
    )


def check_asks_for(request: Mapping[str, Any], wanted: Wanted, whose: str) -> None:
    """Check that *request*, which is about to be sent, asks for the cluster that the bundle's key was made for.

    :raises OptionError: it asks for another one.
    """
    asked = wanted_by(request)
    compared = {
        "release": (asked.machines.release_label, wanted.machines.release_label),
        "AMI": (asked.machines.image_id, wanted.machines.image_id),
        "instance types": (asked.machines.instance_types, wanted.machines.instance_types),
        "instance profile": (asked.instance_profile, wanted.instance_profile or asked.instance_profile),
        "service role": (asked.service_role, wanted.service_role or asked.service_role),
    }
    differences = [f"{name}: {found!r}, not {meant!r}" for name, (found, meant) in compared.items() if found != meant]
    if differences:
        raise OptionError(
            f"The request for {whose} is not the one that the bundle's key was made for ({'; '.join(differences)})."
            " Nothing was launched."
        )


def _kinds_of_instances(instances: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Mappings with an ``InstanceType``, and perhaps a ``CustomAmiId``, of all instances that it may be."""
    given = [name for name in _OPTIONS if instances.get(name) is not None]
    if len(given) > 1:
        raise OptionError(
            f"The job's cluster would have {' and '.join(given)}, and EMR takes one of them. With extra_cluster_params,"
            " set the other to null, for example Instances.InstanceGroups."
        )
    for name in given:
        value = instances[name]
        try:
            groups = value if name == "InstanceGroups" else [c for f in value for c in f.get("InstanceTypeConfigs", ())]
            kinds = [
                {"InstanceType": group["InstanceType"], "CustomAmiId": _text(group, "CustomAmiId")} for group in groups
            ]
        except (AttributeError, KeyError, TypeError) as error:
            raise OptionError(f"{_OPTIONS[name]}: {value!r} is not what EMR's RunJobFlow takes") from error
        yield from kinds
    for name in ("MasterInstanceType", "SlaveInstanceType"):
        if instances.get(name) is not None:
            yield {"InstanceType": instances[name]}


#: RunJobFlow's parameters that a build cluster shares with the job's, besides release and AMI: where it is and who pays
#: for it, what it runs on, how it is encrypted, where it logs. Whatever else RunJobFlow knows, now or later, is the
#: job's own: its size and its applications, what it runs and as whom, how long it lives.
SHARED = frozenset(
    {
        *("LogUri", "LogEncryptionKmsKeyId", "AdditionalInfo", "ServiceRole", "Tags"),
        *("OSReleaseLabel", "RepoUpgradeOnBoot", "ExtendedSupport"),
        *("EbsRootVolumeSize", "EbsRootVolumeIops", "EbsRootVolumeThroughput"),
        *("SecurityConfiguration", "KerberosAttributes"),
    }
)
#: Of ``Instances``, too.
SHARED_OF_INSTANCES = frozenset(
    {
        *("Ec2KeyName", "Ec2SubnetId", "Ec2SubnetIds", "Placement"),
        *("EmrManagedMasterSecurityGroup", "EmrManagedSlaveSecurityGroup", "ServiceAccessSecurityGroup"),
        *("AdditionalMasterSecurityGroups", "AdditionalSlaveSecurityGroups"),
    }
)


def shared_with_build(request: Mapping[str, Any], builders: Wanted) -> dict[str, Any]:
    """What the cluster of a build, which is to be *builders*, takes from *request* for a job's cluster.

    People put anything into ``extra_cluster_params``: only what is :data:`SHARED` gets through, and never a profile, or
    a job's nodes could become builders.
    """
    given = request.get("Instances") or {}
    instances = {name: value for name, value in given.items() if name in SHARED_OF_INSTANCES}
    zones = (instances.get("Placement") or {}).get("AvailabilityZones")
    if zones:  # only instance fleets take several; a build has one master
        instances["Placement"] = {"AvailabilityZone": zones[0]}
    params = {
        **{name: value for name, value in request.items() if name in SHARED},
        "ReleaseLabel": builders.machines.release_label,
        "CustomAmiId": builders.machines.image_id,
        "JobFlowRole": builders.instance_profile,
        "Instances": instances,
    }
    return {name: value for name, value in params.items() if value is not None}
