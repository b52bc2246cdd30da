"""Why a bundle is not in the cache: what in its inputs differs from the cached bundle that is most like it.

And what two cached bundles differ in: what went in, and what is inside.
"""

from __future__ import annotations

import difflib
import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from mrjob_pybundle.bundle.spec import BundleSpec
from mrjob_pybundle.cache import layout
from mrjob_pybundle.cache.cache import Cache
from mrjob_pybundle.cache.contents import Contents, contents_of
from mrjob_pybundle.cache.inventory import Inventory, Shelf

#: Longer files are told apart by their digests alone.
_LONGEST_TEXT = 100_000
_VENV_BUILD = "venv-build.sh"


@dataclass(frozen=True)
class Difference:
    """One thing that differs. *before* and *after* are for people; ``None`` where there is no such thing."""

    name: str
    before: str | None
    after: str | None
    #: a unified diff of the two texts, if both are known; without line ends
    diff: tuple[str, ...] = ()


@dataclass(frozen=True)
class Explanation:
    """How what is wanted differs from *nearest*, the cached bundle that has most inputs in common with it."""

    nearest: Shelf
    differences: tuple[Difference, ...]
    #: why there is no diff of texts that differ; ``""`` if there is, or none does
    no_texts: str = ""


@dataclass(frozen=True)
class Comparison:
    """How one cached bundle differs from another."""

    before: Shelf
    after: Shelf
    #: what went in
    inputs: tuple[Difference, ...]
    #: what is inside
    contents: tuple[Difference, ...]
    #: what could not be compared
    remarks: tuple[str, ...]


_NO_TEXTS = "The old texts are gone with that build's inputs: only their digests are known."


def explain_miss(
    spec: BundleSpec, venv_build: Path | None, build_files: Mapping[str, Path], inventory: Inventory, cache: Cache
) -> Explanation | None:
    """Compare *spec* with what is cached; the files are those that it was made from.

    ``None`` if no bundle is cached.

    :raises CacheError: S3 said no.
    """
    if not inventory.bundles:
        return None
    pairs = {shelf.key: _both(spec, shelf, inventory) for shelf in inventory.bundles}
    # The first of equals, which is the newest.
    nearest = max(inventory.bundles, key=lambda shelf: _in_common(*pairs[shelf.key]))
    found = compare(*pairs[nearest.key])
    texts = {_file(name): path for name, path in build_files.items()}
    if venv_build is not None:
        texts[_VENV_BUILD] = venv_build
    if not any(difference.before and difference.name in texts for difference in found):
        return Explanation(nearest, found)
    old_texts, new_texts = _inputs_of(nearest, cache), _read({d.name: texts[d.name] for d in found if d.name in texts})
    return Explanation(
        nearest,
        tuple(_with_diff(difference, old_texts, new_texts, nearest.key[:12], "now") for difference in found),
        "" if old_texts else _NO_TEXTS,
    )


def compare_bundles(before: Shelf, after: Shelf, inventory: Inventory, cache: Cache) -> Comparison:
    """Compare two bundles that have their manifests.

    :raises CacheError: S3 said no, or a manifest does not say what is inside as it should.
    """
    inputs = compare(*_inputs_of_both(before, after, inventory))
    remarks = []
    if any(difference.before and difference.after and _is_text(difference.name) for difference in inputs):
        old_texts, new_texts = _inputs_of(before, cache), _inputs_of(after, cache)
        inputs = tuple(_with_diff(one, old_texts, new_texts, before.key[:12], after.key[:12]) for one in inputs)
        remarks += [] if old_texts and new_texts else [_NO_TEXTS]
    insides = [_contents_of(shelf, inventory) for shelf in (before, after)]
    remarks += [
        f"{shelf.key[:12]}: {inside.remark}"
        for shelf, inside in zip((before, after), insides, strict=True)
        if inside.remark
    ]
    return Comparison(before, after, inputs, compare_contents(*insides), tuple(remarks))


def _inputs_of_both(before: Shelf, after: Shelf, inventory: Inventory) -> list[dict[str, str]]:
    manifests = [shelf.manifest for shelf in (before, after) if shelf.manifest]
    pythons = [inventory.pythons.get(str(manifest.python_key)) for manifest in manifests]
    inputs = [python.manifest.inputs for python in pythons if python and python.manifest]
    known = inputs if len(inputs) == len(manifests) else [None] * len(manifests)
    return [flat_inputs(manifest.inputs, python) for manifest, python in zip(manifests, known, strict=True)]


def _contents_of(shelf: Shelf, inventory: Inventory) -> Contents:
    assert shelf.manifest is not None
    return contents_of(shelf.manifest, inventory.python_of(shelf.manifest))


def compare_contents(before: Contents, after: Contents) -> tuple[Difference, ...]:
    """What differs inside: CPython, distributions, and, where both bundles know theirs, libraries."""
    there = {canonicalize_name(one.name): one for one in after.distributions}
    same = {
        name
        for name, one in ((canonicalize_name(one.name), one) for one in before.distributions)
        if name in there and one.may_be(there[name])
    }
    differences = compare(_flat_contents(before, after), _flat_contents(after, before))
    return tuple(difference for difference in differences if difference.name not in same)


