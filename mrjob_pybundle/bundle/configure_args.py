"""What ``pybundle_configure_args`` may say to CPython's ``./configure``: whatever leaves a bundle's layout alone.

The build and the nodes count on where CPython lies, what its programs are called, and which wheels fit it. An argument
that changes this would break the build after all of CPython has been compiled, and be paid for: it is refused before.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mrjob_pybundle.errors import OptionError

# Autoconf takes one dash for two, and "-", "+", "." and "_" for the same in the name of a feature.
_FEATURE = re.compile(r"--?(?P<verb>enable|disable|with|without)-(?P<name>[\w+.-]+)(?:=(?P<value>.*))?", re.DOTALL)

# Results of its checks can be given, too. All other names in lower case are its own: "prefix=/x" is "--prefix=/x".
_VARIABLE = re.compile(r"(?:[A-Z][A-Z0-9_]*|(?:ac|ax|py)_cv_\w+)=.*", re.DOTALL)

_QUIET = ("-q", "-quiet", "--quiet", "-silent", "--silent")

_DIRECTORY = re.compile(r"--?((exec-)?prefix|srcdir|(\w*dir))(=.*)?", re.DOTALL)
_PROGRAM_NAME = re.compile(r"--?program-(prefix|suffix|transform-name)(=.*)?", re.DOTALL)
_SYSTEM = re.compile(r"--?(build|host|target)(=.*)?", re.DOTALL)
_COMPILES_NOTHING = re.compile(r"-h|-V|-n|--?(help|version|no-create|norecursion)(=.*)?", re.DOTALL)


@dataclass(frozen=True)
class _Refusal:
    """Why a feature is refused, but for the values that *work*, and only of CPythons *before* some version."""

    reason: str
    work: tuple[str, ...] = ("no",)
    before: tuple[int, int] | None = None


_NO_WHEELS = "wheels from package indexes don't fit such a CPython"
_OTHER_SYSTEM = "nodes run Linux, and CPython is compiled on one of their kind"
_CLANG = "build machines have gcc, and this takes LLVM"
_SANITIZER = (
    "what is linked with a sanitizer fails the build at the first leak of its own tools, and no task runs on it"
)
_NEEDED = "pip and tasks need it"

_REFUSED = {
    # layout
    "enable-shared": _Refusal("a bundle's python has CPython inside, which is faster; there is no libpython in it"),
    "with-platlibdir": _Refusal("bundles have their modules in lib/", work=("lib",)),
    "with-suffix": _Refusal("programs of a bundle are called python, without a suffix"),
    "with-ensurepip": _Refusal("pip is put into the virtual environment, not beside CPython"),
    # ABI
    "disable-gil": _Refusal(
        "a task of mrjob's is one thread, which is slower without the GIL; such a CPython has another layout"
        " (lib/python3.13t), and few packages have wheels for it"
    ),
    "with-pydebug": _Refusal(_NO_WHEELS),
    "with-trace-refs": _Refusal(_NO_WHEELS),
    "with-pymalloc": _Refusal(_NO_WHEELS, work=("yes",), before=(3, 8)),
    "enable-unicode": _Refusal("bundles of 2.7 have four-byte Unicode, which wheels expect", ("ucs4",), (3, 0)),
    # modules that every bundle must have, and where their libraries come from
    "with-openssl-rpath": _Refusal("a bundle brings its OpenSSL along, and looks nowhere else for it"),
    "with-readline": _Refusal("the module readline must be in a bundle, and it is GNU's", work=("yes", "readline")),
    "with-threads": _Refusal(_NEEDED, work=("yes",), before=(3, 7)),
    "with-signal-module": _Refusal(_NEEDED, work=("yes",)),
    # what the build machine cannot do
    "with-address-sanitizer": _Refusal(_SANITIZER),
    "with-memory-sanitizer": _Refusal(_SANITIZER),
    "with-thread-sanitizer": _Refusal(_SANITIZER),
    "with-undefined-behavior-sanitizer": _Refusal(_SANITIZER),
    "enable-bolt": _Refusal(_CLANG),
    "enable-experimental-jit": _Refusal(_CLANG, work=("no", "interpreter")),
    "with-tail-call-interp": _Refusal(_CLANG),
    "with-lto": _Refusal("build machines have gcc, which knows no thin link-time optimization", ("yes", "no", "full")),
    "with-build-python": _Refusal(_OTHER_SYSTEM),
    "enable-framework": _Refusal(_OTHER_SYSTEM),
    "enable-universalsdk": _Refusal(_OTHER_SYSTEM),
    "with-universal-archs": _Refusal(_OTHER_SYSTEM),
    "with-framework-name": _Refusal(_OTHER_SYSTEM),
    "with-app-store-compliance": _Refusal(_OTHER_SYSTEM),
    "with-dsymutil": _Refusal(_OTHER_SYSTEM),
    "with-emscripten-target": _Refusal(_OTHER_SYSTEM),
    "enable-wasm-dynamic-linking": _Refusal(_OTHER_SYSTEM),
    "enable-wasm-pthreads": _Refusal(_OTHER_SYSTEM),
}


def check_configure_args(arguments: Sequence[str], python_version: str) -> None:
    """Refuse what cannot end in a bundle of that CPython (``3.13.5``).

    :raises OptionError: naming the first such argument, and why.
    """
    major, minor = (int(number) for number in python_version.split(".")[:2])
    said: dict[str, tuple[str, str]] = {}
    for argument in arguments:
        feature = _FEATURE.fullmatch(argument)
        if feature:
            name, value = _meaning(feature)
            said[name] = value, argument  # of several, the last one counts
        elif argument not in _QUIET and not _VARIABLE.fullmatch(argument):
            raise _error(argument, _why_no_feature(argument))
    for name, (value, argument) in said.items():
        refusal = _REFUSED.get(name)
        if refusal is None or value in refusal.work:
            continue
        if refusal.before is None or (major, minor) < refusal.before:
            raise _error(argument, refusal.reason)


def _meaning(feature: re.Match[str]) -> tuple[str, str]:
    """``--without-x`` is ``--with-x=no``; and so is ``--enable-gil=no`` what CPython calls ``--disable-gil``."""
    verb, name = feature["verb"], re.sub(r"[+._]", "-", feature["name"])
    is_no = verb in ("disable", "without")
    value = "no" if is_no else "yes" if feature["value"] is None else feature["value"]
    if name == "gil":
        return "disable-gil", "yes" if value == "no" else "no"
    return f"{'enable' if verb in ('enable', 'disable') else 'with'}-{name}", value


def _why_no_feature(argument: str) -> str:
    if _DIRECTORY.fullmatch(argument):
        return "a bundle has its own directories, and works wherever it is unpacked"
    if _PROGRAM_NAME.fullmatch(argument):
        return "programs of a bundle are called what CPython calls them"
    if _SYSTEM.fullmatch(argument):
        return _OTHER_SYSTEM
    if _COMPILES_NOTHING.fullmatch(argument):
        return "it has configure prepare nothing to compile"
    return "it is none of --enable-…, --disable-…, --with-…, --without-… and VARIABLE=value"


def _error(argument: str, reason: str) -> OptionError:
    return OptionError(f"pybundle_configure_args: {argument!r} is refused: {reason}")
