"""Nothing that a real ``./configure --help`` offers is forgotten: it is refused, or known to leave bundles alone."""

from __future__ import annotations

import re
import subprocess
import tarfile
from pathlib import Path

from mrjob_pybundle.bundle.configure_args import check_configure_args
from mrjob_pybundle.errors import OptionError
from tests.compiled import CPYTHON, fetch_source
from tests.unpacking import unpack

#: Features of CPython that change neither its layout nor its ABI, nor what the build machine must have.
TAKEN = {
    *("disable-option-checking", "disable-test-modules", "enable-big-digits", "enable-ipv6"),
    *("enable-loadable-sqlite-extensions", "enable-optimizations", "enable-profiling", "enable-pystats"),
    *("with-assertions", "with-builtin-hashlib-hashes", "with-c-locale-coercion", "with-computed-gotos"),
    *("with-dbmliborder", "with-decimal-contextvar", "with-doc-strings", "with-dtrace", "with-freelists"),
    *("with-hash-algorithm", "with-libc", "with-libm", "with-libs", "with-mimalloc", "with-openssl"),
    *("with-pkg-config", "with-pymalloc", "with-ssl-default-suites", "with-strict-overflow"),
    *("with-system-expat", "with-system-libmpdec", "with-tzpath", "with-valgrind", "with-wheel-pkg-dir"),
    *("without-static-libpython", "quiet", "silent", "q"),
}
#: Placeholders of the text.
_NOT_MEANT = {"disable-FEATURE", "enable-FEATURE", "with-PACKAGE", "without-PACKAGE"}
#: With these values they change something.
_VALUES = {"with-lto": "thin", "with-readline": "editline", "with-platlibdir": "lib64"}


def test_every_option_of_configure(tmp_path: Path) -> None:
    cpython_source = fetch_source(CPYTHON)
    top = cpython_source.name.removesuffix(".tar.xz")
    with tarfile.open(cpython_source) as tarball:
        for name in ("configure", "Include/object.h"):  # by the latter, it knows where the sources are
            unpack(tarball, tmp_path, [tarball.getmember(f"{top}/{name}")])
    text = subprocess.run(
        ["./configure", "--help"], cwd=tmp_path / top, capture_output=True, text=True, check=True
    ).stdout
    lines = [line.replace("--with(out)-", "--with-") for line in text.splitlines() if re.match(r" +-", line)]
    switches = {found for line in lines for found in re.findall(r"(?:^ +|, )(--?[\w-]+)", line)}
    assert len(switches) > 80, text
    taken = {switch.lstrip("-") for switch in switches - {f"--{name}" for name in _NOT_MEANT} if _is_taken(switch)}
    assert taken == TAKEN


def _is_taken(switch: str) -> bool:
    value = _VALUES.get(switch.lstrip("-"))
    try:
        check_configure_args([f"{switch}={value}" if value else switch], "3.13.5")
    except OptionError:
        return False
    return True
