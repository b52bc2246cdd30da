"""The cache that a team shares: a prefix in an S3 bucket. What lies where is in ``layout.py``."""

from __future__ import annotations

from typing import Any

from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.cache import layout
from mrjob_pybundle.cache.builds import Builds
from mrjob_pybundle.cache.bundles import Bundles
from mrjob_pybundle.cache.claims import Claims
from mrjob_pybundle.cache.pins import Pins
from mrjob_pybundle.cache.sources import Sources
from mrjob_pybundle.cache.store import Store


class Cache:
    """The cache at *root*. Every method of its parts raises :class:`CacheError` when S3 says no."""

    def __init__(self, root: S3Uri, s3_client: Any, bucket_owner: str | None = None) -> None:
        self.root = root
        self.store = Store(root / layout.VERSION, s3_client, bucket_owner)
        self.bundles = Bundles(self.store)
        self.claims = Claims(self.store)
        self.builds = Builds(self.store)
        self.pins = Pins(self.store)
        self.sources = Sources(self.store)
