"""What a report says of an account, its people and its things: nothing."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mrjob_pybundle.selftest.scrub import scrubber

_NAMES = st.from_regex(r"[a-z][a-z0-9.-]{2,20}[a-z0-9]", fullmatch=True)
_USERS = st.from_regex(r"[a-z][a-z0-9]{0,10}", fullmatch=True)
_HEX = st.text("0123456789abcdef", min_size=8, max_size=17)
_OCTETS = st.tuples(*[st.integers(0, 255)] * 4)

#: What looks like what it is, whoever's it is.
_SECRETS = st.one_of(
    _NAMES.map(lambda name: f"arn:aws:iam::123456789012:role/{name}"),
    st.integers(10**11, 10**12 - 1).map(str),
    _HEX.map(lambda digits: f"i-{digits}"),
    _HEX.map(lambda digits: f"subnet-{digits}"),
    _HEX.map(lambda digits: f"sg-{digits}"),
    _OCTETS.map(lambda octets: ".".join(map(str, octets))),
    _OCTETS.map(lambda octets: f"ip-{'-'.join(map(str, octets))}.ec2.internal"),
    _NAMES.map(lambda name: f"ada@{name}.example.com"),
    st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=12, max_size=13).map(lambda text: f"j-{text}"),
)
_TEXTS = st.text(st.characters(categories=["L", "N", "P", "Z"]), max_size=30)


@given(st.lists(_NAMES, min_size=1, max_size=3), st.lists(_TEXTS, max_size=5), st.randoms(use_true_random=False))
def test_what_has_a_name_is_gone(buckets: list[str], texts: list[str], random: object) -> None:
    """Wherever it stands: as a part of a longer name, too."""
    text = "".join(f"{other}{bucket}-logs" for other in ["", *texts] for bucket in buckets)
    scrubbed = scrubber({"bucket": buckets}, {})(text)
    kinds = {"bucket", "arn", "email", "account", "instance", "subnet", "network", "access-key", "address", "cluster"}
    left = re.sub(rf"\[(?:{'|'.join(kinds)})\]", "\0", scrubbed)
    assert [bucket for bucket in buckets if bucket in left] == []


@given(_USERS, st.lists(st.sampled_from([" ", "/", "_", ".", ":", "\n", "'"]), min_size=2, max_size=2))
def test_a_user_is_gone_where_they_stand_as_a_word(user: str, around: list[str]) -> None:
    scrubbed = scrubber({}, {"user": [user]})(f"{around[0]}{user}{around[1]}")
    assert scrubbed == f"{around[0]}[user]{around[1]}"


def test_a_word_that_has_a_users_name_in_it_stays() -> None:
    assert scrubber({}, {"user": ["al"]})("a value of al") == "a value of [user]"


@example("ada@a..0.example.com", " ", "")
@given(_SECRETS, st.sampled_from([" ", "\n", "(", '"', "'", "=", "|"]), st.sampled_from(["", " ", "\n", ")", '"', ","]))
def test_what_looks_like_it_is_gone(secret: str, before: str, after: str) -> None:
    scrubbed = scrubber({}, {})(f"{before}{secret}{after}")
    assert secret not in scrubbed
    assert re.fullmatch(r"\[[a-z-]+\]", scrubbed[len(before) : len(scrubbed) - len(after)])


@given(st.lists(st.one_of(_SECRETS, _TEXTS), max_size=6).map(" ".join))
def test_what_was_scrubbed_stays_as_it_is(text: str) -> None:
    scrub = scrubber({"bucket": ["the-team"]}, {"user": ["ada"], "home": ["/home/ada"]})
    assert scrub(scrub(text)) == scrub(text)


@pytest.mark.parametrize(
    "text",
    [
        "OpenSSL 3.5.5 27 Jan 2026, glibc 2.34, emr-7.14.0, Python-3.13.14, mrjob 0.7.4",
        "bundle 0123456789ab, 2026-11-22 10:11 UTC, run 20261122-101112-0a1b2c3d",
        "m5.xlarge, ami, /opt/pybundle/0123456789abcdef0123/venv/bin/python",
        "took 0:12:13; coreutils 8.22; 1.2.3",
        "/mnt/b322/home/adam/x, Canada",
    ],
)
def test_what_is_to_be_read_stays(text: str) -> None:
    assert scrubber({"bucket": ["the-team"]}, {"user": ["ada"], "home": ["/home/ada"]})(text) == text
