"""What a run will do, create and cost: said before anything is done."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError

from mrjob_pybundle.aws.clients import Credentials
from mrjob_pybundle.aws.errors import error_code
from mrjob_pybundle.errors import OptionError
from mrjob_pybundle.selftest.cases import BY_NAME, CASES, Case
from mrjob_pybundle.selftest.names import ROLES_CASE, TAG, Names
from mrjob_pybundle.selftest.prices import Cluster, dollars, how_counted

#: "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", in vCPUs (Service Quotas).
_QUOTA = ("ec2", "L-1216C47A")

#: So many cases at a time, if the quota has room for them.
AT_ONCE = 4


@dataclass(frozen=True)
class Plan:
    """What a run will do."""

    names: Names
    region: str
    cases: tuple[Case, ...]
    #: where AWS is reached, if it is not AWS
    stand_in: str | None
    at_once: int
    #: what was found of the quota
    quota: str
    #: and of instance types in the region
    instance_types: str
    #: tries what a stand-in may not be able to do, too
    tries_all: bool = False

    @property
    def to_be_done(self) -> list[Case]:
        """All that can be checked where this runs."""
        return [case for case in self.cases if self.why_not(case) is None]

    def why_not(self, case: Case) -> str | None:
        """Why a case cannot be checked here."""
        return case.only_on_aws if self.stand_in and not self.tries_all else None

    @property
    def clusters(self) -> list[Cluster]:
        """All that is launched."""
        return [cluster for case in self.to_be_done for cluster in case.clusters]

    @property
    def makes_roles(self) -> bool:
        """Whether it makes IAM roles, too."""
        return any(case.makes_roles for case in self.to_be_done)

    @property
    def dollars(self) -> float:
        """At most."""
        return dollars(self.clusters, self.region)

    def _lines_about(self, case: Case) -> Iterator[str]:
        why_not = self.why_not(case)
        price = _price(dollars(case.clusters, self.region)) if case.clusters and why_not is None else ""
        yield f"{case.name:<16}{price:>6}  {case.shows}"
        launched = [f"{one.instances} × {one.instance_type} for {one.minutes} minutes" for one in case.clusters]
        if why_not:
            yield f"{'':<24}cannot be checked here: {why_not}"
        elif launched:
            yield f"{'':<24}at most {' and '.join(launched)}"

    def text(self) -> str:
        """For who is asked whether it is to be done."""
        where = f", at {self.stand_in}, which is not AWS" if self.stand_in else ""
        lines = [f"Run {self.names.id}, in {self.region}{where}, checks:", ""]
        for case in self.cases:
            lines += self._lines_about(case)
        untouched = "no bucket" if self.makes_roles else "no role, no bucket"
        lines += [
            "",
            f"At most {_price(self.dollars)} in all, if every cluster lives as long as it may.",
            f"Prices: {how_counted(self.region)}.",
            f"Instance types: {self.instance_types}.",
            f"Quota: {self.quota}. Up to {self.at_once} {'cases' if self.at_once > 1 else 'case'} at a time.",
            "",
            f"It creates, and removes when it ends (clusters have the tag {TAG}, too):",
            f"  up to {len(self.clusters)} EMR clusters, named {self.names.label}-… or mrjob-pybundle build …;",
            "  each ends by itself, too, when its steps have ended, or when it was idle for 15 minutes",
            f"  objects below {self.names.directory}/, with a cache of its own",
            *([f"  IAM roles and instance profiles named {self.names.role('…')}"] if self.makes_roles else []),
            f"It changes nothing else: {untouched}, and no object or cluster that is there already.",
            "For the first cluster of an account, and of a VPC, EMR makes what stays and costs nothing: the",
            "service-linked role AWSServiceRoleForEMRCleanup, and security groups (ElasticMapReduce-…).",
            f"If it does not get to its end: mrjob-pybundle selftest --clean {self.names.id}",
        ]
        return "\n".join(lines)


def _price(amount: float) -> str:
    return f"${amount:.2f}"


def choose(named: Collection[str], *, everything: bool = False, with_roles: bool = False) -> tuple[Case, ...]:
    """The cases that are meant, with those that they need. *with_roles*: also the one that makes roles.

    :raises OptionError: there is no case of a name, or it is the one that makes roles.
    """
    unknown = [name for name in named if name not in BY_NAME]
    if unknown:
        raise OptionError(f"There is no case {', '.join(unknown)}. There are: {', '.join(BY_NAME)}.")
    if ROLES_CASE in named and not with_roles:
        raise OptionError(f"The case {ROLES_CASE} makes IAM roles: say --iam instead.")
    wanted = {case.name for case in CASES if everything or (case.name in named if named else case.is_core)}
    wanted = wanted | {ROLES_CASE} if with_roles else wanted - {ROLES_CASE}
    while needed := {need for name in wanted for need in BY_NAME[name].needs} - wanted:
        wanted |= needed
    return tuple(case for case in CASES if case.name in wanted)


def vcpus_of(case: Case) -> int:
    """How many vCPUs a case has running at once, at most."""
    return sum(cluster.vcpus for cluster in case.clusters)


def look_at_quota(credentials: Credentials, cases: Sequence[Case]) -> tuple[str, int]:
    """What the quota is, and for how many cases at a time it has room.

    :raises OptionError: for none.
    """
    service, code = _QUOTA
    try:
        answer = credentials.client("service-quotas").get_service_quota(ServiceCode=service, QuotaCode=code)
    except (BotoCoreError, ClientError) as error:
        return _not_checked("GetServiceQuota", error), AT_ONCE
    vcpus = int(answer["Quota"]["Value"])
    return f"{vcpus} vCPUs of running On-Demand standard instances, if nothing else runs", room_for(cases, vcpus)


def room_for(cases: Sequence[Case], vcpus: int) -> int:
    """How many cases at a time so many vCPUs have room for, beside a cluster that stays for several.

    :raises OptionError: for none.
    """
    most = max((vcpus_of(case) for case in cases), default=0)
    staying = sum(vcpus_of(case) for case in cases if case.is_shared)
    if vcpus < most + staying:
        raise OptionError(
            f"Your quota of running On-Demand standard instances is {vcpus} vCPUs, and {most + staying} are needed."
            f" Ask for more ({', '.join(_QUOTA)} in Service Quotas), or name cases that need less."
        )
    return min(AT_ONCE, (vcpus - staying) // most) if most else AT_ONCE


def look_at_instance_types(credentials: Credentials, region: str, cases: Sequence[Case]) -> str:
    """Whether the region has the cases' instance types (DescribeInstanceTypeOfferings).

    :raises OptionError: it lacks some.
    """
    wanted = sorted({cluster.instance_type for case in cases for cluster in case.clusters})
    if not wanted:
        return "none is needed"
    try:
        filters = [{"Name": "instance-type", "Values": wanted}]
        answer = credentials.client("ec2").describe_instance_type_offerings(Filters=filters)
    except (BotoCoreError, ClientError) as error:
        return _not_checked("DescribeInstanceTypeOfferings", error)
    offered = {offering["InstanceType"] for offering in answer["InstanceTypeOfferings"]}
    missing = [name for name in wanted if name not in offered]
    if missing:
        raise OptionError(f"{region} has no {', '.join(missing)}, which cases need. Name others.")
    return f"{region} has all that are needed"


def _not_checked(operation: str, error: Exception) -> str:
    return f"not checked ({operation}: {error_code(error) or type(error).__name__})"
