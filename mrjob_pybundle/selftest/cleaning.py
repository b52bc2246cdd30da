"""Taking away what a run has made: what carries its id, and nothing else."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from mrjob_pybundle.aws.errors import explained
from mrjob_pybundle.cache import layout
from mrjob_pybundle.errors import PyBundleError
from mrjob_pybundle.selftest import roles
from mrjob_pybundle.selftest.names import ROLES_CASE, Names, run_id_in

_CLOCKS_DIFFER = timedelta(days=1)
_ENDED = ("TERMINATED", "TERMINATED_WITH_ERRORS")
#: EMR takes minutes to end a cluster, and copies its logs meanwhile.
_ENDING_MINUTES = 30


@dataclass(frozen=True)
class Aws:
    """Clients of boto3, and how often EMR is asked (seconds)."""

    s3: Any
    emr: Any
    iam: Any
    poll_seconds: float


@dataclass(frozen=True)
class OfRun:
    """A cluster of a run."""

    id: str
    name: str
    state: str

    @property
    def is_ending(self) -> bool:
        """Whether nobody need end it any more."""
        return self.state == "TERMINATING" or self.has_ended

    @property
    def has_ended(self) -> bool:
        """Whether it costs nothing any more."""
        return self.state in _ENDED


Say = Callable[[str], None]


def clean(names: Names, aws: Aws, say: Say) -> bool:
    """Remove all that a run has made, and *say* what. The result: was there anything?

    First its clusters, until none of them lives: they write into S3. Then its roles, and what it has there.

    :raises PyBundleError: AWS said no, or a cluster does not end.
    """
    ended = _end_clusters(names, aws, say)
    removed, why_not = 0, None
    if _has_intended_roles(names, aws):
        try:
            removed = roles.remove(names, aws.iam, say)
        except PyBundleError as error:
            why_not = error
    # What says that there may be roles stays as long as they may.
    deleted = _delete_objects(names, aws, but=_intents_of_roles(names) if why_not else None)
    if deleted:
        say(f"deleted {deleted} {'object' if deleted == 1 else 'objects'} below {names.directory}/")
    if why_not:
        raise PyBundleError(f"{why_not} All else is removed; left may be roles named {names.role('…')}.") from why_not
    return bool(ended or removed or deleted)


def who_began(names: Names, aws: Aws) -> str:
    """User and machine of a run, as its intents have them; ``"somebody"`` if they do not say."""
    with explained(f"looking who began run {names.id}"):
        found = aws.s3.list_objects_v2(Bucket=names.intents.bucket, Prefix=f"{names.intents.key}/", MaxKeys=1)
        if not found.get("Contents"):
            return "somebody"
        key = found["Contents"][0]["Key"]
        body = aws.s3.get_object(Bucket=names.intents.bucket, Key=key)["Body"].read()
    try:
        return str(json.loads(body)["begun by"])
    except (ValueError, TypeError, KeyError):  # of another version
        return "somebody"


def _intents_of_roles(names: Names) -> str:
    return f"{names.intents.key}/{ROLES_CASE}-"


def _has_intended_roles(names: Names, aws: Aws) -> bool:
    """Whether it was about to make roles: nobody else need be allowed to ask IAM."""
    with explained(f"looking for {names.intents}/{ROLES_CASE}-*"):
        found = aws.s3.list_objects_v2(Bucket=names.intents.bucket, Prefix=_intents_of_roles(names))
        return bool(found.get("KeyCount"))


def clusters_of(names: Names, aws: Aws) -> list[OfRun]:
    """The run's clusters, living and ended, the oldest first (ListClusters, ListObjectsV2)."""
    build_ids = _build_ids(names, aws)
    with explained("looking for the run's clusters (ListClusters)"):
        pages = aws.emr.get_paginator("list_clusters").paginate(CreatedAfter=names.began - _CLOCKS_DIFFER)
        found = [
            OfRun(cluster["Id"], cluster["Name"], cluster["Status"]["State"])
            for page in pages
            for cluster in page["Clusters"]
            if names.has_cluster(cluster["Name"], build_ids)
        ]
    return found[::-1]


def runs_in(names: Names, aws: Aws) -> list[str]:
    """Ids of the runs that have something below the same ``cloud_tmp_dir`` as *names*."""
    prefix = f"{names.base.key}/" if names.base.key else ""
    with explained(f"looking for runs below {names.base}"):
        found = _directories(aws, names.base.bucket, f"{prefix}selftest-")
        return sorted(filter(None, (run_id_in(directory.removeprefix(prefix)) for directory in found)))


def _build_ids(names: Names, aws: Aws) -> set[str]:
    """Of the builds in the run's own cache: each is written down there before its cluster is launched."""
    prefix = f"{names.cache.key}/{layout.VERSION}/{layout.BUILDS}/"
    with explained(f"looking for builds in {names.cache}"):
        return {directory.removeprefix(prefix).strip("/") for directory in _directories(aws, names.base.bucket, prefix)}


def _directories(aws: Aws, bucket: str, prefix: str) -> Iterator[str]:
    pages = aws.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, Delimiter="/")
    for page in pages:
        yield from (found["Prefix"] for found in page.get("CommonPrefixes", ()))


def end_clusters(names: Names, aws: Aws, say: Say, beginning: str) -> None:
    """End those of the run's living clusters whose names begin so; wait for nothing."""
    for cluster in clusters_of(names, aws):
        if cluster.name.startswith(beginning):
            _end(cluster, aws, say)


def _end(cluster: OfRun, aws: Aws, say: Say) -> None:
    if cluster.is_ending:
        return
    with explained(f"ending cluster {cluster.id} (TerminateJobFlows)"):
        aws.emr.terminate_job_flows(JobFlowIds=[cluster.id])
    say(f"ended cluster {cluster.id} ({cluster.name})")


def _end_clusters(names: Names, aws: Aws, say: Say) -> int:
    """End what lives, and wait until all have ended. How many were alive."""
    seen: set[str] = set()
    deadline = time.monotonic() + 60 * _ENDING_MINUTES
    while living := [cluster for cluster in clusters_of(names, aws) if not cluster.has_ended]:
        for cluster in living:
            if cluster.id not in seen:
                _end(cluster, aws, say)
                seen.add(cluster.id)
        if time.monotonic() > deadline:
            raise PyBundleError(
                f"{', '.join(cluster.id for cluster in living)} did not end within {_ENDING_MINUTES} minutes. Look at"
                f" EMR's console, then: mrjob-pybundle selftest --clean {names.id}"
            )
        time.sleep(aws.poll_seconds)
    return len(seen)


def _delete_objects(names: Names, aws: Aws, but: str | None) -> int:
    """Delete what lies in the run's directory, *but* not what begins so; how many objects that were."""
    bucket, prefix = names.directory.bucket, f"{names.directory.key}/"
    deleted = 0
    with explained(f"deleting what lies below {names.directory}"):
        for page in aws.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            found = [stored["Key"] for stored in page.get("Contents", ())]
            keys = [{"Key": key} for key in found if but is None or not key.startswith(but)]
            if keys:
                answer = aws.s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
                if answer.get("Errors"):
                    first = answer["Errors"][0]
                    raise PyBundleError(
                        f"{len(answer['Errors'])} objects below {names.directory} could not be deleted"
                        f" ({first['Key']}: {first['Code']})."
                    )
            deleted += len(keys)
    return deleted
