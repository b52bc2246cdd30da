"""What the sandbox needs of the machine: programs, wherever a distribution puts them, and leave to make namespaces."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where nodes look for programs. People's own PATH mostly lacks the directories of root's programs."""

# By Debian's names.
_PACKAGES = {
    "bash": "bash",
    "env": "coreutils",
    "grep": "grep",
    "mount": "mount",
    "nsenter": "util-linux",
    "pivot_root": "util-linux",
    "tar": "tar",
    "umount": "mount",
    "unshare": "util-linux",
}

_CAP_SYS_ADMIN = 21

# sysctls by which an administrator, or a distribution, refuses user namespaces: (name, value that does, value that
# doesn't). Of every Linux, of Debian, and of Ubuntu 23.10 and newer.
_SWITCHES = (
    ("user.max_user_namespaces", "0", "15000"),
    ("kernel.unprivileged_userns_clone", "0", "1"),
    ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
)


def search_path() -> str:
    """Our own PATH, and behind it that of nodes."""
    return os.pathsep.join(filter(None, [os.environ.get("PATH"), PATH]))


def program(name: str) -> str:
    """The path of a program of the machine, or just *name* if it has none."""
    return shutil.which(name, path=search_path()) or name


def missing_programs() -> str:
    """Which programs are missing, and what to install; "" if none is."""
    missing = [name for name in _PACKAGES if shutil.which(name, path=search_path()) is None]
    if not missing:
        return ""
    packages = sorted({_PACKAGES[name] for name in missing})
    return f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing: install {' and '.join(packages)}"


def may_mount() -> bool:
    """Whether we are root with all that makes root: in a container, root cannot mount, unless in a user namespace."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text("ascii", "replace").splitlines())
    return os.geteuid() == 0 and bool(int(status["CapEff"], 16) >> _CAP_SYS_ADMIN & 1)


def how_to_allow_namespaces(settings: Path = Path("/proc/sys")) -> str:
    """What to do where namespaces are refused: only what is to blame, where *settings* tell."""
    container = (
        "in a container, start that with --privileged, or with --cap-add SYS_ADMIN --security-opt seccomp=unconfined"
        " --security-opt apparmor=unconfined"
    )
    if os.geteuid() == 0:
        return container
    refusing = []
    for name, refuses, allows in _SWITCHES:
        file = settings / name.replace(".", "/")
        if file.exists() and file.read_text(encoding="ascii").strip() == refuses:
            refusing.append(f"{name}={allows}")
    return f"sudo sysctl -w {' '.join(refusing)}, or be root" if refusing else f"be root; {container}"
