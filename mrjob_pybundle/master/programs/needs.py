"""What the files of an archive need of a node: versions of symbols, in the libraries that every node has by itself.

A need is a text like "libc.so.6:GLIBC_2.34". Whether a library has such a version is a matter of names, not of numbers:
distributions add versions to a libc that says it is an older one.

    needs.py --description FILE --oldest-glibc RELEASE

prints what the archive of that description needs which glibc RELEASE has not, or nothing.
"""

from __future__ import print_function

import argparse
import io
import json
import re
import sys

from elf import Elf, NotElfError
from shared_libraries import SystemLibraries, is_allowed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--description", required=True)
    parser.add_argument("--oldest-glibc", required=True)
    options = parser.parse_args()
    with io.open(options.description, encoding="utf-8") as file:
        newer = newer_than(options.oldest_glibc, json.load(file)["needs"])
    if newer:
        print(" ".join(newer))
    return 0


def newer_than(release, needs):
    """Those of *needs* that came into glibc after *release*."""
    found = []
    for need in needs:
        match = re.match(r"[^:]*:GLIBC_(\d+(?:\.\d+)*)$", need)
        if match and numbers(match.group(1)) > numbers(release):
            found.append(need)
    return found


def numbers(release):
    return [int(part) for part in release.split(".")]


class Needs(object):
    """Collects the needs of files that this machine's programs can load."""

    def __init__(self):
        self.machine = Elf(sys.executable).machine
        self.found = {}  # library -> versions -> the first file that needs it
        self.brought = set()

    def look_at(self, name, content):
        """*content* is a file that is open, and can be sought in."""
        try:
            elf = Elf(name, content)
        except NotElfError:
            return
        if not elf.is_dynamic or elf.machine != self.machine:
            return
        self.brought.update([name.rpartition("/")[2], elf.soname])
        for library, versions in elf.needed_versions.items():
            for version in versions:
                self.found.setdefault(library, {}).setdefault(version, elf)

    def of_nodes(self):
        """What nodes must have, sorted."""
        return sorted(
            "%s:%s" % (library, version) for library, versions in self._left_to_nodes() for version in versions
        )

    def forget_what_is_not_here(self):
        """What this machine hasn't either, no task can be meant to load. Returns a line for each."""
        system, lines = SystemLibraries(), []
        for library, versions in self._left_to_nodes():
            path = system.find(next(iter(versions.values())), library)
            defined = Elf(path).defined_versions if path else set()
            for version in sorted(set(versions) - defined):
                elf = versions.pop(version)
                lines.append("%s needs %s of %s, which this machine does not have" % (elf.path, version, library))
        return lines

    def _left_to_nodes(self):
        """The libraries that the archive does not bring itself, with their versions."""
        return [
            (library, versions)
            for library, versions in sorted(self.found.items())
            if versions and is_allowed(library) and library not in self.brought
        ]


if __name__ == "__main__":
    sys.exit(main())
