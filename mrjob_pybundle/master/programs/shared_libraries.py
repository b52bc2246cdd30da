"""Copies into a tree what its programs and shared objects need and a node may not have.

    shared_libraries.py --tree TREE --into DIRECTORY [--also DIRECTORY] [--copied FILE] [--strict]

--tree    every ELF file below it is looked at
--into    libraries are copied there; the interpreter's DT_RPATH leads there
--also    a directory on that path in which a library may lie already
--copied  JSON that is written: {name of what was copied: path that it was copied from}
--strict  fail if a library is nowhere to be found (otherwise only say so: a package may bring modules
          for hardware or software that neither this machine nor a node has)
"""

from __future__ import print_function

import argparse
import json
import os
import re
import shutil
import stat
import subprocess
import sys

from elf import Elf, NotElfError

# The C library's parts and the program loader must be the machine's own: they only work together. The two of the
# compiler's are wherever a C++ program is. PEP 600 lets wheels expect more, of X11, OpenGL and GLib, and a server need
# not have any of that.
ALLOWED = frozenset(
    [
        "libc.so.6",
        "libm.so.6",
        "libdl.so.2",
        "librt.so.1",
        "libpthread.so.0",
        "libutil.so.1",
        "libresolv.so.2",
        "libnsl.so.1",
        "libanl.so.1",
        "libmvec.so.1",
        "libBrokenLocale.so.1",
        "libthread_db.so.1",
        "libgcc_s.so.1",
        "libstdc++.so.6",
    ]
)
LOADER = re.compile(r"ld-linux.*\.so\.\d+$|ld64\.so\.\d+$|linux-vdso\.so\.\d+$")

DEFAULT_DIRECTORIES = ["/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib64", "/usr/local/lib"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tree", required=True)
    parser.add_argument("--into", required=True)
    parser.add_argument("--also", action="append", default=[])
    parser.add_argument("--copied")
    parser.add_argument("--strict", action="store_true")
    options = parser.parse_args()
    bundler = Bundler(options.tree, options.into, options.also)
    missing = bundler.bundle()
    if options.copied:
        with open(options.copied, "w") as file:
            json.dump(bundler.copied, file)
    if bundler.left:
        print("left to the node: " + ", ".join(sorted(bundler.left)))
    for name, needed_by in sorted(missing.items()):
        print("%s, which %s needs, is nowhere on this machine" % (name, needed_by))
    return 1 if missing and options.strict else 0


def is_allowed(name):
    """Whether every node has the library *name* by itself."""
    return name in ALLOWED or LOADER.match(name) is not None


class Bundler(object):
    """Makes one tree self-contained."""

    def __init__(self, tree, into, also):
        self.into = into
        self.search_path = [into] + also
        self.queue = list(elf_files(tree))
        self.names_in_tree = set(os.path.basename(elf.path) for elf in self.queue)
        self.names_in_tree.update(elf.soname for elf in self.queue if elf.soname)
        self.system = SystemLibraries()
        self.left = set()
        self.copied = {}

    def bundle(self):
        """Copy what is needed. Returns what could not be found, as {library: one file that needs it}."""
        missing = {}
        while self.queue:
            elf = self.queue.pop()
            for name in elf.needed:
                if self.finds_by_itself(elf, name):
                    continue
                if is_allowed(os.path.basename(name)):
                    self.left.add(name)
                    continue
                if not any(os.path.exists(os.path.join(directory, name)) for directory in self.search_path):
                    # Wheels load some of their libraries themselves, before those that need them.
                    if name in self.names_in_tree:
                        continue
                    if not self.copy(elf, name):
                        missing[name] = elf.path
                        continue
                if elf.runpath is not None:
                    elf.turn_runpath_into_rpath()
        return missing

    def finds_by_itself(self, elf, name):
        """Whether *elf* finds *name* along a path of its own that will be the same on a node."""
        for directory in elf.rpath or elf.runpath or []:
            if "$ORIGIN" in directory or "${ORIGIN}" in directory:
                origin = os.path.dirname(os.path.abspath(elf.path))
                directory = directory.replace("${ORIGIN}", origin).replace("$ORIGIN", origin)
                if os.path.exists(os.path.join(directory, name)):
                    return True
        return False

    def copy(self, elf, name):
        source = self.system.find(elf, name)
        if source is None:
            return False
        target = os.path.join(self.into, os.path.basename(name))
        print("copied: %s, for %s" % (source, os.path.basename(elf.path)))
        shutil.copyfile(source, target)
        os.chmod(target, 0o755)
        self.copied[os.path.basename(name)] = source
        copied = Elf(target)
        # Where it came from does not count; what it needs does.
        copied.path = target
        self.queue.append(copied)
        self.names_in_tree.add(os.path.basename(name))
        return True


class SystemLibraries(object):
    """The libraries of the machine that builds, found as its program loader finds them."""

    def __init__(self):
        self.by_name = {}
        for directory in ("/sbin", "/usr/sbin", "/bin", "/usr/bin"):
            if os.path.exists(os.path.join(directory, "ldconfig")):
                listing = subprocess.check_output([os.path.join(directory, "ldconfig"), "-p"])
                for line in listing.decode("utf-8", "replace").splitlines()[1:]:
                    name, arrow, path = line.strip().rpartition(" => ")
                    if arrow:
                        self.by_name.setdefault(name.split(" ")[0], []).append(str(path))
                break

    def find(self, elf, name):
        """The path of the library *name* that fits *elf*, or None."""
        own = [directory for directory in elf.rpath or elf.runpath or [] if directory.startswith("/")]
        own += os.environ.get("LD_LIBRARY_PATH", "").split(":")
        candidates = [os.path.join(directory, name) for directory in own if directory]
        candidates += self.by_name.get(name, [])
        candidates += [os.path.join(directory, name) for directory in DEFAULT_DIRECTORIES]
        for candidate in candidates:
            if os.path.isfile(candidate):
                try:
                    if Elf(candidate).machine == elf.machine:
                        return candidate
                except NotElfError:
                    # A linker script that goes by a library's name.
                    continue
        return None


def elf_files(tree):
    """Every dynamic ELF file below *tree*, each once."""
    for directory, _, names in os.walk(tree):
        for name in sorted(names):
            path = os.path.join(directory, name)
            if stat.S_ISREG(os.lstat(path).st_mode):
                try:
                    elf = Elf(path)
                except NotElfError:
                    continue
                if elf.is_dynamic:
                    yield elf


if __name__ == "__main__":
    sys.exit(main())
