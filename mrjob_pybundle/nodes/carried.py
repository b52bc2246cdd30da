"""A bundle that a job brings along, to a cluster that exists already and can run no bootstrap action any more.

The archives come to tasks as files, by Hadoop's distributed cache, and small scripts beside them: the first task
on a node verifies and unpacks, as ``unpack.sh.tmpl`` says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.bundle.spec import Bundle
from mrjob_pybundle.cache import layout
from mrjob_pybundle.cache.cache import Cache
from mrjob_pybundle.errors import OptionError
from mrjob_pybundle.nodes.bootstrap import script_uri, upload_script
from mrjob_pybundle.templates import read_template, render

#: What Hadoop (``-files`` is split at commas, and its parts must be URIs) and Spark take in the name of a file.
#: Hadoop's Path makes one slash of two, and follows ``.`` and ``..``.
_PLAIN_KEY = re.compile(r"(?!(.*/)?(|\.|\.\.)/)[A-Za-z0-9._/=+@~-]*")
#: Names of buckets that are host names to Java's URI, where S3A (of Hadoop 3.4.2: HADOOP-19681) looks for them.
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST_NAME = re.compile(rf"{_LABEL}|(?:{_LABEL}\.)+(?=[A-Za-z]){_LABEL}")


#: Best first: the large disk, then where files outlive a restart.
_PLACES_OF_NODES = ("/mnt/tmp", "/var/tmp", "/tmp")
_REMEDY = "Run the job with --pybundle-rebuild to have it built anew."


@dataclass(frozen=True)
class CarriedPaths:
    """The :class:`~mrjob_pybundle.nodes.bootstrap.Programs` of a bundle that comes into a task's working directory."""

    bundle_id: str

    def name(self, what: str) -> str:
        """The name in the working directory of one of the files that the job brings along."""
        return f"pybundle-{self.bundle_id}-{what}"

    @property
    def jobrunner(self) -> str:
        return f"./{self.name('jobrunner')}"

    @property
    def venv_exec(self) -> str:
        return f"./{self.name('venv-exec')}"

    @property
    def activate(self) -> str:
        return f"./{self.name('activate')}"


@dataclass(frozen=True)
class Carried:
    """What a job brings along of *bundle*, whose archives are in *cache*."""

    bundle: Bundle
    cache: Cache

    @property
    def paths(self) -> CarriedPaths:
        return CarriedPaths(self.bundle.id)

    @cached_property
    def archives(self) -> Mapping[str, S3Uri]:
        """Name in a task's working directory → where the archive is."""
        return {
            self.paths.name("python.tar.gz"): self.cache.bundles.archive_uri(layout.PYTHON, self.bundle.python),
            self.paths.name("venv.tar.gz"): self.cache.bundles.archive_uri(layout.VENV, self.bundle.venv),
        }

    @cached_property
    def scripts(self) -> Mapping[str, str]:
        """Kind of a script, which is in its name, too → its text."""
        activate = {"ACTIVATE": self.paths.activate}
        return {
            "unpack": unpack_script(self.bundle, self.archives, _PLACES_OF_NODES, _REMEDY),
            "activate": render("nodes/activate-carried.sh.tmpl", {"UNPACK": f"./{self.paths.name('unpack')}"}),
            "jobrunner": render("nodes/jobrunner.sh.tmpl", activate),
            "venv-exec": render("nodes/venv-exec.sh.tmpl", activate),
        }

    def uris(self, tmp_dir: S3Uri) -> Mapping[str, S3Uri]:
        """All that tasks need: name in their working directory → where it is, after :meth:`upload` to *tmp_dir*."""
        scripts = {self.paths.name(kind): script_uri(kind, text, tmp_dir) for kind, text in self.scripts.items()}
        return {**self.archives, **scripts}

    def upload(self, tmp_dir: S3Uri, s3_client: Any) -> None:
        """Put the scripts below *tmp_dir*."""
        with ThreadPoolExecutor(len(self.scripts)) as pool:
            for upload in [pool.submit(upload_script, *script, tmp_dir, s3_client) for script in self.scripts.items()]:
                upload.result()


def unpack_script(bundle: Bundle, archives: Mapping[str, S3Uri], places: Sequence[str], remedy: str) -> str:
    """The script that unpacks *bundle* in the first fit one of *places*, or else in its working directory.

    *archives*: path of the python archive, then of the venv archive → where it is from. *remedy*, a sentence, says what
    to do about a bundle that is damaged, or too new.
    """
    (python_path, python_uri), (venv_path, venv_uri) = archives.items()
    return render(
        "nodes/unpack.sh.tmpl",
        {
            "BUNDLE_ID": bundle.id,
            "PYTHON_ARCHIVE": python_path,
            "PYTHON_URI": str(python_uri),
            "PYTHON_SHA256": bundle.python.sha256,
            "PYTHON_SIZE": str(bundle.python.size),
            "VENV_ARCHIVE": venv_path,
            "VENV_URI": str(venv_uri),
            "VENV_SHA256": bundle.venv.sha256,
            "VENV_SIZE": str(bundle.venv.size),
            "UNPACKED_SIZE": str(bundle.python.unpacked_size + bundle.venv.unpacked_size),
            "SETTLE": read_template("nodes/settle.sh"),
            "ARCH": bundle.arch,
            "NEEDS": bundle.needs,
            "ACTIVATE": render("nodes/activate.sh.tmpl", {"ROOT": "BUNDLE_ROOT"}),
            "PLACES": places,
            "REMEDY": remedy,
        },
    )


def check_can_be_carried(cluster_id: str, cache: Cache, tmp_dir: S3Uri) -> None:
    """Check that Hadoop can fetch what a job brings along.

    :raises OptionError: it would misread the URIs.
    """
    why = why_not_carried(cache, tmp_dir)
    if why:
        raise OptionError(f"Cluster {cluster_id} was not created with this job's bundle, and {why}.")


def why_not_carried(cache: Cache, tmp_dir: S3Uri) -> str | None:
    """What keeps Hadoop from fetching what a job brings along; ``None``: nothing does."""
    for option, uri in (("pybundle_cache_uri", cache.root), ("cloud_tmp_dir", tmp_dir)):
        if not _PLAIN_KEY.fullmatch(f"{uri.key}/" if uri.key else ""):
            return (
                f"Hadoop cannot bring files there from {uri}: {option} may only have ASCII letters, digits and"
                " . _ - / = + @ ~ in it then, and no // and no . or .. between slashes"
            )
        if not _HOST_NAME.fullmatch(uri.bucket):
            return (
                f"Hadoop cannot bring files there from {uri}: the name of the bucket of {option} may have no _ in it"
                " then, nor - or . at an end, nor a digit after its last dot"
            )
    return None
