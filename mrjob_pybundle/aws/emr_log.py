"""What EMR itself has kept of a cluster's only step: all there is of a build whose master could say nothing."""

from __future__ import annotations

import gzip
import logging
import time
import zlib
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from mrjob_pybundle.aws.emr import Emr
from mrjob_pybundle.aws.errors import error_code, explained
from mrjob_pybundle.aws.s3 import S3Uri, read_object

log = logging.getLogger("mrjob.pybundle")

#: How long the end of a cluster is waited for.
_END_WAIT_SECONDS = 600


@dataclass(frozen=True)
class EmrLog:
    """The stderr of a step."""

    uri: S3Uri
    #: ``None``: it has not come (yet), or we may not read it
    text: str | None


def read_emr_log(cluster_id: str, emr: Emr, s3_client: Any, pause: float) -> EmrLog | None:
    """The log of the step of a cluster; ``None`` where EMR keeps none, or does not know the cluster.

    EMR copies logs every five minutes, and once more while a cluster terminates. So a cluster that does is asked
    every *pause* seconds whether it has.

    :raises CacheError: EMR or S3 did not say.
    """
    directory = emr.step_logs(cluster_id)
    if directory is None:
        return None
    _wait_for_the_end(cluster_id, emr, pause)
    uri = directory / "stderr.gz"
    with explained(f"reading {uri}"):
        try:
            packed = read_object(s3_client, Bucket=uri.bucket, Key=uri.key)["Body"]
        except ClientError as error:
            if error_code(error):
                return EmrLog(uri, None)
            raise
    try:
        return EmrLog(uri, gzip.decompress(packed).decode("utf-8", "replace"))
    except (OSError, EOFError, zlib.error):  # damaged
        return EmrLog(uri, None)


def _wait_for_the_end(cluster_id: str, emr: Emr, pause: float) -> None:
    give_up = time.monotonic() + _END_WAIT_SECONDS
    is_told = False
    while emr.cluster(cluster_id).is_ending and time.monotonic() < give_up:
        if not is_told:
            log.info("Waiting for cluster %s to terminate: EMR's own log of it comes with its end", cluster_id)
            is_told = True
        time.sleep(pause)
