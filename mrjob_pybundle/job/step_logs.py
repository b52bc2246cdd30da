"""The logs of a step in S3: EMR copies them every few minutes while it runs, and once more after its end."""

from __future__ import annotations

import logging
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from mrjob_pybundle.aws.errors import explain, may_pass

log = logging.getLogger("mrjob.pybundle")

#: How long mrjob waits for a step's logs, too. A job can do without them, so S3 is not waited for any longer either.
LOG_WAIT_SECONDS = 600.0

#: A step's logs are copied one after the other. When one has come, its syslog, if it has any, comes before we have
#: looked that often.
_LOOKS_FOR_SYSLOG = 2


@dataclass(frozen=True)
class StepLog:
    """The log of a step that has *ended* (EMR's time), below *uri* (``s3://bucket/logs/j-…/steps/s-…/``)."""

    uri: str
    ended: datetime

    def written_since_the_end(self, s3_client: Any) -> list[str]:
        """Names of the objects that are no mere part of a log: written when the step had ended.

        :raises botocore.exceptions.ClientError: they cannot be listed.
        """
        bucket, _, prefix = self.uri.removeprefix("s3://").partition("/")
        pages = s3_client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        found = [item for page in pages for item in page.get("Contents", ())]
        ended = self.ended.replace(microsecond=0)  # S3 tells time in seconds
        return [item["Key"].removeprefix(prefix) for item in found if item["LastModified"] >= ended]


def wait_for_log(step_log: StepLog, s3_client: Any, pause: float, goes_on: Callable[[], bool]) -> bool:
    """Look every *pause* seconds until the whole log is there; not when its cluster no longer *goes_on*.

    The result says whether it came. mrjob finds counters in the syslog; there are steps that write none.
    """
    give_up = time.monotonic() + LOG_WAIT_SECONDS
    looks_for_syslog = 0
    while True:
        written = step_log.written_since_the_end(s3_client)
        if any(name.startswith("syslog") for name in written) or (written and looks_for_syslog == _LOOKS_FOR_SYSLOG):
            return True
        looks_for_syslog += bool(written)
        if time.monotonic() >= give_up or not goes_on():
            return False
        time.sleep(pause)


@contextmanager
def unreadable_logs_told(what: str) -> Iterator[None]:
    """A log that S3 does not give, or that cannot be unpacked, costs what mrjob looks for in it, and not the job."""
    try:
        yield
    except (zlib.error, EOFError) as error:
        log.warning("could not read the %s: a log in S3 is damaged (%s)", what, error)
    except (BotoCoreError, ClientError) as error:
        if not may_pass(error):
            raise
        log.warning("could not read the %s: %s", what, explain(error, "reading logs"))
