"""Arguments of CPython's configure: what would break a build at its end is refused before it begins."""

from __future__ import annotations

import pytest

from mrjob_pybundle.bundle.configure_args import check_configure_args
from mrjob_pybundle.errors import OptionError


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        # layout
        (["--prefix=/usr"], "a bundle has its own directories"),
        (["-prefix=/usr"], "a bundle has its own directories"),
        (["--prefix", "/usr"], "a bundle has its own directories"),
        (["prefix=/usr"], "it is none of --enable-…"),
        (["--pref=/usr"], "it is none of --enable-…"),
        (["--exec-prefix=/usr"], "a bundle has its own directories"),
        (["--srcdir=.."], "a bundle has its own directories"),
        (["--program-suffix=-mine"], "programs of a bundle are called what CPython calls them"),
        (["--enable-shared"], "libpython"),
        (["--enable-shared=yes"], "libpython"),
        (["-enable-shared"], "libpython"),
        (["--disable-shared", "--enable-shared"], "libpython"),
        (["--with-platlibdir=lib64"], "their modules in lib/"),
        (["--with-suffix=.exe"], "without a suffix"),
        (["--with-ensurepip"], "pip is put into the virtual environment"),
        (["--with-ensurepip=upgrade"], "pip is put into the virtual environment"),
        # ABI
        (["--disable-gil"], "a task of mrjob's is one thread"),
        (["--enable-gil=no"], "a task of mrjob's is one thread"),
        (["--with-pydebug"], "wheels from package indexes don't fit"),
        (["--with-trace_refs"], "wheels from package indexes don't fit"),
        # what cannot be compiled, or not there
        (["--host=aarch64-linux-gnu"], "nodes run Linux"),
        (["--enable-framework"], "nodes run Linux"),
        (["--enable-bolt"], "LLVM"),
        (["--enable-experimental-jit=yes-off"], "LLVM"),
        (["--with-lto=thin"], "link-time optimization"),
        (["--with-address-sanitizer"], "sanitizer"),
        (["--with-openssl-rpath=auto"], "brings its OpenSSL along"),
        (["--without-readline"], "readline must be in a bundle"),
        # what does not compile at all
        (["--help"], "prepare nothing to compile"),
        (["--help=short"], "prepare nothing to compile"),
        (["-V"], "prepare nothing to compile"),
        (["-n"], "prepare nothing to compile"),
        (["--cache-file=x"], "it is none of --enable-…"),
        (["with-lto"], "it is none of --enable-…"),
        (["enable_shared=yes"], "it is none of --enable-…"),
        ([""], "it is none of --enable-…"),
    ],
)
def test_refused(arguments: list[str], reason: str) -> None:
    with pytest.raises(OptionError, match=r"^pybundle_configure_args: ") as refused:
        check_configure_args(["--without-doc-strings", *arguments], "3.13.5")
    assert reason in str(refused.value)
    assert repr(arguments[0]) in str(refused.value) or len(arguments) > 1
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--without-doc-strings"],
        ["--with-assertions"],
        ["--enable-optimizations", "--with-lto=full"],
        ["--without-lto"],
        ["--enable-shared", "--disable-shared"],
        ["--enable-gil"],
        ["--without-ensurepip"],
        ["--with-ensurepip=no"],
        ["--with-platlibdir=lib"],
        ["--without-pymalloc"],
        ["--with-static-libpython"],
        ["--enable-loadable-sqlite-extensions"],
        ["--with-hash-algorithm=siphash24"],
        ["--with-readline=readline"],
        ["--enable-experimental-jit=interpreter"],
        ["-q"],
        ["CFLAGS=-O2 -g", "CC=gcc", "ac_cv_func_shm_open=no", "py_cv_module_nis=n/a"],
    ],
    ids=" ".join,
)
def test_taken(arguments: list[str]) -> None:
    check_configure_args(arguments, "3.13.5")


@pytest.mark.parametrize(
    ("argument", "refused_of", "taken_of"),
    [
        # 2.7 and 3.7 have pymalloc in their ABI's name
        ("--without-pymalloc", "3.7.17", "3.8.20"),
        ("--enable-unicode=ucs2", "2.7.18", "3.13.5"),
        ("--without-threads", "2.7.18", "3.13.5"),
    ],
)
def test_it_depends_on_the_version(argument: str, refused_of: str, taken_of: str) -> None:
    check_configure_args([argument], taken_of)
    with pytest.raises(OptionError):
        check_configure_args([argument], refused_of)
