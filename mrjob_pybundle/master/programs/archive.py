"""Packs one directory of a bundle, and writes down what the archive is.

    archive.py --tree DIRECTORY --archive FILE --description FILE
    archive.py --describe ARCHIVE --description FILE

The description is JSON: {"sha256": digest of the archive, "size": its bytes, "unpacked_size": bytes that its
files take on a disk with blocks of 4 KiB, "needs": what they need of a node (see needs.py)}. The same tree gives the
same archive, whoever owns the files and whenever they were made.
"""

from __future__ import print_function

import argparse
import gzip
import hashlib
import io
import json
import os
import stat
import sys
import tarfile

from needs import Needs

BLOCK = 4096
# Any time will do that other programs can bear (zip begins with 1980). Python 2.7 compares its .pyc with it.
SAME_TIME = 315619200


class RefusedError(Exception):
    """A file that must not be in an archive."""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tree")
    parser.add_argument("--archive")
    parser.add_argument("--describe")
    parser.add_argument("--description", required=True)
    options = parser.parse_args()
    try:
        described = describe(options.describe) if options.describe else pack(options.tree, options.archive)
    except RefusedError as error:
        print(error, file=sys.stderr)
        return 1
    with open(options.description, "w") as file:
        json.dump(described, file)
    print("%(size)d bytes, unpacked %(unpacked_size)d, sha256 %(sha256)s" % described)
    return 0


def pack(tree, archive):
    """Write *tree* into *archive* under its own base name."""
    tree = os.path.abspath(tree)
    unpacked_size, needs = 0, Needs()
    with open(archive, "wb") as file:
        output = Digesting(file)
        with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=output, mtime=0) as zipped:
            # 2.7 keeps names as bytes, and its tarfile takes them so.
            with tarfile.open(fileobj=zipped, mode="w", format=tarfile.GNU_FORMAT) as tar:
                for path in paths(tree):
                    member = member_of(tar, path, os.path.dirname(tree))
                    unpacked_size += on_disk(member.size)
                    if member.isreg():
                        with open(path, "rb") as content:
                            tar.addfile(member, content)
                            needs.look_at(member.name, content)
                    else:
                        tar.addfile(member)
    for line in needs.forget_what_is_not_here():
        print(line)
    return description(output.digest, output.size, unpacked_size, needs)


def paths(tree):
    """*tree* and everything below it, in an order that is always the same."""
    yield tree
    for directory, names, files in os.walk(tree):
        names.sort()
        for name in sorted(names + files):
            yield os.path.join(directory, name)


def member_of(tar, path, base):
    status = os.lstat(path)
    name = os.path.relpath(path, base)
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode) or stat.S_ISLNK(status.st_mode)):
        raise RefusedError("%s is neither file nor directory nor link, and cannot go into a bundle" % name)
    member = tar.gettarinfo(path, arcname=name)
    if stat.S_ISREG(status.st_mode):
        # Two names of one file are two files: an archive with hard links is one more thing to distrust.
        member.type, member.linkname, member.size = tarfile.REGTYPE, "", status.st_size
    if member.issym():
        check_link(member)
        member.mode = 0o777
    else:
        # Everyone may read, nobody but the owner write, and nothing runs as somebody else.
        executable = stat.S_ISDIR(status.st_mode) or status.st_mode & 0o111
        member.mode = 0o755 if executable else 0o644
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mtime = int(status.st_mtime) if sys.version_info < (3, 7) else SAME_TIME
    return member


def check_link(member):
    """A link may lead to anywhere in the bundle, which is the directory above the one that is packed."""
    end = os.path.normpath(os.path.join(os.path.dirname(member.name), member.linkname))
    if os.path.isabs(member.linkname) or end == ".." or end.startswith("../"):
        raise RefusedError("%s is a symbolic link to %s, which is not in the bundle" % (member.name, member.linkname))


def describe(archive):
    """What :func:`pack` said of *archive* when it was made."""
    digest = hashlib.sha256()
    with open(archive, "rb") as file:
        for piece in iter(lambda: file.read(1 << 20), b""):
            digest.update(piece)
    unpacked_size, needs = 0, Needs()
    with tarfile.open(archive) as tar:
        for member in tar:
            unpacked_size += on_disk(member.size)
            if member.isreg():
                # Going back in what is zipped is slow.
                needs.look_at(member.name, io.BytesIO(tar.extractfile(member).read()))
    return description(digest, os.path.getsize(archive), unpacked_size, needs)


def description(digest, size, unpacked_size, needs):
    return {"sha256": digest.hexdigest(), "size": size, "unpacked_size": unpacked_size, "needs": needs.of_nodes()}


def on_disk(size):
    """Bytes that a file takes; something for the directory entry of one without content, too."""
    return max(1, -(-size // BLOCK)) * BLOCK


class Digesting(object):
    """Hands on what is written to it, and knows its digest and size."""

    def __init__(self, file):
        self.file, self.digest, self.size = file, hashlib.sha256(), 0

    def write(self, data):
        self.digest.update(data)
        self.size += len(data)
        return self.file.write(data)

    def flush(self):
        self.file.flush()


if __name__ == "__main__":
    sys.exit(main())
