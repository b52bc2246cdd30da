"""The source tarballs of CPython releases whose digests we know.

Sources: python.org's release pages publish the files; the digests are those that pyenv's python-build
definitions carry. Those of 2.7.18, 3.11.2 and 3.13.5 were also compared with the tarballs that Debian ships.
"""

from __future__ import annotations

#: version → {file name's ending: sha256}
SHA256: dict[str, dict[str, str]] = {
    "2.7.18": {
        "tar.xz": "b62c0e7937551d0cc02b8fd5cb0f544f9405bafc9a54d3808ed4594812edef43",
        "tgz": "da3080e3b488f648a3d7a4560ddee895284c3380b11d6de75edb986526b9a814",
    },
    "3.11.2": {
        "tar.xz": "29e4b8f5f1658542a8c13e2dd277358c9c48f2b2f7318652ef1675e402b9d2af",
        "tgz": "2411c74bda5bbcfcddaf4531f66d1adc73f247f529aee981b029513aefdbf849",
    },
    "3.11.15": {
        "tar.xz": "272179ddd9a2e41a0fc8e42e33dfbdca0b3711aa5abf372d3f2d51543d09b625",
        "tgz": "f4de1b10bd6c70cbb9fa1cd71fc5038b832747a74ee59d599c69ce4846defb50",
    },
    "3.12.13": {
        "tar.xz": "c08bc65a81971c1dd5783182826503369466c7e67374d1646519adf05207b684",
        "tgz": "0816c4761c97ecdb3f50a3924de0a93fd78cb63ee8e6c04201ddfaedca500b0b",
    },
    "3.13.5": {
        "tar.xz": "93e583f243454e6e9e4588ca2c2662206ad961659863277afcdb96801647d640",
        "tgz": "e6190f52699b534ee203d9f417bdbca05a92f23e35c19c691a50ed2942835385",
    },
    "3.13.14": {
        "tar.xz": "639e43243c620a308f968213df9e00f2f8f62332f7adbaa7a7eeb9783057c690",
        "tgz": "5ae535a36af0ebca6fca176ecb8197f5db9c1cb8c8f0cd12cdf1787046db1f41",
    },
}


def url(version: str) -> str:
    """Where python.org has the source tarball of *version*: a pre-release lies with its final release."""
    final = version.rstrip("0123456789").rstrip("abrc") if any(c in version for c in "abc") else version
    return f"https://www.python.org/ftp/python/{final}/Python-{version}.tar.xz"


def is_known(version: str, sha256: str) -> bool:
    """Is *sha256* the digest of a tarball that python.org released as *version*?"""
    return sha256 in SHA256.get(version, {}).values()


def expected_sha256(version: str) -> str | None:
    """The digest of the tarball at :func:`url`, if known."""
    return SHA256.get(version, {}).get("tar.xz")
