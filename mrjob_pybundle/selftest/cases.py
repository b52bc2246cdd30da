"""What is checked: a case each, with what it shows, and what it launches at most. How it is done: ``checks.py``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mrjob_pybundle.aws.releases import build_instance_type
from mrjob_pybundle.selftest import checks
from mrjob_pybundle.selftest.checks import COMPILING_MINUTES, OPTIMIZING_MINUTES, Bench
from mrjob_pybundle.selftest.conf import BUILD_TIMEOUT_MINUTES, INSTANCE_TYPE
from mrjob_pybundle.selftest.names import ROLES_CASE
from mrjob_pybundle.selftest.prices import Cluster


@dataclass(frozen=True)
class Case:
    """One thing to be checked."""

    name: str
    shows: str
    run: Callable[[Bench], None]
    #: what it launches, each living for so long at most
    clusters: tuple[Cluster, ...] = ()
    #: as long as it may take itself
    minutes: int = 20
    #: among those that are checked if nobody says which
    is_core: bool = True
    #: cases that must be green before
    needs: tuple[str, ...] = ()
    #: its cluster stays for those that need the case
    is_shared: bool = False
    #: it comes when all others have ended
    is_last: bool = False
    #: why nothing can be checked where the endpoint is none of AWS's; ``None``: it can
    only_on_aws: str | None = None
    #: it makes IAM roles: only with --iam
    makes_roles: bool = False


#: A build's cluster lives longer than the build may take: it starts, and ends.
_AROUND_A_BUILD_MINUTES = 10
_ENDING_MINUTES = 5

_A_BUILD = Cluster(INSTANCE_TYPE, 1, BUILD_TIMEOUT_MINUTES + _AROUND_A_BUILD_MINUTES)


def _compiling(arch: str = "x86_64", minutes: int = COMPILING_MINUTES) -> Cluster:
    """A build's cluster that compiles."""
    return Cluster(build_instance_type(arch), 1, minutes + _AROUND_A_BUILD_MINUTES)


def _a_job(minutes: int, instance_type: str = INSTANCE_TYPE) -> Cluster:
    """A job's cluster, which is ended when its case has ended: after so many minutes, at most."""
    return Cluster(instance_type, 2, minutes + _ENDING_MINUTES)


#: In the order in which they begin; several at a time.
CASES: tuple[Case, ...] = (
    Case("doctor", "credentials, bucket, roles, release and build's machine are as a job needs them", checks.doctor),
    Case(
        "build",
        "a build cluster compiles CPython, installs a package with pip, and publishes the bundle",
        checks.plain_build,
        clusters=(_compiling(),),
        minutes=45,
        needs=("doctor",),
    ),
    Case(
        "spark",
        f"a Spark step counts words on a bundle with CPython {checks.SPARK_PYTHON}, in driver and executors",
        checks.spark,
        clusters=(_compiling(), _a_job(45)),
        minutes=45,
        needs=("doctor",),
        only_on_aws="what stands in for EMR here need not have Spark; tests/engines does it",
    ),
    Case(
        "cached",
        "a job whose bundle is there starts at once, and counts right",
        checks.cached,
        clusters=(_a_job(20),),
        minutes=20,
        needs=("build",),
    ),
    Case(
        "cold",
        "a job whose environment is missing builds it on the cached Python, then starts its cluster",
        checks.cold,
        clusters=(_A_BUILD, _a_job(35)),
        minutes=35,
        needs=("build",),
    ),
    Case(
        "edit",
        "after an edit of venv-build.sh, the job's cluster starts beside the build, and waits for its steps",
        checks.edit,
        clusters=(_A_BUILD, _a_job(30)),
        minutes=30,
        needs=("build",),
    ),
    Case(
        "killed",
        "of a submitter that is killed with -9, the build goes on, and the job's cluster ends by itself",
        checks.killed,
        clusters=(_A_BUILD, _a_job(30)),
        minutes=30,
        needs=("build",),
    ),
    Case(
        "failing",
        "a venv-build.sh that fails ends the build, and one reads why",
        checks.failing,
        clusters=(_A_BUILD,),
        minutes=25,
        needs=("build",),
    ),
    Case(
        "joined",
        "of two authors, one builds and the other waits for it",
        checks.joined,
        clusters=(_A_BUILD,),
        minutes=25,
        needs=("build",),
    ),
    Case(
        "pooled",
        "a job joins a pooled cluster that create-cluster has made with its bundle",
        checks.pooled,
        clusters=(_a_job(30 + 25 + 20 + checks.IDLE_MINUTES),),
        minutes=30,
        needs=("build",),
        is_shared=True,
    ),
    Case(
        "existing",
        "a job on a cluster that never saw its bundle brings it along",
        checks.existing,
        clusters=(_A_BUILD,),
        minutes=25,
        needs=("pooled",),
    ),
    Case(
        "nodes",
        "what programs see in a bootstrap action and in a container",
        checks.nodes,
        minutes=20,
        needs=("pooled",),
    ),
    Case(
        "optimized",
        "CPython is compiled with profile-guided and link-time optimization",
        checks.optimized,
        clusters=(_compiling(minutes=OPTIMIZING_MINUTES),),
        minutes=75,
        is_core=False,
        needs=("doctor",),
        only_on_aws="it takes a quarter of an hour on a small machine; make bench does it there",
    ),
    Case(
        "graviton",
        "bundle and job on Graviton instances",
        checks.graviton,
        clusters=(_compiling("aarch64"), _a_job(45, checks.GRAVITON)),
        minutes=45,
        is_core=False,
        needs=("doctor",),
        only_on_aws="nodes have this machine's architecture, whatever they are called",
    ),
    Case(
        "amazon-linux-2",
        f"bundle and job on {checks.AMAZON_LINUX_2}, with CPython {checks.SPARK_PYTHON}",
        checks.amazon_linux_2,
        clusters=(_compiling(), _a_job(45)),
        minutes=45,
        is_core=False,
        needs=("doctor",),
        only_on_aws="nodes have this machine's operating system, whatever the release is called",
    ),
    Case(
        ROLES_CASE,
        "build and job work with the policies of docs/security.md, and a mapper may not write into the cache",
        checks.policies,
        clusters=(_A_BUILD, _a_job(45), _a_job(45)),
        minutes=45,
        is_core=False,
        needs=("build",),
        only_on_aws="nothing here refuses what no policy allows; tests/line has them judged",
        makes_roles=True,
    ),
    Case("gc", "what is in use stays in the cache", checks.gc, minutes=10, needs=("build",), is_last=True),
)

BY_NAME: Mapping[str, Case] = {case.name: case for case in CASES}
