"""CPython compiled on a machine that had no compiler, and bundles on nodes that have nothing, on two Debians."""

from __future__ import annotations

import gzip
import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.bundle.spec import Archive, Bundle
from mrjob_pybundle.cache.cache import Cache
from mrjob_pybundle.nodes.carried import Carried
from tests import openssl_cnf
from tests.line.conftest import CACHE_PREFIX, ROOT, Line
from tests.pristine.bare import bare_cluster, bootstrap, bundle_in_cache
from tests.pristine.conftest import IMAGES, Pristine
from tests.pristine.what_works import EXPECTED, JOB, answers_of, must_work

pytestmark = pytest.mark.pristine

CACHE = S3Uri("the-team", CACHE_PREFIX)

#: What a bundle's Python needs, or what it would take to make one: no node has any of it.
NOBODY_HAS = (
    *(
        "python",
        "python2",
        "python3",
        "pip",
        "gcc",
        "cc",
        "g++",
        "make",
        "ld",
        "readelf",
        "pkg-config",
        "curl",
        "openssl",
    ),
    *("libsqlite3.so", "libreadline.so", "libncursesw.so", "libpanelw.so", "libexpat.so", "libpq.so", "libssl.so.3"),
)


# Nodes


# Debian 13's apt has an OpenSSL, so of that one it cannot be said that it has nothing.
@pytest.fixture(scope="module", params=[suite for suite in IMAGES if suite != "trixie"])
def suite(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def node(line: Line, suite: str) -> Iterator[Any]:
    with bare_cluster(line, IMAGES[suite]) as cluster:
        (master,) = line.sandbox.nodes(cluster, "MASTER")
        yield master


def _on(node: Any, script: str) -> str:
    process = node.popen(["bash", "-euc", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output: str = process.communicate()[0].decode()
    assert process.returncode == 0, output
    return output


def test_a_node_has_nothing_and_the_machine_is_out_of_reach(node: Any) -> None:
    libraries = _on(node, "ldconfig -p; find / -xdev -name '*.so*' -not -path '/run/sandbox/*'")
    commands = _on(node, f"for name in {' '.join(NOBODY_HAS)}; do command -v $name || true; done")
    assert commands == ""
    assert [name for name in NOBODY_HAS if ".so" in name and name in libraries] == []
    assert "/run/sandbox" not in _on(node, "ldconfig -p; env | grep -v ^PATH=")
    # Of what belongs to the machine, PATH leads to these alone.
    assert _on(node, "ls /run/sandbox/bin").split() == ["aws", "halt", "poweroff", "shutdown", "sudo"]


def test_a_node_has_what_nodes_of_emr_have(line: Line, node: Any) -> None:
    line.client("s3").put_object(Bucket="sandbox", Key="file.txt", Body=b"from S3")
    assert _on(node, "aws s3 cp --only-show-errors s3://sandbox/file.txt - && sudo -u hadoop id -un").startswith(
        "from S3"
    )
    _on(node, "command -v bash tar gzip flock sha256sum timeout awk")
    assert _on(node, "getent passwd hadoop").split(":")[5] == "/home/hadoop"


def test_what_a_node_installs_stays_its_own(trees: dict[str, Path], suite: str, node: Any) -> None:
    _on(node, "touch /usr/bin/gcc /etc/here /var/here /opt/here && mkdir /home/somebody")
    tree = trees[suite]
    left = [
        path for path in ("usr/bin/gcc", "etc/here", "var/here", "opt/here", "home/somebody") if (tree / path).exists()
    ]
    assert left == []
    assert "hadoop:" not in (tree / "etc/passwd").read_text()


def test_a_node_that_is_older_than_what_a_bundle_was_built_on(node: Any, suite: str) -> None:
    """GLIBC_2.34 came with Debian 12. (Of what the script asks for next, nothing is there.)"""
    python = Archive("aa" * 32, "aa" * 32, 1, 1, ("libc.so.6:GLIBC_2.17", "libc.so.6:GLIBC_2.34"))
    bundle = Bundle(python, Archive("bb" * 32, "bb" * 32, 1, 1), os.uname().machine)
    unpack = Carried(bundle, Cache(S3Uri("the-team", "cache"), None)).scripts["unpack"]
    process = node.popen(["bash", "-c", unpack], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    said = process.communicate()[1].decode()
    assert process.returncode == 1
    lacks = re.findall(r"built on a newer system than this node's, which lacks (\S+) in \S+/libc\.so\.6\.", said)
    assert lacks == (["GLIBC_2.34"] if suite == "bullseye" else []), said


# Bundles


def test_words_are_counted(pristine: Pristine, texts: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    """The first time, the build installs what it needs, and compiles."""
    ascii_texts = [path for path in texts if path.read_bytes().isascii()]  # mrjob's own protocols differ on 2.7
    pristine.line.new_clusters()  # a kept sandbox has those of earlier runs
    run = pristine.job(ROOT / "examples" / "wordcount.py", *ascii_texts)
    assert run.returncode == 0, run.stderr[-6000:]
    words: dict[str, int] = {}
    for path in ascii_texts:
        for word in re.findall(r"[a-z]+", path.read_text("ascii").lower()):
            words[word] = words.get(word, 0) + 1
    counted = (output.split("\t") for output in run.stdout.splitlines())
    assert {json.loads(word): int(count) for word, count in counted} == words

    (cluster,) = [found["Id"] for found in pristine.line.new_clusters() if found["Name"].startswith("wordcount.")]
    pristine.line.client("emr").get_waiter("cluster_terminated").wait(ClusterId=cluster, WaiterConfig={"Delay": 1})
    ready = re.findall(r"is ready after (\S+) s", _bootstrap_logs(pristine.line, cluster))
    assert len(ready) == 2  # master and core node
    with capsys.disabled():
        print(f"\nnode ready, CPython {pristine.cpython} on {pristine.suite}: {' s, '.join(ready)} s")


def _bootstrap_logs(line: Line, cluster: str) -> str:
    """What the bundle's bootstrap action said on all nodes of a cluster that has ended."""
    logs = re.compile(rf".*/{cluster}/node/[^/]+/bootstrap-actions/1/stdout\.gz")
    bodies = [
        line.client("s3").get_object(Bucket="sandbox", Key=key)["Body"].read()
        for key in line.objects("sandbox")
        if logs.fullmatch(key)
    ]
    return "".join(gzip.decompress(body).decode() for body in bodies)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and self-signed certificate of a host called localhost, in one file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = tmp_path_factory.mktemp("certificate") / "certificate.pem"
    path.write_bytes(private + certificate.public_bytes(pem))
    return path


@pytest.fixture(scope="module")
def answers(pristine: Pristine, certificate: Path) -> dict[str, Any]:
    names = "".join(f"{name}\n" for name in ("versions", *EXPECTED, "libraries"))
    run = pristine.job(JOB, "--file", certificate, stdin=names)
    return answers_of(run)


def test_versions(pristine: Pristine, answers: dict[str, Any]) -> None:
    """2.7 has four bytes for a character, too."""
    version, largest, mrjob, executable = answers["versions"][1]
    assert (version, largest, mrjob) == (pristine.cpython, 0x10FFFF, "0.7.4")
    assert executable.endswith("/venv/bin/python")


@pytest.mark.parametrize("check", EXPECTED)
def test_a_task_can(check: str, pristine: Pristine, answers: dict[str, Any]) -> None:
    if check not in answers and pristine.cpython.startswith("2."):
        pytest.skip(f"Python 2.7 has no {check}")
    must_work(check, answers[check])


#: Parts of the C library, its loader, and the two of the compiler that every Linux has.
NODES_OWN = re.compile(
    r"(ld|ld-linux-x86-64|lib(c|m|dl|rt|pthread|util|resolv|gcc_s|stdc\+\+|nss_\w+))(-2\.\d+)?\.so(\.\d+)*"
)


def test_libraries_come_from_the_bundle(pristine: Pristine, answers: dict[str, Any]) -> None:
    """Also those that the node happens to have: all but the C library and its like."""
    outcome, outside = answers["libraries"]
    assert outcome == "works", outside
    strangers = [path for path in outside if not NODES_OWN.fullmatch(Path(path).name)]
    if pristine.cpython.startswith("2."):  # its uuid.py takes the node's libuuid, if there is one
        strangers = [path for path in strangers if not Path(path).name.startswith("libuuid.so.")]
    assert strangers == []
    assert [path for path in outside if path.startswith("/run/")] == []


def _bundle(pristine: Pristine) -> Bundle:
    """The bundle that jobs have built."""
    switches = ("--pybundle-python-version", pristine.cpython, "--pybundle-python-source", pristine.source)
    return bundle_in_cache(pristine.line, CACHE, *switches, "--image-id", IMAGES[pristine.suite])


@pytest.mark.usefixtures("answers")
def test_a_node_that_is_older_than_the_build_says_what_it_lacks(pristine: Pristine) -> None:
    """Before anything is fetched, and by name: what came after Debian 11's glibc 2.31."""
    oldest = next(iter(IMAGES))
    if pristine.suite == oldest:
        pytest.skip("no image is older")
    with bare_cluster(pristine.line, IMAGES[oldest]) as cluster:
        done = bootstrap(pristine.line.sandbox.nodes(cluster, "MASTER")[0], _bundle(pristine), CACHE)
    assert done.returncode == 1, done.stdout
    *_, last = done.stderr.splitlines()
    lacks = re.fullmatch(
        r"mrjob-pybundle: the bundle was built on a newer system than this node's, which lacks (.*)\. Run the job with"
        r" --pybundle-rebuild to have it built anew\.",
        last,
    )
    assert lacks, done.stderr
    names = [name for name, _, _ in (lack.partition(" in ") for lack in lacks[1].split(", "))]
    assert "GLIBC_2.34" in names
    assert [name for name in names if not re.fullmatch(r"GLIBC_2\.(3[2-9]|4\d)|(GLIBCXX|CXXABI|GCC)_\S+", name)] == []
    assert "fetched" not in done.stdout


#: Configurations of OpenSSL 3.5 for a machine, and whether MD5 is to be had then.
OPENSSL_CNF = {
    "FIPS mode": (
        """\
openssl_conf = init
.include /etc/ssl/fipsmodule.cnf
[init]
providers = providers
alg_section = algorithms
[providers]
fips = fips_sect
base = base
[base]
activate = 1
[algorithms]
default_properties = fips=yes
""",
        False,
    ),
    "the legacy provider, and a directive that is newer than any": (
        openssl_cnf.ODD,
        True,
    ),
}

TRY_OPENSSL = """
import _hashlib, ssl
print(ssl.OPENSSL_VERSION)
print(_hashlib.new("sha256", b"").hexdigest()[:8], len(ssl.create_default_context().get_ciphers()) > 3)
try:
    print(_hashlib.new("md5", b"").name)
except ValueError:
    print("not allowed")
"""


@pytest.mark.skipif("trixie" not in IMAGES, reason="Debian 13, which has a FIPS provider, is in MATRIX=whole")
@pytest.mark.parametrize("configuration", OPENSSL_CNF)
@pytest.mark.usefixtures("answers")
def test_how_a_node_wants_openssl_to_be(pristine: Pristine, configuration: str) -> None:
    """What its configuration names are the node's own providers, and newer than the bundle's OpenSSL may be."""
    if pristine.suite == "bullseye":
        pytest.skip("OpenSSL 1.1 knows no providers")
    text, has_md5 = OPENSSL_CNF[configuration]
    install = (
        "apt-get -q update && apt-get -q -y install --no-install-recommends openssl openssl-provider-{fips,legacy}"
    )
    prepare = "module=$(echo /usr/lib/*/ossl-modules/fips.so) && openssl fipsinstall -module $module -out"
    bundle = _bundle(pristine)
    with bare_cluster(pristine.line, IMAGES["trixie"]) as cluster:
        node = pristine.line.sandbox.nodes(cluster, "MASTER")[0]
        edit = f"printf %s {shlex.quote(text)} >/etc/ssl/openssl.cnf"
        _on(node, f"{install} && {prepare} /etc/ssl/fipsmodule.cnf && {edit}")
        done = bootstrap(node, bundle, CACHE)
        assert done.returncode == 0, done.stderr
        said = _on(node, f"/opt/pybundle/{bundle.id}/jobrunner -c {shlex.quote(TRY_OPENSSL)}")
    assert said.splitlines()[1:] == ["e3b0c442 True", "md5" if has_md5 else "not allowed"], said


def _plain_cache(line: Line) -> str:
    """What is in the cache, at an address that Hadoop's ``-archives`` takes."""
    s3 = line.client("s3")
    for key in line.objects():
        source, found, rest = key.partition("/v1/")
        if found and source != "plain":
            s3.copy_object(Bucket="the-team", Key=f"plain/v1/{rest}", CopySource={"Bucket": "the-team", "Key": key})
    return "s3://the-team/plain"


def test_a_job_brings_its_bundle_along(pristine: Pristine) -> None:
    """To a cluster that has never seen it. Setup commands run on the bundle's Python, too."""
    with bare_cluster(pristine.line, IMAGES[pristine.suite]) as cluster:
        setup = "python -c 'import sys; print(sys.version)' > /tmp/setup"
        run = pristine.job(
            JOB, "--cluster-id", cluster, "--pybundle-cache-uri", _plain_cache(pristine.line),
            "--no-read-logs", "--setup", setup, stdin="versions\nhashlib\n",
        )  # fmt: skip
        answers = answers_of(run)
        said = _on(pristine.line.sandbox.nodes(cluster, "MASTER")[0], "cat /tmp/setup")
    assert "the job brings it along" in run.stderr
    assert answers["versions"][1][0] == pristine.cpython
    assert said.startswith(f"{pristine.cpython} ")
