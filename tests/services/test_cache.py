"""The cache, against an S3 over HTTP: hits, misses, damage, claims, and what a person reads when S3 says no."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mrjob_pybundle.aws.clients import Credentials
from mrjob_pybundle.aws.emr import Place
from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.bundle.spec import Archive, Bundle
from mrjob_pybundle.cache.cache import Cache
from mrjob_pybundle.cache.claims import Claim
from mrjob_pybundle.errors import CacheError
from tests.unit.bundle.test_spec import SPEC

BUNDLE = Bundle(
    python=Archive(SPEC.python.key, "11" * 32, 6, 60),
    venv=Archive(SPEC.key, "22" * 32, 4, 40, needs=("libc.so.6:GLIBC_2.2.5", "libc.so.6:GLIBC_2.34")),
    arch=SPEC.python.arch,
)


@pytest.fixture
def client(aws_environment: dict[str, str]) -> Any:
    return Credentials("us-east-1").s3_client()


@pytest.fixture(params=["pybundle", "", "a b/it's/$(x)/é"])
def cache(request: pytest.FixtureRequest, bucket: S3Uri, client: Any) -> Cache:
    return Cache(S3Uri(bucket.bucket, request.param), client)


def _manifest(kind: str) -> dict[str, Any]:
    def described(archive: Archive) -> dict[str, Any]:
        sizes = {"size": archive.size, "unpacked_size": archive.unpacked_size}
        return {"sha256": archive.sha256, **sizes, **({"needs": list(archive.needs)} if archive.needs else {})}

    if kind == "python":
        return {"key": BUNDLE.python.key, "archive": described(BUNDLE.python)}
    python = {"key": BUNDLE.python.key, **described(BUNDLE.python)}
    return {"key": BUNDLE.venv.key, "archive": described(BUNDLE.venv), "python": python}


def _publish(cache: Cache, client: Any) -> None:
    for kind, archive, content in (("python", BUNDLE.python, b"python"), ("venv", BUNDLE.venv, b"venv")):
        uri = cache.bundles.archive_uri(kind, archive)
        client.put_object(Bucket=uri.bucket, Key=uri.key, Body=content)
        _put_manifest(cache, client, kind, _manifest(kind))


def _put_manifest(cache: Cache, client: Any, kind: str, manifest: object) -> None:
    key = BUNDLE.python.key if kind == "python" else BUNDLE.venv.key
    uri = cache.root / "v1" / kind / key / "manifest.json"
    body = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
    client.put_object(Bucket=uri.bucket, Key=uri.key, Body=body)


def test_an_empty_cache(cache: Cache) -> None:
    assert cache.bundles.find(SPEC) is None
    assert cache.bundles.find_python(SPEC.python) is None
    assert cache.builds.status("some-build") is None
    assert cache.claims.read(SPEC.key) is None


def test_a_hit(cache: Cache, client: Any) -> None:
    _publish(cache, client)
    assert cache.bundles.find(SPEC) == BUNDLE
    assert cache.bundles.find_python(SPEC.python) == BUNDLE.python


@pytest.mark.parametrize("kind", ["python", "venv"])
def test_an_archive_missing_under_its_manifest_is_not_cached(cache: Cache, client: Any, kind: str) -> None:
    _publish(cache, client)
    uri = cache.bundles.archive_uri(kind, BUNDLE.python if kind == "python" else BUNDLE.venv)
    client.delete_object(Bucket=uri.bucket, Key=uri.key)
    assert cache.bundles.find(SPEC) is None


def test_an_archive_of_another_size_is_not_cached(cache: Cache, client: Any) -> None:
    _publish(cache, client)
    uri = cache.bundles.archive_uri("venv", BUNDLE.venv)
    client.put_object(Bucket=uri.bucket, Key=uri.key, Body=b"cut")
    assert cache.bundles.find(SPEC) is None


@pytest.mark.parametrize(
    "damage",
    [
        b"{",
        b"[]",
        b"\xff\xfe",
        {},
        {**_manifest("venv"), "key": "00"},
        {**_manifest("venv"), "archive": {**_manifest("venv")["archive"], "sha256": "../../x"}},
        {**_manifest("venv"), "archive": {**_manifest("venv")["archive"], "size": "4; rm -rf /"}},
        {**_manifest("venv"), "archive": {**_manifest("venv")["archive"], "needs": ["libc.so.6:$(rm -rf /)"]}},
        {**_manifest("venv"), "archive": {**_manifest("venv")["archive"], "needs": [34]}},
        {**_manifest("venv"), "python": None},
    ],
    ids=str,
)
def test_a_damaged_manifest_is_named(cache: Cache, client: Any, damage: object) -> None:
    _publish(cache, client)
    _put_manifest(cache, client, "venv", damage)
    with pytest.raises(CacheError, match=r"manifest\.json .*delete it, and it will be built again"):
        cache.bundles.find(SPEC)


def _paths(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    inner = value.items() if isinstance(value, dict) else ()
    return [path, *(deeper for name, item in inner for deeper in _paths(item, (*path, name)))]


def _replaced(value: Any, path: tuple[str, ...], new: object) -> Any:
    return {**value, path[0]: _replaced(value[path[0]], path[1:], new)} if path else new


values: st.SearchStrategy[object] = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(), st.just({}), st.just([]), st.just("33" * 32)
)
damaged_manifests: st.SearchStrategy[object] = st.one_of(
    st.builds(
        lambda path, new: _replaced(_manifest("venv"), path, new), st.sampled_from(_paths(_manifest("venv"))), values
    ),
    st.integers(0, len(json.dumps(_manifest("venv"))) - 1).map(
        lambda end: json.dumps(_manifest("venv")).encode()[:end]
    ),
    st.binary(),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(damage=damaged_manifests)
def test_no_damage_of_a_manifest_leads_to_another_bundle(bucket: S3Uri, client: Any, damage: object) -> None:
    """It is refused, or nothing is cached, or what was damaged tells nothing of the archives."""
    cache = Cache(bucket / "pybundle", client)
    _publish(cache, client)
    _put_manifest(cache, client, "venv", damage)
    refusal, found = "", None
    try:
        found = cache.bundles.find(SPEC)
    except CacheError as error:
        refusal = str(error)
    assert not refusal or "/manifest.json " in refusal
    assert found is None or found == Bundle(
        replace(BUNDLE.python, unpacked_size=found.python.unpacked_size, needs=found.python.needs),
        replace(BUNDLE.venv, unpacked_size=found.venv.unpacked_size, needs=found.venv.needs),
        BUNDLE.arch,
    )


def test_a_warm_look_up_is_three_requests_sent_together(bucket: S3Uri, client: Any) -> None:
    cache = Cache(bucket / "pybundle", client)
    _publish(cache, client)
    operations: Counter[str] = Counter()
    together = threading.Barrier(3)  # breaks, and fails the test, unless three requests are under way at once

    def count(model: Any, **_: Any) -> None:
        operations[model.name] += 1
        together.wait(timeout=30)

    client.meta.events.register("before-call.s3", count)
    assert cache.bundles.find(SPEC) == BUNDLE
    assert operations == {"GetObject": 1, "ListObjectsV2": 2}


# when a bundle was used


def test_a_use_is_noted(cache: Cache, client: Any) -> None:
    _publish(cache, client)
    hit = cache.bundles.look_up(SPEC)
    assert hit is not None
    assert (hit.bundle, hit.uses) == (BUNDLE, {})
    assert cache.bundles.note_use(SPEC.key, "ada", Place("eu-west-1", "123456789012"))
    hit = cache.bundles.look_up(SPEC)
    assert hit is not None
    uri = cache.root / "v1" / "venv" / SPEC.key / "123456789012" / "eu-west-1" / "used"
    noted = client.get_object(Bucket=uri.bucket, Key=uri.key)
    name = f"venv/{SPEC.key}/123456789012/eu-west-1/used"
    assert (hit.bundle, hit.uses) == (BUNDLE, {name: noted["LastModified"].timestamp()})
    assert noted["Body"].read() == b"ada\n"


def test_a_use_that_may_not_be_noted_is_no_error(
    refusing_s3: tuple[str, list[bytes]], aws_environment: dict[str, str]
) -> None:
    endpoint, answers = refusing_s3
    answers.append(b"403 AccessDenied")
    cache = Cache(S3Uri("team-bucket", "c"), Credentials("us-east-1", s3_endpoint=endpoint).s3_client())
    assert cache.bundles.note_use(SPEC.key, "ada", None) is False
    answers[0] = b"400 ExpiredToken"
    with pytest.raises(CacheError, match="Your AWS credentials have expired"):
        cache.bundles.note_use(SPEC.key, "ada", None)


# claims

MINE = Claim("build-1", "me", 1.0)
THEIRS = Claim("build-2", "them", 2.0)


def test_the_first_of_many_has_the_claim(cache: Cache) -> None:
    claims = [replace(MINE, build_id=f"build-{number}") for number in range(16)]
    with ThreadPoolExecutor(16) as pool:
        held = set(pool.map(lambda claim: cache.claims.stake("k", claim).build_id, claims))
    assert len(held) == 1
    current = cache.claims.read("k")
    assert current is not None
    assert {current.build_id} == held


def test_only_what_was_read_is_replaced(cache: Cache) -> None:
    first = cache.claims.stake("k", MINE)
    taken = cache.claims.replace("k", first, THEIRS)
    assert taken is not None
    assert taken.build_id == THEIRS.build_id
    assert cache.claims.replace("k", first, replace(MINE, build_id="build-3")) is None
    assert cache.claims.read("k") == taken


def test_a_replacement_that_was_sent_twice_is_ours(cache: Cache) -> None:
    """A retried PUT whose first attempt arrived meets a 412 of its own making."""
    first = cache.claims.stake("k", MINE)
    with_cluster = replace(first, cluster_id="j-1")
    assert cache.claims.replace("k", first, with_cluster) is not None
    again = cache.claims.replace("k", first, with_cluster)
    assert again is not None
    assert again.cluster_id == "j-1"


def test_a_released_claim_is_free(cache: Cache) -> None:
    cache.claims.stake("k", MINE)
    cache.claims.release("k", THEIRS.build_id)
    assert cache.claims.read("k") is not None
    cache.claims.release("k", MINE.build_id)
    assert cache.claims.stake("k", THEIRS).build_id == THEIRS.build_id


def test_replacing_what_is_gone(cache: Cache) -> None:
    first = cache.claims.stake("k", MINE)
    cache.claims.release("k", MINE.build_id)
    assert cache.claims.replace("k", first, THEIRS) is None


# logs and status


def test_the_log_is_read_as_it_grows(cache: Cache) -> None:
    assert cache.builds.read_log("b", 0, 10) == b""
    cache.builds.put("b", "log.txt", b"0123456789")
    assert cache.builds.read_log("b", 0, 4) == b"0123"
    assert cache.builds.read_log("b", 4, 10) == b"456789"
    assert cache.builds.read_log("b", 10, 10) == b""
    assert cache.builds.read_log("b", 10, 20) == b""


def test_a_status_that_is_none(cache: Cache) -> None:
    cache.builds.put("b", "status.json", b'{"state": "RUNNING"}')
    with pytest.raises(CacheError, match=r"status\.json is not a build's status"):
        cache.builds.status("b")


# what S3 says no to


def test_no_such_bucket(client: Any) -> None:
    """Nothing is cached in it (mrjob may be about to make it), but nothing can be put into it, either."""
    cache = Cache(S3Uri("no-such-bucket-here", "pybundle"), client)
    assert cache.bundles.find(SPEC) is None
    with pytest.raises(CacheError, match=r"There is no such bucket \(writing s3://no-such-bucket-here/pybundle"):
        cache.claims.stake(SPEC.key, MINE)


def test_no_credentials(monkeypatch: pytest.MonkeyPatch, s3_endpoint: str) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)  # it remembers credentials
    cache = Cache(S3Uri("some-bucket", "pybundle"), Credentials("us-east-1", s3_endpoint=s3_endpoint).s3_client())
    with pytest.raises(CacheError, match=r"No AWS credentials .*aws configure"):
        cache.bundles.find(SPEC)


@pytest.fixture
def refusing_s3() -> Iterator[tuple[str, list[bytes]]]:
    """An HTTP server that answers every request with what the test puts into the list."""
    answer: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, code = answer[0].split(b" ")
            body = b"<Error><Code>" + code + b"</Code><Message>because</Message></Error>"
            self.send_response(int(status))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", answer
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"403 AccessDenied", "No permission .*reading s3://team-bucket/c/v1/venv/.*because"),
        (b"400 ExpiredToken", "Your AWS credentials have expired"),
        (b"403 InvalidAccessKeyId", "AWS does not accept your credentials"),
        (b"503 SlowDown", "AWS is throttling requests, even after retries"),
        (b"500 InternalError", "AWS said no .*InternalError"),
    ],
)
def test_what_a_person_reads(
    refusing_s3: tuple[str, list[bytes]], aws_environment: dict[str, str], answer: bytes, message: str
) -> None:
    endpoint, answers = refusing_s3
    answers.append(answer)
    cache = Cache(S3Uri("team-bucket", "c"), Credentials("us-east-1", s3_endpoint=endpoint).s3_client())
    with pytest.raises(CacheError, match=message) as refused:
        cache.bundles.find(SPEC)
    assert "\n" not in str(refused.value)
