"""What can be told of a venv-build.sh before anything is built; the doctor and jobs say it (tests/services)."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mrjob_pybundle.bundle.venv_build import Examined, examine
from mrjob_pybundle.errors import OptionError

PATH = Path("venv-build.sh")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"#!/bin/bash\r\nset -eu\r\n", "has Windows line ends, with which its #! line names nothing"),
        (b"#!/usr/bin/env python3\r\nprint()\r\n", "has Windows line ends, with which its #! line names nothing"),
        (b"#!/bin/bash\rset -eu\r", "has Windows line ends, with which its #! line names nothing"),
        (b"if true; then\r\n  pip install x\r\nfi\r\n", r"has Windows line ends, on which bash fails \(line"),
        (b"\xef\xbb\xbfset -eu\n", "begins with a byte order mark"),
        ("set -eu\n".encode("utf-16"), "is UTF-16"),
        (b"\x7fELF\0\0", "is no text"),
        (b"#!/bin/bash\nif true; then\n", "line 3: syntax error: unexpected end of file"),
        (b"#!/bin/sh\nif true; then\n", "line 3: syntax error: unexpected end of file"),
        (b"#!/usr/bin/env bash\nif true; then\n", "line 3: syntax error: unexpected end of file"),
        (b"#!python3\n", r"python3 in its #! line is no absolute path\. Try #!/usr/bin/env python3"),
        (b"#!/usr/bin/env\n", "#!/usr/bin/env, names no program"),
        (b"#!/usr/bin/env -S LANG=C\n", "names no program"),
        (b"#!/usr/bin/env bash -eu\n", "has env look for a program of the name 'bash -eu'"),
    ],
)
def test_what_cannot_work(content: bytes, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        examine(PATH, content, ())


@pytest.mark.parametrize(
    ("content", "may_be_missing"),
    [
        (b"set -eu\n", False),
        (b"#!/bin/bash", False),
        (b"#! /usr/bin/env\tpython3\nprint()\r\n", False),
        (b"#!/usr/bin/env python3\nPK\3\4\0\0", False),
        (b"#!/usr/bin/env -S bash -eu\necho\n", False),
        (b"shopt -s extglob\nrm !(x)\n", False),
        (b"#!/usr/bin/perl\nprint 1;\r\n", True),
        (b"#!/opt/venv/bin/python\n", True),
        (b"#!/usr/bin/env ruby\n", True),
        (b"#!./tools/bash\n", True),
    ],
)
def test_what_may_work(content: bytes, may_be_missing: bool) -> None:
    interpreter = content.splitlines()[0].decode().removeprefix("#!").strip() if content.startswith(b"#!") else None
    assert examine(PATH, content, {"tools/bash": PATH}) == Examined(interpreter, may_be_missing, ())


@pytest.mark.parametrize(
    ("content", "warning"),
    [
        (
            b"set -eu\r\npip install x\r\n",
            "has Windows line ends, which bash takes for a part of each line's last word",
        ),
        (b"#!/usr/bin/make -f\nall:\r\n", "has Windows line ends, which make takes for a part"),
        (b"#!/bin/bash\nexec tail -c 3 $0\n\0\0\0", "its syntax was not checked"),
        (b"#!\necho\n", "names no interpreter: sh runs it"),
        (b"\n#!/usr/bin/env python3\n", "its #! line counts for nothing, since it is not the first"),
        (b" \n", "is empty: the bundle will have Python and mrjob alone"),
    ],
)
def test_what_is_worth_a_warning(content: bytes, warning: str) -> None:
    (said,) = examine(PATH, content, ()).warnings
    assert warning in said


def test_a_machine_without_a_bash_that_can_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """macOS has bash 3.2: what it cannot read, the build's may."""
    old = tmp_path / "bash"
    old.write_text(f"#!{shutil.which('bash')}\n[[ $1 == -c ]] && echo 3 && exit\nexit 2\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert examine(PATH, b"if\n", ()).warnings == (), "not executable: there is none"
    old.chmod(0o755)
    (said,) = examine(PATH, b"if\n", ()).warnings
    assert said.endswith("This machine's bash is old; the build's may read it.")
