"""``show KEY --sbom``: valid by CycloneDX's own schema, one manifest's always the same, with what scanners go by."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from hypothesis import given
from hypothesis import strategies as st
from packageurl import PackageURL

from mrjob_pybundle.cache.contents import Distribution, Package, Source, contents_of
from mrjob_pybundle.cache.inventory import Manifest
from mrjob_pybundle.command.sbom import distribution_purl, package_purl, sbom_text
from tests.inside import PYTHON, VENV

KEY = "13150aaee1c2" + "0" * 52


def _manifest(contents: dict[str, Any], kind: str = "venv") -> Manifest:
    text = {
        "archive": {"sha256": "11" * 32, "size": 1, "unpacked_size": 1},
        **({"python": {"key": "aa" * 32, "sha256": "22" * 32}} if kind == "venv" else {}),
        "build": {"id": "b", "owner": "ada", "built_at": "2026-11-20T10:11:12Z", "seconds": {}},
        "inputs": {},
        "source": {"name": "Python-3.13.5.tar.xz", "sha256": "33" * 32},
        "contents": contents,
    }
    return Manifest.parse(kind, json.dumps(text).encode())


def _bom(manifest: Manifest, python: Manifest | None = None) -> dict[str, Any]:
    # Three seconds of a processor, which whoever collects tests need not spend.
    from cyclonedx.validation.json import JsonStrictValidator

    text = sbom_text(KEY, manifest, contents_of(manifest, python))
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bom: dict[str, Any] = json.loads(text)
    return bom


IN_PYTHON = {**PYTHON, "python_version": "3.13.5", "openssl": "OpenSSL 3.2.2", "source": {"sha256": "33" * 32}}
WHOLE = _manifest({**VENV, "python": IN_PYTHON})


def test_what_is_inside_is_in_it() -> None:
    bom = _bom(WHOLE)
    components = {component["name"]: component for component in bom["components"]}
    assert {name: component.get("purl") for name, component in components.items()} == {
        "cpython": f"pkg:generic/cpython@3.13.5?checksum=sha256:{'33' * 32}",
        "mrjob": "pkg:pypi/mrjob@0.7.4",
        "Numpy_Like": "pkg:pypi/numpy-like@2.2.6",
        "ours": None,
        "patched": f"pkg:pypi/patched@1.0?vcs_url=git%2Bhttps://example.com/p.git%40{'c0ffee' * 6}",
        "fetched": "pkg:pypi/fetched@3?download_url=https://example.com/f.whl",
        "copied": "pkg:pypi/copied@4",
        "openssl-libs": "pkg:rpm/amzn/openssl-libs@3.2.2-1.amzn2023.0.1?arch=x86_64&distro=amzn-2023&epoch=1"
        "&upstream=openssl-3.2.2-1.amzn2023.0.1.src.rpm",
        "libown.so.1": None,
    }
    assert components["Numpy_Like"]["hashes"] == [{"alg": "SHA-256", "content": "d2" * 32}]
    assert [file["name"] for file in components["openssl-libs"]["components"]] == ["libcrypto.so.3", "libssl.so.3"]
    (vcs,) = components["patched"]["externalReferences"]
    assert (vcs["type"], vcs["url"], vcs["comment"]) == (
        *("vcs", "https://example.com/p.git"),
        f"git commit {'c0ffee' * 6}",
    )
    (download,) = components["fetched"]["externalReferences"]
    assert (download["type"], download["hashes"][0]["alg"]) == ("distribution", "SHA-512")
    assert components["ours"]["properties"] == [
        {"name": "mrjob-pybundle:path", "value": "ours"},
        {"name": "mrjob-pybundle:source", "value": "local"},
    ]
    assert components["cpython"]["cpe"] == "cpe:2.3:a:python:python:3.13.5:*:*:*:*:*:*:*"
    assert (bom["metadata"]["component"]["version"], bom["metadata"]["timestamp"]) == (KEY, "2026-11-20T10:11:12+00:00")
    assert "properties" not in bom
    assert {one["ref"] for one in bom["dependencies"]} >= {KEY, "cpython", "mrjob==0.7.4"}


def test_the_same_archive_has_the_same_bill() -> None:
    assert _bom(WHOLE) == _bom(WHOLE)
    other = replace(WHOLE, sha256="44" * 32)
    assert _bom(WHOLE)["serialNumber"] != _bom(other)["serialNumber"]


def test_of_a_manifest_of_old() -> None:
    """What there is of it is in the bill, and what is missing, too."""
    python = _manifest({"python_version": "3.13.5", "openssl": "OpenSSL 3.2.2"}, "python")
    bom = _bom(_manifest({"freeze": ["mrjob==0.7.4", "odd===1.0-final-1"]}), python)
    assert [component["name"] for component in bom["components"]] == ["mrjob", "odd", "cpython"]
    assert [prop["value"] for prop in bom["properties"]] == [
        "libraries that were copied into its Python",
        "libraries that were copied into the environment",
        "where distributions came from",
    ]
    assert [component["name"] for component in _bom(_manifest({"freeze": []}))["components"]] == ["cpython"]


def test_of_a_python() -> None:
    python = _manifest({**PYTHON, "python_version": "3.13.5", "openssl": "OpenSSL 3.2.2"}, "python")
    assert [component["name"] for component in _bom(python)["components"]] == ["openssl-libs", "cpython"]


# package URLs


names = st.text(st.characters(codec="utf-8", categories=["L", "N"], include_characters="-_.+~"), min_size=1)
versions = st.text(st.characters(codec="ascii", categories=["L", "N"], include_characters="-_.+~:!^"), min_size=1)


@given(names, versions, st.sampled_from([None, "0", "2"]))
def test_a_packages_url_is_read_as_it_was_meant(name: str, version: str, epoch: str | None) -> None:
    package = Package("rpm", name, version, "x86_64", f"{name}.src.rpm", epoch, "amzn", "2023")
    read = PackageURL.from_string(package_purl(package).to_string())
    assert (read.type, read.namespace, read.name, read.version) == ("rpm", "amzn", name, version)
    assert isinstance(read.qualifiers, dict)
    assert (read.qualifiers["upstream"], read.qualifiers.get("epoch")) == (f"{name}.src.rpm", epoch)


@given(st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", fullmatch=True), versions, st.booleans())
def test_a_distributions_url_is_read_as_it_was_meant(name: str, version: str, is_vcs: bool) -> None:
    url = "https://example.com:8443/a+b@c/ü?"
    source = Source("vcs", url=url, vcs="git", commit="c0ffee") if is_vcs else Source("url", url=url)
    purl = distribution_purl(Distribution(name, version, source))
    assert purl is not None
    read = PackageURL.from_string(purl.to_string())
    assert (read.type, read.name, read.version) == ("pypi", name.lower().replace("_", "-"), version)
    assert read.qualifiers == ({"vcs_url": f"git+{url}@c0ffee"} if is_vcs else {"download_url": url})


@pytest.mark.parametrize(("is_directory", "has_one"), [(True, False), (False, True)])
def test_a_project_of_your_own_is_not_what_has_its_name_on_an_index(is_directory: bool, has_one: bool) -> None:
    purl = distribution_purl(Distribution("x", "1", Source("local", path="x", is_directory=is_directory)))
    assert (purl is not None) == has_one
