"""What instances cost: a table, with its date and where it is from. Nothing is asked for it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

#: In US dollars per hour, On-Demand, us-east-1, as several projects have them in their code; nobody here has read them
#: on AWS's own pages. EMR takes a quarter of what EC2 does.
SOURCE = (
    "us-east-1 in 2025, as other projects had noted them, not read on AWS's pages: compare them with\n"
    "aws.amazon.com/ec2/pricing/on-demand and aws.amazon.com/emr/pricing"
)

#: Regions in which these prices hold, too. Elsewhere one pays up to so many times as much; São Paulo is the dearest.
_LIKE_VIRGINIA = ("us-east-1", "us-east-2", "us-west-2")
_FACTOR_ELSEWHERE = 1.7

#: What else an instance costs for an hour, at most: 80 GB of disks at 10 cents a month, and a public address.
_DISKS_AND_ADDRESS = 0.02


@dataclass(frozen=True)
class Price:
    """Of one instance for one hour, in US dollars."""

    ec2: float
    emr: float
    vcpus: int

    @property
    def total(self) -> float:
        """With its disks and its address."""
        return self.ec2 + self.emr + _DISKS_AND_ADDRESS


PRICES: Mapping[str, Price] = {
    "m5.xlarge": Price(ec2=0.192, emr=0.048, vcpus=4),
    "m6g.xlarge": Price(ec2=0.154, emr=0.0385, vcpus=4),
    "c5.4xlarge": Price(ec2=0.68, emr=0.17, vcpus=16),
    "c6g.4xlarge": Price(ec2=0.544, emr=0.136, vcpus=16),
}


@dataclass(frozen=True)
class Cluster:
    """A cluster that lives for so many minutes at most."""

    instance_type: str
    instances: int
    minutes: int

    @property
    def vcpus(self) -> int:
        """Of all of its instances."""
        return PRICES[self.instance_type].vcpus * self.instances


def dollars(clusters: Iterable[Cluster], region: str) -> float:
    """What *clusters* cost at most, rounded up to a whole cent."""
    factor = 1.0 if region in _LIKE_VIRGINIA else _FACTOR_ELSEWHERE
    hours = ((cluster, cluster.instances * cluster.minutes / 60) for cluster in clusters)
    return math.ceil(100 * factor * sum(PRICES[cluster.instance_type].total * n for cluster, n in hours)) / 100


def how_counted(region: str) -> str:
    """Where the figures are from."""
    elsewhere = "" if region in _LIKE_VIRGINIA else f", times {_FACTOR_ELSEWHERE} for {region}"
    return f"{SOURCE}{elsewhere};\nS3's requests and storage, and taxes, come on top"
