"""Compares what a build was given with the inputs that its key was made of.

    check_inputs.py --given DIRECTORY --inputs FILE

DIRECTORY is inputs.tar.gz, unpacked; FILE the JSON that the venv key is the digest of. Whoever started the build has
made sure of it, too; but the build publishes what the whole team will trust, and takes nobody's word for it. Each
difference is a line on stderr, and the exit status is 1 if there is any.
"""

from __future__ import print_function

import argparse
import hashlib
import io
import json
import os
import re
import sys
import zipfile


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--given", required=True)
    parser.add_argument("--inputs", required=True)
    options = parser.parse_args()
    with io.open(options.inputs, encoding="ascii") as file:
        wanted = json.load(file)
    differences = compare(wanted, as_bytes(options.given))
    for difference in differences:
        print(difference, file=sys.stderr)
    return 1 if differences else 0


def compare(wanted, given):
    """One line for each difference. Paths and names of files are bytes."""
    found = []
    script = os.path.join(given, b"venv-build.sh")
    if (sha256_of_file(script) if os.path.exists(script) else None) != wanted["venv_build_sha256"]:
        found.append("venv-build.sh is not the one of the key")

    files = dict((file_name(file["name"]), (file["executable"], file["sha256"])) for file in wanted["build_files"])
    there = dict(build_files(os.path.join(given, b"files")))
    for name in sorted(set(files) | set(there)):
        if files.get(name) != there.get(name):
            found.append("build file %s is not the one of the key" % json.dumps(name.decode("utf-8", "replace")))

    if mrjob(given) != (wanted["mrjob"]["version"], wanted["mrjob"]["sha256"]):
        found.append("mrjob is not the one of the key")
    if hook_version(given) != wanted["hook"]:
        found.append("the import hook is not the one of the key")
    return found


def as_bytes(path):
    return path if isinstance(path, bytes) else os.fsencode(path)


def file_name(text):
    """As it is on a disk. JSON has bytes that are no UTF-8 as Python 3 escapes them (PEP 383)."""
    if sys.version_info >= (3,):
        return text.encode("utf-8", "surrogateescape")
    return b"".join(
        chr(ord(letter) - 0xDC00) if 0xDC80 <= ord(letter) <= 0xDCFF else letter.encode("utf-8") for letter in text
    )


def build_files(directory):
    """(name, (executable, sha256)) of all files below *directory*."""
    for place, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(place, name)
            relative = os.path.relpath(path, directory)
            yield relative, (bool(os.stat(path).st_mode & 0o100), sha256_of_file(path))


def mrjob(given):
    """Version and digest of the package in the wheel, as the key has them: see bundle/inputs.py."""
    wheels = [name for name in os.listdir(given) if name.startswith(b"mrjob-") and name.endswith(b".whl")]
    if len(wheels) != 1:
        return None, None
    with open(os.path.join(given, wheels[0]), "rb") as file, zipfile.ZipFile(file) as wheel:
        names = [name for name in wheel.namelist() if name.startswith("mrjob/") and name.endswith(".py")]
        modules = [
            [name[len("mrjob/") :], hashlib.sha256(wheel.read(name)).hexdigest()]
            for name in sorted(names, key=lambda name: name.split("/"))
        ]
    version = wheels[0].split(b"-")[1].decode("ascii")
    return version, hashlib.sha256(canonical_json(modules).encode("ascii")).hexdigest()


def canonical_json(value):
    """The JSON text that keys are digests of: see bundle/spec.py."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def hook_version(given):
    path = os.path.join(given, b"mrjob_pybundle_hook.py")
    if not os.path.exists(path):
        return None
    with io.open(path, encoding="utf-8") as file:
        match = re.search(r"^HOOK_VERSION = (\d+)$", file.read(), re.MULTILINE)
    return int(match.group(1)) if match else None


def sha256_of_file(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for piece in iter(lambda: file.read(1 << 20), b""):
            digest.update(piece)
    return digest.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
