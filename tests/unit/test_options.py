"""Options: what they become, and what is refused with a line that names the option."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from botocore.handlers import VALID_BUCKET, VALID_S3_ARN
from hypothesis import given
from hypothesis import strategies as st
from mrjob.parse import parse_s3_uri

from mrjob_pybundle import options
from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.errors import OptionError

ACCESS_POINT = "arn:aws:s3:us-east-1:123456789012:accesspoint/mine"


def _from_mrjob(**opts: Any) -> options.Options:
    return options.from_mrjob({**dict.fromkeys(options.RUNNER_OPTS), **options.DEFAULTS, **opts})


def test_defaults() -> None:
    ours = _from_mrjob()
    assert ours.python_version.startswith("3.13.")
    assert ours.optimize
    assert not ours.rebuild
    assert ours.build_timeout_minutes == 90
    assert (ours.cache_uri, ours.venv_build, ours.build_files) == (None, None, ())


def test_every_option_has_a_switch_of_its_name() -> None:
    for name, option in options.RUNNER_OPTS.items():
        switches = [switch for names, _ in option["switches"] for switch in names]
        assert switches
        assert f"--{name.replace('_', '-')}" in switches or f"--{name.removesuffix('s').replace('_', '-')}" in switches


@pytest.mark.parametrize(
    ("opts", "message"),
    [
        ({"pybundle_cache_uri": "/tmp/cache"}, "'/tmp/cache' is not an S3 URI"),
        ({"pybundle_cache_uri": "s3://my bucket/x"}, "no bucket can be named 'my bucket'"),
        ({"pybundle_cache_uri": f"s3://{ACCESS_POINT}/x"}, "pybundle_cache_uri: s3://arn:aws:s3:us-east-1:1234"),
        ({"pybundle_cache_uri": "s3://mine--use1-az4--x-s3/x"}, "mine--use1-az4--x-s3 is a directory bucket"),
        ({"pybundle_cache_uri": f"s3://my-bucket/{300 * '漢'}"}, "is too long: S3's keys have at most 1,024 bytes"),
        ({"pybundle_cache_uri": "s3://my-bucket/\udcff"}, "no object can be named so"),
        ({"pybundle_venv_build": "/no/such/venv-build.sh"}, "pybundle_venv_build: there is no /no/such/venv-build.sh"),
        ({"pybundle_venv_build": "/"}, "pybundle_venv_build: / is not a file"),
        ({"pybundle_build_files": ["/no/such"]}, "pybundle_build_files: there is no /no/such"),
        ({"pybundle_python_version": 3.13}, "pybundle_python_version: 3.13 is not a full CPython version"),
        ({"pybundle_python_version": "3.13"}, "is not a full CPython version"),
        ({"pybundle_python_version": "3.6.15"}, "2.7 and of 3.7 and newer, not of 3.6.15"),
        ({"pybundle_python_source": "ftp://x/y"}, "neither a path nor an s3:// or https:// URI"),
        ({"pybundle_python_source": "/no/such.tgz"}, "pybundle_python_source: there is no /no/such.tgz"),
        ({"pybundle_python_sha256": "abc"}, "pybundle_python_sha256: 'abc' is not 64 hexadecimal digits"),
        ({"pybundle_configure_args": [1]}, "pybundle_configure_args: 1 is not a string"),
        ({"pybundle_optimize": "no"}, "pybundle_optimize: 'no' is neither true nor false"),
        ({"pybundle_build_timeout_minutes": 0}, "pybundle_build_timeout_minutes: 0 is not a number of minutes"),
        (
            {"pybundle_build_bootstrap_actions": ["/no/such a"]},
            "pybundle_build_bootstrap_actions: there is no /no/such",
        ),
        ({"pybundle_build_bootstrap_actions": 17 * ["s3://b/a"]}, "EMR runs at most 16 bootstrap actions, not 17"),
        ({"pybundle_bucket_owner": "123"}, "pybundle_bucket_owner: '123' is not an AWS account id"),
    ],
)
def test_refused(opts: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError) as refused:
        _from_mrjob(**opts)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_paths_with_spaces(tmp_path: Path) -> None:
    script = tmp_path / "venv build $(x).sh"
    script.touch()
    assert _from_mrjob(pybundle_venv_build=str(script)).venv_build == script


def test_bootstrap_actions_are_files_or_uris_and_have_arguments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "a proxy.sh"
    script.touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    actions = ["'~/a proxy.sh' 'to here' -v", "s3://b/a x"]
    assert _from_mrjob(pybundle_build_bootstrap_actions=actions).build_bootstrap_actions == (
        options.BootstrapAction(script, ("to here", "-v")),
        options.BootstrapAction("s3://b/a", ("x",)),
    )


keys = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
buckets = st.from_regex(VALID_BUCKET, fullmatch=True).filter(lambda name: len(name) > 2)


@given(buckets, keys.map(lambda key: key.rstrip("/")))
def test_s3_uris_survive_a_round_trip(bucket: str, key: str) -> None:
    """With whatever boto3 takes for a bucket, but that S3 never had shorter names."""
    uri = S3Uri(bucket, key)
    assert S3Uri.parse(str(uri)) == uri
    assert S3Uri.parse(f"{uri}/") == uri


#: Of access points, plain, of AWS Outposts, and of Object Lambda, in any partition and region.
_ARN = (
    r"arn:aws[a-z-]{0,7}:(s3|s3-object-lambda):[a-z0-9-]{0,15}:[0-9]{12}:accesspoint[/:][a-zA-Z0-9.-]{1,63}"
    r"|arn:aws[a-z-]{0,7}:s3-outposts:[a-z0-9-]{1,15}:[0-9]{12}:outpost[/:][a-zA-Z0-9-]{1,63}[/:]accesspoint[/:][a-zA-Z0-9-]{1,63}"
)


@given(st.from_regex(_ARN, fullmatch=True, alphabet=st.characters(codec="ascii")), keys)
def test_arns_are_buckets_to_boto3(arn: str, key: str) -> None:
    """They have slashes, and mrjob would cut them there."""
    assert VALID_S3_ARN.search(arn)
    assert S3Uri.parse(f"s3://{arn}/{key}") == S3Uri(arn, key.rstrip("/"))


@given(st.from_regex(r"s3[an]?://[A-Za-z._-]{3}", fullmatch=True), keys)
def test_we_and_mrjob_have_one_cloud_tmp_dir(bucket: str, key: str) -> None:
    """What mrjob would take for another place is refused."""
    uri = f"{bucket}/{key}/"
    try:
        ours = options.tmp_dir({"cloud_tmp_dir": uri})
    except OptionError:
        assert re.search(r"[?#\t\r\n]", key)
    else:
        their_bucket, their_key = parse_s3_uri(uri)
        assert (ours.bucket, ours.key) == (their_bucket, their_key.rstrip("/"))


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        (f"s3://{ACCESS_POINT}/tmp/", "Use the access point's alias"),
        (f"s3://{ACCESS_POINT.replace('/', ':')}/tmp/", "Use the access point's alias"),
        ("s3://mine--use1-az4--x-s3/tmp/", "Use a general purpose bucket"),
        ("s3://my-bucket/a?b/", "that mrjob cuts it at"),
        ("s3://my-bucket/a#b/", "that mrjob cuts it at"),
    ],
)
def test_a_cloud_tmp_dir_that_cannot_work(uri: str, reason: str) -> None:
    with pytest.raises(OptionError, match=f"cloud_tmp_dir: .*{reason}"):
        options.tmp_dir({"cloud_tmp_dir": uri})


@pytest.mark.parametrize("place", [ACCESS_POINT, "mine--use1-az4--x-s3", "Old_Team.2017", "mine-0a1b2c-s3alias"])
def test_only_boto3_reads_a_tarball(place: str) -> None:
    """So that it may lie wherever boto3 can go."""
    source = f"s3://{place}/Python-3.13.5.tgz"
    assert _from_mrjob(pybundle_python_source=source).python_source == source
    assert S3Uri.parse(source) == S3Uri(place, "Python-3.13.5.tgz")


@given(
    keys.map(lambda key: key.strip("/")),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/"), min_size=1),
)
def test_joining_s3_uris(key: str, name: str) -> None:
    joined = S3Uri("my-bucket", key) / name
    assert joined.key == (f"{key}/{name}" if key else name)


@pytest.mark.parametrize("uri", ["", "s3:", "s3://", "s3:///key", "s3://a/key", "http://bucket/k", "s3://my bucket/x"])
def test_what_is_no_s3_uri(uri: str) -> None:
    with pytest.raises(OptionError):
        S3Uri.parse(uri)
