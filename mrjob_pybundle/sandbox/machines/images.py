"""Nodes with another operating system than this machine's: a file tree that they have as their root.

``scripts/make-node-root.sh`` makes such trees, with next to nothing in them. What EMR's nodes have in any case is
brought along: ``aws``, ``sudo``, certificates. ``aws`` is this machine's, and does not count on the tree's libraries:
it comes with its own, and with its own program loader. All of it lies below ``/run/sandbox``, where nothing looks but
``aws``.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path

from mrjob_pybundle.sandbox.machines.needs import PATH
from mrjob_pybundle.sandbox.machines.nodes import (
    NamespaceNode,
    NodeError,
    awscli_directory,
    install_commands,
    own_file,
    passed_through,
    write_executable,
)

_PLACE = "/run/sandbox"  # also in bin/aws-on-image.sh

# How this machine reaches the network, and whom it trusts there.
_NETWORK = ("/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs/ca-certificates.crt")


class ImageNode(NamespaceNode):
    """A node that has the file tree *tree* as its root, and leaves it as it is.

    *image_tools* is where :func:`install_image_tools` put what such nodes need.
    """

    def __init__(
        self, directory: Path, tools: Path, environment: Mapping[str, str], tree: Path, image_tools: Path
    ) -> None:
        super().__init__(directory, tools, environment)
        self.environment["PATH"] = f"{_PLACE}/bin:{PATH}"
        self._image = tree
        self._image_tools = image_tools

    def _tree(self) -> Path:
        return self._image

    def _visible(self) -> list[tuple[Path, str]]:
        named = [value for value in passed_through().values() if value.startswith("/")]
        return [
            (self._image_tools, _PLACE),
            (_standard_library(), f"{_PLACE}/{_place_of_standard_library()}"),
            (awscli_directory(), f"{_PLACE}/site"),
            *((Path(path), path) for path in (*_NETWORK, *named) if Path(path).exists()),
        ]


def install_image_tools(directory: Path) -> None:
    """Put what image nodes find in ``/run/sandbox`` into *directory*.

    :raises NodeError: this machine does not say which libraries its Python needs.
    """
    shutil.rmtree(directory, ignore_errors=True)
    install_commands(directory / "bin")
    write_executable(directory / "bin" / "aws", own_file("bin/aws-on-image.sh"))
    (directory / "lib").mkdir()
    python = Path(sys.executable).resolve()
    shutil.copy(python, directory / "lib" / "python")
    for name, library in _libraries([python, *_standard_library().glob("lib-dynload/*.so")]).items():
        shutil.copy(library, directory / "lib" / name)
    # Where directories of the machine will be: what is read-only later takes no new ones.
    (directory / _place_of_standard_library()).mkdir(parents=True)
    (directory / "site").mkdir()


def _standard_library() -> Path:
    return Path(sysconfig.get_path("stdlib"))


def _place_of_standard_library() -> str:
    """Where Python looks for it below its PYTHONHOME, with ``python/`` as that."""
    return f"python/{_standard_library().relative_to(sys.base_prefix)}"


def _libraries(files: Sequence[Path]) -> dict[str, str]:
    """The shared libraries that *files* need, and the program loader as ``ld.so``: {name: path}, as ldd(1) says."""
    listing = subprocess.run(["ldd", *files], capture_output=True, text=True)
    found = dict(re.findall(r"^\t(\S+) => (/\S+) \(", listing.stdout, re.MULTILINE))
    loader = re.search(r"^\t(/\S+) \(", listing.stdout, re.MULTILINE)
    if loader is None:
        raise NodeError(f"ldd does not know the libraries of {files[0]}: {listing.stderr.strip()}")
    return {**found, "ld.so": loader[1]}
