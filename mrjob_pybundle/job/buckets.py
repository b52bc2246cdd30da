"""Buckets in another region than the cluster: what works with them, as far as is known."""

from __future__ import annotations

from collections.abc import Iterator

from mrjob_pybundle.context import Context


def tmp_dir_elsewhere(bucket: str, its_region: str, region: str) -> str:
    """What to say of a ``cloud_tmp_dir`` there, from which EMR fetches bootstrap actions."""
    return (
        f"cloud_tmp_dir ({bucket}) is in {its_region}, the cluster is in {region}. EMR's documentation wants the bucket"
        " of a bootstrap action in the cluster's region; people report that it works between some regions and not"
        " between others. If the cluster cannot download its bootstrap action, set cloud_tmp_dir to a bucket in"
        f" {region}."
    )


def cache_elsewhere(bucket: str, its_region: str, region: str) -> str:
    """What to say of a cache there, from which nodes fetch bundles themselves."""
    return (
        f"the cache ({bucket}) is in {its_region}, the cluster is in {region}. That works, but nodes fetch the bundle"
        " from afar: it takes longer, and AWS bills the transfer."
    )


def buckets_elsewhere(context: Context, tmp_bucket: str, region: str) -> Iterator[str]:
    """What to warn of where clusters are in *region*, as far as S3 has told where buckets are."""
    found = context.bucket_regions
    if found.get(tmp_bucket, region) != region:
        yield tmp_dir_elsewhere(tmp_bucket, found[tmp_bucket], region)
    cache_bucket = context.cache_uri.bucket
    if found.get(cache_bucket, region) != region:
        yield cache_elsewhere(cache_bucket, found[cache_bucket], region)
