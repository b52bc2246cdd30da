"""The cache on AWS's bad days: what is got over without a word, what is told, and how often AWS is asked."""

from __future__ import annotations

import json
import time
import uuid

import pytest

from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.bundle.spec import BundleSpec, PythonSpec
from mrjob_pybundle.cache.cache import Cache
from mrjob_pybundle.cache.claims import Claim
from mrjob_pybundle.errors import CacheError, TransientError
from mrjob_pybundle.sandbox import BUCKET
from mrjob_pybundle.sandbox.api.faults import (
    ACCESS_DENIED,
    CONFLICT,
    INTERNAL_ERROR,
    SLOW_DOWN,
    CutShort,
    Fault,
    FlipBits,
    HangUp,
    LoseAnswer,
    Rule,
)
from tests.faults.conftest import Aws

OUR_ATTEMPTS = 5

SPEC = BundleSpec(
    PythonSpec("3.13.5", None, (), False, "x86_64", "amzn2023"), None, (), "0.7.4", "0" * 64, hook_version=1
)


@pytest.fixture
def cache(aws: Aws) -> Cache:
    """A cache with a complete bundle of SPEC."""
    cache = Cache(S3Uri(BUCKET, uuid.uuid4().hex), aws.s3)
    sections = {}
    for kind, key in (("python", SPEC.python.key), ("venv", SPEC.key)):
        content = kind.encode()
        digest = f"{kind == 'venv':064x}"
        aws.put(f"{cache.root.key}/v1/{kind}/{key}/{digest}.tar.gz", content)
        sections[kind] = {"key": key, "sha256": digest, "size": len(content), "unpacked_size": 1}
    manifest = {"key": SPEC.key, "archive": sections["venv"], "python": sections["python"]}
    aws.put(f"{cache.root.key}/v1/venv/{SPEC.key}/manifest.json", json.dumps(manifest).encode())
    return cache


REQUESTS = [SLOW_DOWN, INTERNAL_ERROR, HangUp(), LoseAnswer()]
#: S3 sends no checksums with listings; TLS guards these
BODIES = [CutShort(), FlipBits()]


@pytest.mark.parametrize(
    ("operation", "fault"),
    [*(("ListObjectsV2", fault) for fault in REQUESTS), *(("GetObject", fault) for fault in (*REQUESTS, *BODIES))],
    ids=str,
)
def test_a_bundle_is_found_all_the_same(aws: Aws, cache: Cache, operation: str, fault: Fault) -> None:
    with aws.faults.injected(Rule(operation, fault, times=2)) as strikes:
        assert cache.bundles.find(SPEC) is not None
    assert len(strikes) == 2


@pytest.mark.parametrize(
    ("fault", "told", "requests"),
    [
        (SLOW_DOWN, "AWS is throttling requests, even after retries", OUR_ATTEMPTS),
        (INTERNAL_ERROR, "AWS said no", OUR_ATTEMPTS),
        (HangUp(), "AWS gave no usable answer, even after retries", OUR_ATTEMPTS),
        (CutShort(), "AWS gave no usable answer, even after retries", OUR_ATTEMPTS),
        (FlipBits(), "AWS gave no usable answer, even after retries", OUR_ATTEMPTS),
        (ACCESS_DENIED, "No permission", 1),
    ],
    ids=["SlowDown", "InternalError", "HangUp", "CutShort", "FlipBits", "AccessDenied"],
)
def test_what_does_not_pass_is_told_in_one_line(aws: Aws, cache: Cache, fault: Fault, told: str, requests: int) -> None:
    with aws.faults.injected(Rule("GetObject", fault)) as strikes, pytest.raises(CacheError) as caught:
        cache.bundles.find(SPEC)
    message = str(caught.value)
    assert message.startswith(told)
    assert f"reading s3://{BUCKET}/{cache.root.key}/v1/venv/{SPEC.key}/manifest.json" in message
    assert "\n" not in message
    assert len(strikes) == requests


@pytest.mark.parametrize("fault", [LoseAnswer(), SLOW_DOWN, CONFLICT, HangUp()], ids=lambda fault: str(fault)[:20])
def test_a_claim_is_mine_whatever_became_of_the_first_try(aws: Aws, cache: Cache, fault: Fault) -> None:
    """A PUT whose answer got lost is sent again, and meets itself: the build id inside says so."""
    mine = Claim("a-build", "me", time.time())
    with aws.faults.injected(Rule("PutObject", fault, conditional=True, times=1)) as strikes:
        claimed = cache.claims.stake("k", mine)
    assert claimed.build_id == "a-build"
    with aws.faults.injected(Rule("PutObject", fault, conditional=True, times=1)) as more_strikes:
        replaced = cache.claims.replace("k", claimed, Claim("a-build", "me", mine.since, cluster_id="j-1"))
    assert replaced is not None
    assert replaced.cluster_id == "j-1"
    assert len(strikes) == len(more_strikes) == 1
    assert cache.claims.stake("k", Claim("another", "you", time.time())).build_id == "a-build"


def test_claims_that_keep_conflicting(aws: Aws, cache: Cache) -> None:
    with aws.faults.injected(Rule("PutObject", CONFLICT)) as strikes, pytest.raises(CacheError) as caught:
        cache.claims.stake("k", Claim("a-build", "me", time.time()))
    assert str(caught.value).endswith("keeps changing under our hands. Run the job again.")
    assert len(strikes) == 10


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("operation", ["GetObject", "ListObjectsV2"])
def test_an_answer_that_ends_early_says_nothing(aws: Aws, operation: str, share: float) -> None:
    """Also S3's word that there is no such object: half of it is no word at all."""
    cache = Cache(S3Uri(BUCKET, uuid.uuid4().hex), aws.s3)
    with aws.faults.injected(Rule(operation, CutShort(share), times=2)) as strikes:
        assert cache.bundles.find(SPEC) is None
    assert len(strikes) == 2
    with aws.faults.injected(Rule(operation, CutShort(share))), pytest.raises(TransientError):
        cache.bundles.find(SPEC) if operation == "GetObject" else list(cache.store.objects("venv/"))