def _flat_contents(contents: Contents, other: Contents) -> dict[str, str]:
    """What is inside by names for people, as far as it is known of the *other*, too."""
    python = contents.python
    flat = {"CPython": python.version or "unknown"}
    if python.source_sha256 and other.python.source_sha256:
        flat["CPython"] += f", source sha256 {_short(python.source_sha256)}"
    flat |= {
        canonicalize_name(one.name): f"{one.version} ({one.source})" if one.source else one.version
        for one in contents.distributions
    }
    if not (contents.not_recorded or other.not_recorded):
        flat |= {one.name: f"{one}, sha256 {_short(one.sha256)}" for one in contents.libraries}
    return flat


def _both(spec: BundleSpec, shelf: Shelf, inventory: Inventory) -> tuple[dict[str, str], dict[str, str]]:
    """What went into a cached bundle, and what goes into *spec*."""
    assert shelf.manifest is not None
    ours, theirs = spec.python.inputs(), None
    python = inventory.pythons.get(str(shelf.manifest.python_key))
    if shelf.manifest.python_key == spec.python.key:
        theirs = ours
    elif python is not None and python.manifest is not None:
        theirs = dict(python.manifest.inputs)
    # Where only the key of one is known, the keys are all that can be compared.
    return flat_inputs(shelf.manifest.inputs, theirs), flat_inputs(spec.inputs(), ours if theirs else None)


def flat_inputs(venv: Mapping[str, Any], python: Mapping[str, Any] | None) -> dict[str, str]:
    """The inputs of both keys by names for people. *python* is ``None`` where only its key is known."""
    flat: dict[str, str] = {}
    if python is None:
        flat["Python"] = f"key {venv['python'][:12]}"
    else:
        flat |= {
            "Python": str(python["version"]),
            "architecture": str(python["arch"]),
            "operating system": str(python["os_family"]),
            "optimized": "yes" if python["optimize"] else "no",
            "./configure": " ".join(python["configure_args"]) or "no arguments of yours",
            "source tarball": f"sha256 {_short(python['source_sha256'])}"
            if python["source_sha256"]
            else "python.org's",
            "how we compile Python (recipe)": str(python["recipe"]),
        }
    flat |= {
        "mrjob": f"{venv['mrjob']['version']} (sha256 {_short(venv['mrjob']['sha256'])})",
        "import hook": str(venv["hook"]),
        "how we make environments (recipe)": str(venv["recipe"]),
    }
    if venv["venv_build_sha256"]:
        flat[_VENV_BUILD] = f"sha256 {_short(venv['venv_build_sha256'])}"
    for file in venv["build_files"]:
        executable = ", executable" if file["executable"] else ""
        flat[_file(file["name"])] = f"sha256 {_short(file['sha256'])}{executable}"
    return flat


def compare(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[Difference, ...]:
    """What differs between two results of :func:`flat_inputs`."""
    names = list(dict.fromkeys([*after, *before]))
    return tuple(
        Difference(name, before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)
    )


def _short(sha256: str) -> str:
    return sha256[:12]


def _file(name: str) -> str:
    return f"build file {name}"


def _is_text(name: str) -> bool:
    """Whether that input has a text."""
    return name == _VENV_BUILD or name.startswith(_file(""))


def _in_common(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[int, int]:
    """How many inputs are the same; then, how many are there on both sides: an edited file is more alike than none."""
    return len(before.items() & after.items()), len(before.keys() & after.keys())


def _inputs_of(shelf: Shelf, cache: Cache) -> dict[str, bytes]:
    """``venv-build.sh`` and the build files that a bundle was made from; empty if they are gone."""
    assert shelf.manifest is not None
    packed = cache.builds.read(shelf.manifest.build_id, layout.INPUTS)
    if packed is None:
        return {}
    found = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as tar:
            for member in tar:
                is_theirs = member.name == _VENV_BUILD or member.name.startswith("files/")
                file = tar.extractfile(member) if is_theirs and member.size <= _LONGEST_TEXT else None
                if file is not None:
                    name = _VENV_BUILD if member.name == _VENV_BUILD else _file(member.name.removeprefix("files/"))
                    found[name] = file.read()
    except (tarfile.TarError, EOFError, OSError):
        return {}
    return found


def _read(paths: Mapping[str, Path]) -> dict[str, bytes]:
    return {name: path.read_bytes() for name, path in paths.items() if path.stat().st_size <= _LONGEST_TEXT}


def _with_diff(
    difference: Difference, old_texts: Mapping[str, bytes], new_texts: Mapping[str, bytes], before: str, after: str
) -> Difference:
    """*before* and *after* say whose texts these are."""
    if difference.name not in old_texts or difference.name not in new_texts:
        return difference
    try:
        old, new = (texts[difference.name].decode("utf-8").splitlines() for texts in (old_texts, new_texts))
    except UnicodeDecodeError:
        return difference
    labels = f"{difference.name} of {before}", f"{difference.name} {after if after == 'now' else f'of {after}'}"
    lines = tuple(difflib.unified_diff(old, new, *labels, lineterm=""))
    return replace(difference, diff=lines or ("(They differ in line ends alone.)",))
