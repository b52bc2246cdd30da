"""How nodes that share the machine's files have some directories for themselves: under another name.

Whatever tells such a node what to do names ``/mnt``, ``/opt/pybundle`` or ``/home/hadoop`` as on EMR: arguments,
environment, scripts. What the node gets names a directory of its own.

Also a program, which the node's ``bash`` (``bin/bash-on-shared-files.sh.tmpl``) asks what to run for a script::

    own_paths.py OWN SCRIPT [MACHINES]...

It prints the path of what to run instead: a copy beside the script, or, if that names none of these, the script.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

_RENAMED = ("/mnt", "/opt/pybundle", "/home/hadoop")

# What may stand before a path, and what would make it another one: "s3://bucket/mnt" and "/mnt2" are something else.
_BEFORE = r"""(?<![^\s"'`=:,;|&(<>\[{!@])"""
_AFTER = r"(?![\w-])"


@dataclass(frozen=True)
class OwnPaths:
    """Renames a node's directories to directories below *own*.

    *machines* are paths of the machine that nodes see as they are, wherever they lie. *own* needs no quotes in any
    language that scripts are written in: see :func:`needs_no_quotes`.
    """

    own: str
    machines: tuple[str, ...]

    def rename(self, text: str) -> str:
        """*text* with all names of such directories replaced. A second time changes nothing."""
        alternatives = "|".join(re.escape(path) for path in sorted({self.own, *self.machines}))
        names = "|".join(_RENAMED)
        return re.sub(rf"{_BEFORE}(?!(?:{alternatives}){_AFTER})(?:{names}){_AFTER}", lambda m: self.own + m[0], text)

    def rename_in(self, script: Path) -> None:
        """The same in a file, of any encoding."""
        text = script.read_bytes().decode("utf-8", "surrogateescape")
        renamed = self.rename(text)
        if renamed != text:
            script.write_bytes(renamed.encode("utf-8", "surrogateescape"))


def needs_no_quotes(path: str) -> bool:
    """Whether *path* can stand in a script as it is, and in a list such as PATH."""
    return re.fullmatch(r"[\w./@%+,=-]+", path) is not None


def is_script(file: Path) -> bool:
    """Whether a file that is brought to a node is a program's text, in which paths are names and not data."""
    with file.open("rb") as content:
        return content.read(2) == b"#!" or file.suffix == ".sh"


def main(own: str, script: str, *machines: str) -> str:
    """The path of what a node is to run for *script*."""
    original = Path(script)
    paths = OwnPaths(own, machines)
    content = original.read_bytes().decode("utf-8", "surrogateescape")
    if paths.rename(content) == content:
        return script
    with tempfile.NamedTemporaryFile(dir=original.parent, prefix=f"{original.name}.", delete=False) as copy:
        copy.write(paths.rename(content).encode("utf-8", "surrogateescape"))
    shutil.copymode(original, copy.name)
    return copy.name


if __name__ == "__main__":
    sys.stdout.write(main(*sys.argv[1:]))
