"""What lies where in the cache. Names are relative to the cache's ``v1/``.

::

    v1/python/<key>/manifest.json             complete when this exists
    v1/python/<key>/<sha256>.tar.gz
    v1/venv/<key>/manifest.json               names key and digest of its python archive, too
    v1/venv/<key>/<sha256>.tar.gz
    v1/venv/<key>/<account>/<region>/used     its time of modification is when a cluster there last used the bundle
    v1/venv/<key>/used                        the same, where nobody knows where the cluster is
    v1/venv/<key>/pins/bootstrap-<sha256>.sh    the bootstrap action of clusters that other programs start
    v1/venv/<key>/pins/bootstrap-<sha256>.json  that stays, and the archives that this names: for whom
    v1/{python,venv}/<key>/retired            its manifest was taken away: by whom, when, and what it named
    v1/{python,venv}/<key>/probe              a build has seen that it may write here: its id
    v1/claims/<key>.json                      who is building it
    v1/builds/<build-id>/…                    a build's inputs, log, status
    v1/sources/<sha256>/Python-3.13.5.tar.xz
    v1/doctor/…                               probes of mrjob-pybundle doctor, should one be left
"""

from __future__ import annotations

import re

from mrjob_pybundle.aws.emr import Place
from mrjob_pybundle.bundle.spec import Archive

VERSION = "v1"

#: The two kinds of keys.
PYTHON, VENV = "python", "venv"

#: Beside a key's archives.
MANIFEST, USED, RETIRED, PROBE = "manifest.json", "used", "retired", "probe"

#: In a venv key's directory.
PINS = "pins"

#: In a build's directory.
INPUTS, SCRIPT, LOG, STATUS = "inputs.tar.gz", "build-binaries.sh", "log.txt", "status.json"

#: Directories of all that is no key's.
CLAIMS, BUILDS, SOURCES, PROBES = "claims", "builds", "sources", "doctor"

_ARCHIVE = re.compile(r"([0-9a-f]{64})\.tar\.gz")


def of_key(kind: str, key: str, name: str) -> str:
    """What lies beside a key's archives: its manifest, marks of use and of removal."""
    return f"{kind}/{key}/{name}"


def used(key: str, place: Place | None) -> str:
    """The note that clusters in *place* use the bundle of a venv key."""
    return of_key(VENV, key, f"{place.account}/{place.region}/{USED}" if place else USED)


def place_of_use(name: str) -> Place | None:
    """Where the clusters are of which a note of use tells."""
    *_, account, region, _ = ("", "", *name.split("/")[2:])
    return Place(region, account) if region and account else None


def pinned_script(key: str, script_name: str) -> str:
    """The bootstrap script of that name (``bootstrap-<sha256>.sh``), of a venv key's bundle, for others than jobs."""
    return of_key(VENV, key, f"{PINS}/{script_name}")


def pin_of(script: str) -> str:
    """The pin beside a pinned script; also where there is none any more."""
    return f"{script.removesuffix('.sh')}.json"


def is_pin(name: str) -> bool:
    """Whether that is a pin's name."""
    return f"/{PINS}/" in name and name.endswith(".json")


def is_pinned_script(name: str) -> bool:
    """Whether that is the name of a script that has a pin, or had one."""
    return f"/{PINS}/" in name and name.endswith(".sh")


def keys(kind: str, beginning: str = "") -> str:
    """How the names of all that lies beside archives begin whose keys begin like that."""
    return f"{kind}/{beginning}"


def archive(kind: str, which: Archive) -> str:
    """An archive."""
    return of_key(kind, which.key, which.name)


def archive_sha256(name: str) -> str | None:
    """The digest that names an archive, ``None`` if *name* is none's."""
    match = _ARCHIVE.fullmatch(file_name(name))
    return match[1] if match else None


def claim(key: str) -> str:
    """The claim on a venv key."""
    return f"{CLAIMS}/{key}.json"


def key_of_claim(name: str) -> str:
    """The venv key that a claim is on."""
    return file_name(name).removesuffix(".json")


def of_build(build_id: str, name: str) -> str:
    """One of a build's files."""
    return f"{BUILDS}/{build_id}/{name}"


def bootstrap_action(number: int) -> str:
    """In a build's directory: what its cluster runs before it, counted from 1."""
    return f"bootstrap-action-{number}"


def source(sha256: str, name: str) -> str:
    """A source tarball."""
    return f"{SOURCES}/{sha256}/{name}"


def probe(name: str) -> str:
    """What the doctor writes, and deletes, to see whether it can."""
    return f"{PROBES}/{name}"


def file_name(name: str) -> str:
    """The last part of a name."""
    return name.rsplit("/", 1)[-1]


def directory_name(name: str) -> str | None:
    """A key, a build id or a digest: the directory of its own in which something lies, if it does."""
    parts = name.split("/")
    return parts[1] if len(parts) > 2 else None
