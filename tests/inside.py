"""What a build's master writes down of a bundle's contents, for tests of those who read it."""

from __future__ import annotations

from typing import Any

SYSTEM = {"id": "amzn", "version": "2023"}
OPENSSL = {
    **{"type": "rpm", "name": "openssl-libs", "epoch": "1", "version": "3.2.2-1.amzn2023.0.1", "arch": "x86_64"},
    "source": "openssl-3.2.2-1.amzn2023.0.1.src.rpm",
}


def library(name: str, digest: str, package: dict[str, str] | None) -> dict[str, Any]:
    return {"name": name, "sha256": digest * 32, "package": package}


def distribution(name: str, version: str, **source: Any) -> dict[str, Any]:
    return {"name": name, "version": version, "installer": "pip", "source": source}


PYTHON: dict[str, Any] = {
    "system": SYSTEM,
    "libraries": [library("libcrypto.so.3", "c1", OPENSSL), library("libssl.so.3", "c2", OPENSSL)],
}
VENV: dict[str, Any] = {
    "system": SYSTEM,
    "libraries": [library("libown.so.1", "c3", None)],
    "distributions": [
        distribution("mrjob", "0.7.4", kind="submitter", hashes={"sha256": "d1" * 32}),
        distribution("Numpy_Like", "2.2.6", kind="index", file="x.whl", hashes={"sha256": "d2" * 32, "odd": "d2" * 16}),
        distribution("ours", "1.0", kind="local", path="ours", is_directory=True, hashes={}),
        distribution("patched", "1.0", kind="vcs", vcs="git", url="https://example.com/p.git", commit="c0ffee" * 6),
        distribution("fetched", "3", kind="url", url="https://example.com/f.whl", hashes={"sha512": "d3" * 64}),
        distribution("copied", "4", kind="unknown"),
    ],
}
CONTENTS = {"python": PYTHON, "venv": VENV}
