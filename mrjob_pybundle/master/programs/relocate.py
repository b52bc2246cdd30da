"""Makes a virtual environment work wherever it lies, as long as the Python lies beside it.

    relocate.py --root ROOT

ROOT holds py/ (the compiled Python) and venv/. Can run again, for what has been installed since.
"""

from __future__ import print_function

import argparse
import glob
import io
import json
import os
import re
import stat
import sys

# To sh, the second line is a command that never returns. To Python, it and the third are one string. (On a node, where
# its place is known, nodes/settle.sh gives a script its one line back.)
TRAMPOLINE = b"""#!/bin/sh
'''exec' "$(dirname -- "$(readlink -f -- "$0")")/python"%s "$0" "$@"
' '''
"""

# In what else a script says, stands for where the bundle is: an interpreter that is not Python knows no trampoline.
PLACE = b"/nonexistent/mrjob-pybundle-root/"

# How a script names its Python: "#!<python>", perhaps with an option, or what pip writes where that is too long.
# (Encoded, since formatters spell raw bytes in a way that 2.7 cannot read.)
HEADER = re.compile(
    r"""#!/bin/sh\n'''exec' "?(?P<long>/[^\n"]*)"?(?P<options>(?: -\w+)?) "\$0" "\$@"\n' '''\n"""
    r"""|#![ \t]*(?P<python>/[^\n]*?)(?P<option>(?:[ \t]+-\w+)?)[ \t]*\n""".encode("ascii")
)

# Of bin/, the names of the interpreter itself.
PYTHON = re.compile(b"python[0-9.]*t?$")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", required=True)
    root = os.path.realpath(parser.parse_args().root)
    venv = os.path.join(root, "venv")
    link_interpreter(venv)
    forget_home(os.path.join(venv, "pyvenv.cfg"))
    scripts = [os.path.join(venv, "bin", name) for name in os.listdir(os.path.join(venv, "bin"))]
    forget_digests(venv, [path for path in scripts if rewrite_script(path, root)])
    problems = list(things_left_behind(root, venv))
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def link_interpreter(venv):
    """Let bin/python lead to the Python beside the virtual environment, and its other names to it."""
    version = "%d.%d" % sys.version_info[:2]
    for name in ("python", "python" + version[0], "python" + version):
        target = "../../py/bin/python" + version if name == "python" else "python"
        path = os.path.join(venv, "bin", name)
        if not os.path.islink(path) or os.readlink(path) != target:
            if os.path.lexists(path):
                os.remove(path)
            os.symlink(target, path)


def forget_home(config):
    """Without `home`, Python looks for its standard library where bin/python leads. (nodes/settle.sh adds a node's.)"""
    with open(config) as file:
        lines = file.readlines()
    kept = [line for line in lines if line.split("=")[0].strip() in ("include-system-site-packages", "version")]
    with open(config, "w") as file:
        file.writelines(kept)


def rewrite_script(path, root):
    """Take *root* out of a script, and have it find its Python from its own place. Whether that changed it."""
    if not stat.S_ISREG(os.lstat(path).st_mode):
        return False
    with open(path, "rb") as file:
        text = file.read()
    rewritten = start_from_its_place(text, root)
    if b"\0" not in text:  # in a program, or an archive behind a first line, nothing may get longer
        rewritten = rewritten.replace(root.encode("utf-8") + b"/", PLACE)
    if rewritten == text:
        return False
    with open(path, "wb") as file:
        file.write(rewritten)
    return True


def start_from_its_place(text, root):
    """*text* of a script, with a trampoline in place of its first line if that names the Python below *root*."""
    header = HEADER.match(text)
    if header is None:
        return text
    python = header.group("long") or header.group("python")
    if not python.startswith(root.encode("utf-8") + b"/") or not PYTHON.match(os.path.basename(python)):
        return text
    option = (header.group("options") or header.group("option") or b"").strip()
    return TRAMPOLINE.replace(b"%s", b" " + option if option else b"") + text[header.end() :]


def forget_digests(venv, rewritten):
    """Take digest and size of the *rewritten* scripts out of pip's lists of what it installed: each place has others.

    Their lines are "path,sha256=<digest>,<size>", the path relative to site-packages. Both may be empty.
    """
    paths = set(os.path.normpath(path) for path in rewritten)
    version = "%d.%d" % sys.version_info[:2]
    site_packages = os.path.join(venv, "lib", "python" + version, "site-packages")
    for record in glob.glob(os.path.join(site_packages, "*.dist-info", "RECORD")):
        with io.open(record, encoding="utf-8") as file:
            lines = file.readlines()
        for number, line in enumerate(lines):
            if os.path.normpath(os.path.join(site_packages, line.split(",")[0])) in paths:
                lines[number] = "%s,,\n" % line.split(",")[0]
        with io.open(record, "w", encoding="utf-8") as file:
            file.writelines(lines)


def things_left_behind(root, venv):
    """What points out of the virtual environment to a place that nodes don't have."""
    for directory, names, files in os.walk(venv):
        for name in names + files:
            path = os.path.join(directory, name)
            if os.path.islink(path):
                problem = check_link(path, root)
                if problem:
                    yield problem
            elif name in names:
                continue
            elif name.endswith((".pth", ".egg-link")):
                with open(path, "rb") as file:
                    if os.path.dirname(root).encode("utf-8") in file.read():
                        yield "%s leads to a directory of this build: install without --editable" % inside(path, root)
            elif name == "pyvenv.cfg" and directory != venv:
                with open(path, "rb") as file:
                    if root.encode("utf-8") in file.read():
                        yield "%s is of an environment whose Python no node has: make none inside" % inside(path, root)
            elif name == "direct_url.json":
                # PEP 610: how pip notes what was not installed from an index.
                with io.open(path, encoding="utf-8") as file:
                    if json.load(file).get("dir_info", {}).get("editable"):
                        yield "%s says that its package is elsewhere: install without --editable" % inside(path, root)


def check_link(path, root):
    """Make a link into the build relative; return what is wrong with one that leads elsewhere."""
    target = os.readlink(path)
    end = os.path.normpath(os.path.join(os.path.dirname(path), target))
    if end == root or end.startswith(root + os.sep):
        if os.path.isabs(target):
            os.remove(path)
            os.symlink(os.path.relpath(end, os.path.dirname(path)), path)
        return None
    return "%s is a symbolic link to %s, which is not in the bundle: copy what it leads to" % (
        inside(path, root),
        target,
    )


def inside(path, root):
    return os.path.relpath(path, root)


if __name__ == "__main__":
    sys.exit(main())
