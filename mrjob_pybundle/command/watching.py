"""Builds that somebody has started: looking at them, and stopping them."""

from __future__ import annotations

import logging
from dataclasses import replace

from mrjob_pybundle.aws.emr import Life
from mrjob_pybundle.build import find_cluster, follow, with_cluster
from mrjob_pybundle.cache.builds import Status, cluster_name, is_build_id
from mrjob_pybundle.cache.cache import Cache
from mrjob_pybundle.cache.claims import Claim
from mrjob_pybundle.cache.inventory import find_claim, running_builds
from mrjob_pybundle.context import Context
from mrjob_pybundle.errors import BuildError, CacheError, OptionError
from mrjob_pybundle.job.times import clock

log = logging.getLogger("mrjob.pybundle")


def only_build(cache: Cache) -> str:
    """The id of the build that is running.

    :raises OptionError: none is, or several are.
    """
    claims = running_builds(cache)
    if not claims:
        raise OptionError(f"no build is running for {cache.root}. To look at one that has ended, give its id.")
    if len(claims) > 1:
        names = ", ".join(f"{claim.build_id} of {claim.owner}" for claim in claims)
        raise OptionError(f"several builds are running: {names}. Say which.")
    return claims[0].build_id


def ended_build(build_id: str, cache: Cache) -> tuple[Status, bytes] | None:
    """Outcome and log of a build, ``None`` if its master has not said that it has ended.

    :raises OptionError: there was no such build.
    """
    _check_exists(build_id, cache)
    status = cache.builds.status(build_id)
    if status is None or status.state == "RUNNING":
        return None
    return status, cache.builds.read_log(build_id, 0, status.log_size)


def watch(build_id: str, context: Context) -> Status:
    """Show log and stages of a build until it ends.

    :raises BuildError: it has no cluster, as far as anybody can tell.
    """
    claim = _claim_of(build_id, context)
    if claim.cluster_id is None and context.cache.builds.status(build_id) is None:
        raise _has_no_cluster(claim, context)
    return follow(claim, context)


def stop(build_id: str, context: Context) -> str:
    """End a build by ending its cluster, whose id is returned. Its master still says so, and frees the claim.

    :raises BuildError: it has ended already, or has no cluster, or none that EMR knows where the claim says that it is.
    """
    ended = ended_build(build_id, context.cache)
    if ended is not None:
        raise BuildError(f"Build {build_id} has ended already: {outcome(ended[0])}")
    claim = _claim_of(build_id, context)
    if claim.cluster_id is None:
        raise _has_no_cluster(claim, context)
    emr = context.emr_in(claim.region)
    cluster = emr.cluster(claim.cluster_id)
    if cluster.life is Life.UNKNOWN:
        account = f"it is account {claim.account}'s, ask from there" if claim.account else "wrong region or account"
        raise BuildError(
            f"EMR in {emr.region} does not know cluster {cluster.id} of build {build_id}: {account}, or it ended more"
            " than two months ago."
        )
    if cluster.name != cluster_name(build_id):
        # Who may write claims is not thereby one whose word ends clusters.
        raise BuildError(
            f"Build {build_id} names cluster {claim.cluster_id}, which is not a build's. It was left alone."
        )
    if cluster.life is Life.ENDED:
        _note_cluster(claim, context)
        raise BuildError(f"Build {build_id} has ended already: its cluster {cluster.id} is {cluster.state}.")
    emr.terminate(claim.cluster_id)
    _note_cluster(claim, context)
    return claim.cluster_id


def _note_cluster(claim: Claim, context: Context) -> None:
    """Have the claim in the cache name its cluster, as *claim* does: whoever needs the bundle next sees that it ended.

    One without a cluster stands for an author who may be about to launch theirs.
    """
    try:
        found = find_claim(context.cache, claim.build_id)
        if found is not None and found[1].cluster_id is None:
            key, unnoted = found
            noted = replace(unnoted, cluster_id=claim.cluster_id, region=claim.region, account=claim.account)
            context.cache.claims.replace(key, unnoted, noted)
    except CacheError as error:
        log.warning("%s. The next job that needs the bundle waits for two minutes.", str(error).rstrip("."))


def outcome(status: Status) -> str:
    """How a build ended, in words."""
    if status.state == "SUCCEEDED":
        return f"it succeeded, after {clock(sum(status.stages.values()))}."
    return f"it failed in stage {status.stage}: {status.reason}"


def _check_exists(build_id: str, cache: Cache) -> None:
    if not is_build_id(build_id):
        raise OptionError(f"{build_id!r} is no build id. One looks like 20261122-101112-0a1b2c3d.")
    if not cache.builds.exists(build_id) and find_claim(cache, build_id) is None:
        raise OptionError(f"{cache.root} knows of no build {build_id}.")


def _claim_of(build_id: str, context: Context) -> Claim:
    """The claim of a build, with its cluster if there is one to be found."""
    found = find_claim(context.cache, build_id)
    claim = found[1] if found else Claim(build_id, owner="", since=0.0)
    if claim.cluster_id is None:
        cluster = find_cluster(claim, context)
        claim = with_cluster(claim, cluster) if cluster else claim
    return claim


def _has_no_cluster(claim: Claim, context: Context) -> BuildError:
    region = claim.region or context.emr.region
    return BuildError(
        f"Build {claim.build_id} has no cluster, or not yet: EMR in {region} lists none with its id in the name."
        " (It does not list those of other accounts.)"
    )
