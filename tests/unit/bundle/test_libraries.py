"""Releases of OpenSSL and glibc, as manifests have them."""

from __future__ import annotations

import pytest

from mrjob_pybundle.bundle.libraries import OpenSsl, newest_glibc


@pytest.mark.parametrize(
    ("text", "release", "day"),
    [
        ("OpenSSL 3.0.19 27 Jan 2026", "3.0.19", "27 Jan 2026"),
        ("OpenSSL 3.5.1 1 Jul 2025 (Library: OpenSSL 3.5.5 27 Jan 2026)", "3.5.1", "1 Jul 2025"),
        ("OpenSSL 1.0.2k-fips  26 Jan 2017", "1.0.2k", "26 Jan 2017"),
        ("OpenSSL 1.1.1zb FIPS  11 Feb 2025", "1.1.1zb", "11 Feb 2025"),
        ("3.2", "3.2", ""),
    ],
)
def test_releases_of_openssl(text: str, release: str, day: str) -> None:
    parsed = OpenSsl.parse(text)
    assert parsed is not None
    assert (str(parsed), parsed.day) == (release, day)


@pytest.mark.parametrize("text", ["", "LibreSSL 2.8.3", "3", "x.y", "new"])
def test_what_is_no_release_of_openssl(text: str) -> None:
    assert OpenSsl.parse(text) is None


def test_older_and_newer() -> None:
    texts = ["1.0.2k-fips", "1.1.1", "1.1.1k", "1.1.1w", "1.1.1za", "3.0", "3.0.8", "3.0.19", "3.2.2"]
    releases = [release for release in map(OpenSsl.parse, texts) if release]
    assert len(releases) == len(texts)
    assert sorted(releases, key=str) != releases
    assert sorted(releases) == releases


def test_the_newest_glibc() -> None:
    needs = ("libc.so.6:GLIBC_2.4", "libc.so.6:GLIBC_2.34", "libm.so.6:GLIBC_2.29", "libstdc++.so.6:GLIBCXX_3.4.30")
    assert newest_glibc((*needs, "libc.so.6:GLIBC_ABI_DT_RELR")) == "2.34"
    assert newest_glibc(()) is None
