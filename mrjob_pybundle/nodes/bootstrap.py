"""The bootstrap action that gives a bundle to a node, and the programs that steps run through there."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Protocol

from mrjob_pybundle.aws.errors import explained
from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.bundle.spec import Bundle
from mrjob_pybundle.cache import layout
from mrjob_pybundle.cache.cache import Cache
from mrjob_pybundle.templates import read_template, render

#: Where nodes find bundles, by id. What stands there is a link to the large disk.
NODE_ROOT = "/opt/pybundle"


class Programs(Protocol):
    """How steps call a bundle's programs, wherever on a node it is."""

    @property
    def jobrunner(self) -> str:
        """Takes what ``python`` takes."""

    @property
    def venv_exec(self) -> str:
        """Runs any command in the virtual environment."""

    @property
    def activate(self) -> str:
        """Activates the virtual environment in the POSIX shell that sources it."""


@dataclass(frozen=True)
class NodePaths:
    """The :class:`Programs` of a bundle that a bootstrap action has put onto every node of the job's cluster."""

    bundle_id: str

    @property
    def root(self) -> str:
        return f"{NODE_ROOT}/{self.bundle_id}"

    @property
    def jobrunner(self) -> str:
        return f"{self.root}/jobrunner"

    @property
    def venv_exec(self) -> str:
        return f"{self.root}/venv-exec"

    @property
    def activate(self) -> str:
        return f"{self.root}/activate"


def bootstrap_arguments(bundle: Bundle, cache: Cache, region: str) -> list[str]:
    """The bootstrap action's arguments: where both archives are, and the *region* of the cache, ``""`` if unknown.

    They stand here, and not in the script, so that EMR can be asked which archives a living cluster still needs.
    """
    return [
        str(cache.bundles.archive_uri(layout.PYTHON, bundle.python)),
        str(cache.bundles.archive_uri(layout.VENV, bundle.venv)),
        *([region] if region else []),
    ]


def bootstrap_script(bundle: Bundle) -> str:
    """The bootstrap action's script, with sizes and digests of *bundle*: whatever its arguments name must have them."""
    paths = NodePaths(bundle.id)
    return render(
        "bootstrap.sh.tmpl",
        {
            "BUNDLE_ID": bundle.id,
            "PYTHON_SHA256": bundle.python.sha256,
            "PYTHON_SIZE": str(bundle.python.size),
            "VENV_SHA256": bundle.venv.sha256,
            "VENV_SIZE": str(bundle.venv.size),
            "UNPACKED_SIZE": str(bundle.python.unpacked_size + bundle.venv.unpacked_size),
            "SETTLE": read_template("nodes/settle.sh"),
            "ARCH": bundle.arch,
            "NEEDS": bundle.needs,
            "ACTIVATE": render("nodes/activate.sh.tmpl", {"ROOT": paths.root}),
            "JOBRUNNER": render("nodes/jobrunner.sh.tmpl", {"ACTIVATE": paths.activate}),
            "VENV_EXEC": render("nodes/venv-exec.sh.tmpl", {"ACTIVATE": paths.activate}),
        },
    )


def bootstrap_script_name(script: str) -> str:
    """The name under which :func:`upload_script` stores a bootstrap action's script."""
    return _name_by_digest("bootstrap", script)


def script_uri(kind: str, script: str, tmp_dir: S3Uri) -> S3Uri:
    """Where :func:`upload_script` puts a script."""
    return tmp_dir / "pybundle" / _name_by_digest(kind, script)


def upload_script(kind: str, script: str, tmp_dir: S3Uri, s3_client: Any) -> S3Uri:
    """Put *script* below the submitter's own *tmp_dir*, named by *kind* and digest, and return where it is.

    It stays there after the job: nodes that join the cluster later run it. Writing it anew each time keeps
    it out of the reach of whatever removes old files from there.
    """
    uri = script_uri(kind, script, tmp_dir)
    with explained(f"writing {uri}"):
        s3_client.put_object(Bucket=uri.bucket, Key=uri.key, Body=script.encode("utf-8"))
    return uri


def _name_by_digest(kind: str, script: str) -> str:
    return f"{kind}-{hashlib.sha256(script.encode('utf-8')).hexdigest()}.sh"
