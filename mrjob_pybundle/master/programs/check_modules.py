"""Imports what every bundle's Python must have, and checks that it all comes out of the bundle.

    check_modules.py PYTHON_DIRECTORY

The last line of stderr names what is missing.
"""

from __future__ import print_function

import os
import re
import subprocess
import sys

from elf import Elf
from shared_libraries import is_allowed

MODULES = ["ssl", "hashlib", "sqlite3", "zlib", "bz2", "ctypes", "readline", "uuid", "curses"]

# Where OpenSSL's providers and engines lie: its own openssl.cnf, or FIPS mode, has a machine load some of them.
OPENSSL_MODULES = re.compile(r"(ossl-modules|engines(-[^/]+)?)$")


def main():
    root = os.path.realpath(sys.argv[1])
    modules = MODULES + (["lzma", "_uuid"] if sys.version_info >= (3, 7) else [])
    missing = [name for name in modules if not can_import(name)]
    # hashlib imports without OpenSSL as well, and then lacks whatever OpenSSL alone has.
    if not can_hash_with_openssl():
        missing.append("_hashlib")
    if missing:
        print("missing: " + ", ".join(missing), file=sys.stderr)
        return 1
    with open("/proc/self/maps") as maps:
        loaded = loaded_libraries(maps.read())
    strangers = sorted(path for path in loaded if not path.startswith(root + os.sep))
    # An agent that is to be in every program (/etc/ld.so.preload) is no part of this one.
    everywhere = loaded_libraries(subprocess.check_output(["cat", "/proc/self/maps"]).decode("utf-8", "replace"))
    strangers = [path for path in strangers if path not in everywhere and not may_be_the_machines(path)]
    if strangers:
        print("loaded from outside the bundle: " + ", ".join(strangers), file=sys.stderr)
        return 1
    print("all there: " + ", ".join(modules))
    return 0


def can_import(name):
    try:
        __import__(name)
    except ImportError as error:
        print("%s: %s" % (name, error), file=sys.stderr)
        return False
    return True


def can_hash_with_openssl():
    try:
        import _hashlib
    except ImportError as error:
        print("_hashlib: %s" % error, file=sys.stderr)
        return False
    return len(_hashlib.openssl_sha256(b"bundle").digest()) == 32


def may_be_the_machines(path):
    """Whether the library at *path* may lie outside the bundle."""
    # Before glibc 2.34, libc.so.6 is a link to libc-2.26.so or the like.
    name = Elf(path).soname or os.path.basename(path)
    if sys.version_info < (3,) and name == "libuuid.so.1":
        # Python 2.7's uuid.py looks for it by itself, and does without it where a node has none.
        return True
    if OPENSSL_MODULES.search(os.path.dirname(path)):
        # What a node loads is up to its own configuration, which the bundle's OpenSSL heeds there, too.
        return True
    # The C library loads these itself, and only its own.
    return is_allowed(name) or name.startswith("libnss_")


def loaded_libraries(maps):
    """Real paths of the libraries in *maps*, the text of a process's ``/proc/<pid>/maps``."""
    lines = [line.split(None, 5) for line in maps.splitlines()]
    paths = set(line[5] for line in lines if len(line) == 6)
    return [os.path.realpath(path) for path in paths if ".so" in os.path.basename(path)]


if __name__ == "__main__":
    sys.exit(main())
