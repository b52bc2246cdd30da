"""Makes a virtual environment for Python 2.7 that works wherever it lies, beside its Python.

    python27_venv.py prepare PY    what it takes in the Python in the directory PY, before that is packed
    python27_venv.py create ROOT   the virtual environment ROOT/venv, beside ROOT/py

Python 2.7 knows nothing of pyvenv.cfg: it follows the link bin/python to py/ and takes that
for its prefix. What Python 3 does about this in site.py, a module in py/'s own site-packages does here.
"""

from __future__ import print_function

import os
import sys

SITE_MODULE = '''\
"""If this Python was started as the bin/python of a virtual environment, makes that its prefix."""

import os
import sys


def activate():
    venv = os.path.dirname(os.path.dirname(os.path.abspath(sys.executable or "/")))
    if not os.path.exists(os.path.join(venv, "pyvenv.cfg")):
        return
    import site

    below = os.path.join("lib", "python2.7", "site-packages")
    outer = os.path.join(sys.prefix, below)
    sys.base_prefix, sys.base_exec_prefix = sys.prefix, sys.exec_prefix
    sys.prefix = sys.exec_prefix = site.PREFIXES[0] = venv
    del site.PREFIXES[1:]
    if outer in sys.path:
        sys.path.remove(outer)
    site.addsitedir(os.path.join(venv, below))
    forget_prefix("sysconfig")
    forget_prefix("distutils.sysconfig")


def forget_prefix(name):
    """site.py has imported sysconfig by now, which remembers the prefix."""
    module = sys.modules.get(name)
    if module is not None:
        if hasattr(module, "_PREFIX"):
            module._PREFIX = module._EXEC_PREFIX = sys.prefix
        module._CONFIG_VARS = None


activate()
'''


SITE_PACKAGES = os.path.join("lib", "python2.7", "site-packages")


def main():
    command, directory = sys.argv[1:]
    {"prepare": prepare, "create": create}[command](directory)
    return 0


def prepare(py):
    write(os.path.join(py, SITE_PACKAGES, "_pybundle_venv.py"), SITE_MODULE)
    write(os.path.join(py, SITE_PACKAGES, "_pybundle_venv.pth"), "import _pybundle_venv\n")


def create(root):
    venv = os.path.join(root, "venv")
    os.makedirs(os.path.join(venv, "bin"))
    os.makedirs(os.path.join(venv, SITE_PACKAGES))
    os.symlink("lib", os.path.join(venv, "lib64"))
    # Where a package's C code looks for Python.h.
    os.symlink("../py/include", os.path.join(venv, "include"))
    os.symlink("../../py/bin/python2.7", os.path.join(venv, "bin", "python"))
    write(
        os.path.join(venv, "pyvenv.cfg"),
        "include-system-site-packages = false\nversion = %d.%d.%d\n" % sys.version_info[:3],
    )


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


if __name__ == "__main__":
    sys.exit(main())
