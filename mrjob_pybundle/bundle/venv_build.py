"""What can be told of a venv-build.sh without running it, and without asking anyone: the rest only the build can tell.

How it is run: ``stage_venv_build`` in build-binaries.sh. With ``#!`` as its first two bytes, by what that line names;
else by bash.
"""

from __future__ import annotations

import posixpath
import re
import subprocess
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from mrjob_pybundle.errors import OptionError

_UTF_8_MARK = b"\xef\xbb\xbf"
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")

_SHELLS = ("bash", "sh")
#: What every Amazon Linux has.
_EVERYWHERE = {f"{directory}/{name}" for directory in ("/bin", "/usr/bin") for name in (*_SHELLS, "env")}
#: What ``env`` finds in any case: the environment's, or the system's.
_ON_PATH = re.compile(r"bash|sh|python3?|pip3?")
#: Interpreters that take Windows line ends for line ends.
_TAKES_CRLF = re.compile(r"(python|pypy|perl|ruby|node|php)[\d.]*")

#: Amazon Linux 2 has bash 4.2, and an older one (macOS has 3.2) fails on what that can read.
_OLDEST_BASH = 4


@dataclass(frozen=True)
class Examined:
    """What a venv-build.sh is like that may work."""

    #: as its ``#!`` line has it; ``None`` if it has none: bash
    interpreter: str | None
    #: whether only the build's machine can tell that it has such an interpreter
    may_be_missing: bool
    #: what will probably not do what its author wants; each a sentence with the script's path
    warnings: tuple[str, ...]


def examine(path: Path, content: bytes, build_files: Container[str]) -> Examined:
    """Look at the script that has *content*, and files of the names *build_files* beside it.

    :raises OptionError: it cannot work.
    """
    first_line = content.split(b"\n", 1)[0]
    if content.startswith(_UTF_16_MARKS):
        raise OptionError(f"{path} is UTF-16, which no interpreter reads. Save it as UTF-8.")
    if b"\0" in first_line:
        raise OptionError(f"{path} is no text")
    if content.startswith(_UTF_8_MARK):
        raise OptionError(f"{path} begins with a byte order mark, which hides its first line. Remove it.")
    if not content.startswith(b"#!"):
        return Examined(None, False, tuple(_remarks(path, content, "bash")))
    if b"\r" in first_line:
        raise OptionError(f"{path} has Windows line ends, with which its #! line names nothing. Run dos2unix on it.")

    line = first_line.removeprefix(b"#!").decode("utf-8", "replace").strip(" \t")
    interpreter, _, argument = line.replace("\t", " ").partition(" ")
    program, is_found_on_path = interpreter, False
    if not interpreter:
        return Examined("sh", False, (f"{path}: its #! line names no interpreter: sh runs it.",))
    if posixpath.basename(interpreter) == "env":
        program, is_found_on_path = _program_of_env(path, line, argument.strip(" ")), True
    elif not interpreter.startswith("/") and posixpath.normpath(interpreter) not in build_files:
        raise OptionError(f"{path}: {interpreter} in its #! line is no absolute path. Try #!/usr/bin/env {interpreter}")
    is_certain = _ON_PATH.fullmatch(program) if is_found_on_path else program in _EVERYWHERE
    return Examined(line, not is_certain, tuple(_remarks(path, content, posixpath.basename(program))))


def _program_of_env(path: Path, line: str, argument: str) -> str:
    """What ``#!/usr/bin/env ARGUMENT`` runs. Linux makes one argument of all that follows the interpreter."""
    words = argument.split()
    if re.match(r"-[a-z]*S|--split-string", argument):
        rest = re.sub(r"^(-[a-z]*S|--split-string=?)", "", argument).split()
        words = [word for word in rest if "=" not in word and not word.startswith("-")][:1]
    if not words:
        raise OptionError(f"{path}: its first line, #!{line}, names no program")
    if len(words) > 1:
        raise OptionError(
            f"{path}: its first line, #!{line}, has env look for a program of the name {argument!r}."
            " Leave the arguments out (set -eu can be a line of its own), or say env -S, unknown to Amazon Linux 2."
        )
    return words[0]


def _remarks(path: Path, content: bytes, program: str) -> list[str]:
    """What to say of a script that *program* runs.

    :raises OptionError: it is a shell's, and bash cannot read it.
    """
    if not content.strip():
        return [f"{path} is empty: the bundle will have Python and mrjob alone."]
    is_for_shell = program in _SHELLS
    remarks = []
    if content.lstrip().startswith(b"#!") and not content.startswith(b"#!"):
        remarks.append(f"{path}: its #! line counts for nothing, since it is not the first: bash runs it.")
    if b"\r\n" in content and not _TAKES_CRLF.fullmatch(program):
        remarks.append(
            f"{path} has Windows line ends, which {program} takes for a part of each line's last word."
            " Run dos2unix on it."
        )
    if is_for_shell and b"\0" in content:
        remarks.append(f"{path} has bytes in it that are no text, so its syntax was not checked.")
    elif is_for_shell:
        remarks += _syntax(path, content)
    return remarks


def _syntax(path: Path, content: bytes) -> list[str]:
    """What this machine's bash says of a script: nothing if it can read it, or is missing.

    :raises OptionError: it cannot read it.
    """
    checked = _bash(["-n"], content)
    if checked is not None and checked.returncode != 0:
        # A script may turn extglob on before it uses it; to read it without running it, it must be on.
        checked = _bash(["-O", "extglob", "-n"], content)
    if checked is None or checked.returncode == 0:
        return []
    said = checked.stderr.decode("utf-8", "replace").strip().splitlines()
    reason = said[0].removeprefix("bash: ") if said else "bash cannot read it"
    version = _bash(["-c", 'echo "${BASH_VERSINFO[0]}"'], b"")
    if version and int(version.stdout or 0) < _OLDEST_BASH:
        return [f"{path}: {reason}. This machine's bash is old; the build's may read it."]
    if b"\r\n" in content:
        raise OptionError(f"{path} has Windows line ends, on which bash fails ({reason}). Run dos2unix on it.")
    raise OptionError(f"{path}: {reason}")


def _bash(arguments: list[str], script: bytes) -> subprocess.CompletedProcess[bytes] | None:
    """What bash makes of *script*; ``None`` where there is no bash."""
    try:
        return subprocess.run(["bash", *arguments], input=script, capture_output=True)
    except OSError:
        return None
