"""Options: what they become, and what is refused with a line that names the option."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrjob_pybundle import options
from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.errors import OptionError


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
        singular = {"pybundle_build_files": "pybundle_build_file", "pybundle_configure_args": "pybundle_configure_arg"}
        assert f"--{singular.get(name, name).replace('_', '-')}" in switches


@pytest.mark.parametrize(
    ("opts", "message"),
    [
        ({"pybundle_cache_uri": "/tmp/cache"}, "'/tmp/cache' is not an S3 URI"),
        ({"pybundle_cache_uri": "s3://UPPER/x"}, "no bucket can be named 'UPPER'"),
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


keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=30).map(lambda key: key.strip("/"))


@given(keys)
def test_s3_uris_survive_a_round_trip(key: str) -> None:
    uri = S3Uri("my-bucket", key)
    assert S3Uri.parse(str(uri)) == uri
    assert S3Uri.parse(f"{uri}/") == uri


@given(keys, st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/"), min_size=1))
def test_joining_s3_uris(key: str, name: str) -> None:
    joined = S3Uri("my-bucket", key) / name
    assert joined.key == (f"{key}/{name}" if key else name)


@pytest.mark.parametrize("uri", ["", "s3:", "s3://", "s3:///key", "s3://a/key", "http://bucket/k", "s3://my bucket/x"])
def test_what_is_no_s3_uri(uri: str) -> None:
    with pytest.raises(OptionError):
        S3Uri.parse(uri)
