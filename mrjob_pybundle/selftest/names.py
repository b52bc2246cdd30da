"""What a run's things are called: each carries the run's id, and nothing else does."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.cache.builds import began, build_id_of, new_build_id

#: Of all that can be tagged; its value is the run's id.
TAG = "mrjob-pybundle-selftest"

#: The case that makes roles, and says so before.
ROLES_CASE = "iam"

_BEGINNING = "selftest-"
_LABEL = re.compile(rf"{_BEGINNING}(\d{{8}}-\d{{6}}-[0-9a-f]{{8}})")


@dataclass(frozen=True)
class Names:
    """The names of all that a run makes."""

    #: such as ``20261122-101112-0a1b2c3d``
    id: str
    #: below which its own directory lies: ``cloud_tmp_dir``
    base: S3Uri

    @classmethod
    def new(cls, base: S3Uri) -> Names:
        """Names that nobody has had before."""
        return cls(new_build_id(), base)

    @property
    def label(self) -> str:
        """With which the labels of its jobs begin."""
        return f"{_BEGINNING}{self.id}"

    @property
    def directory(self) -> S3Uri:
        """All that it has in S3 lies below."""
        return self.base / self.label

    @property
    def cache(self) -> S3Uri:
        """A cache of bundles of its own."""
        return self.directory / "cache"

    @property
    def intents(self) -> S3Uri:
        """What it was about to create, one object each, written before."""
        return self.directory / "intents"

    @property
    def pool(self) -> str:
        """Its pool of clusters."""
        return self.label

    @property
    def began(self) -> datetime:
        """When it began, by the clock of who began it."""
        return began(self.id)

    def label_of(self, case: str) -> str:
        """With which the names of a case's jobs, and so of their clusters, begin."""
        return f"{self.label}-{case}"

    def role(self, whose: str) -> str:
        """The IAM role, and instance profile, that *whose* policy is tried with."""
        return f"{TAG}-{self.id}-{whose}"

    def has_cluster(self, name: str, build_ids: Collection[str]) -> bool:
        """Whether a cluster of that name is this run's: a job's, by its label; or a build's, by the id of one that the
        run's own cache knows (*build_ids*). A build is written down there before its cluster is launched.
        """
        return name.startswith(f"{self.label}-") or build_id_of(name) in build_ids


def run_id_in(text: str) -> str | None:
    """The id of the run whose directory has the name *text*, ``None`` if it is none's."""
    match = _LABEL.fullmatch(text.strip("/"))
    return match[1] if match else None
