"""Nodes: where a cluster's processes run.

With Linux namespaces, a node is a root directory and a set of processes of its own (see ``node.sh``); its
first process holds all of it, and the kernel ends the rest with it, also if the sandbox itself is killed.
Where the machine allows no namespaces, a node is a clean environment, and directories of its own under other names
(see ``own_paths.py``).
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import IO

from mrjob_pybundle.sandbox.machines import own_paths
from mrjob_pybundle.sandbox.machines.needs import PATH, may_mount, program, search_path
from mrjob_pybundle.sandbox.machines.own_paths import OwnPaths
from mrjob_pybundle.templates import render_text

# How package clients on this machine reach the network is part of the machine, like its resolv.conf.
_PASSED_THROUGH = (
    "ALL_PROXY",
    "CURL_CA_BUNDLE",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)

# Nodes have these directories, or what they write there, for themselves.
_REPLACED = ("/opt", "/mnt", "/home", "/tmp", "/root", "/run", "/srv")
_OVERLAID = ("/usr", "/etc", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/dev", "/sys", "/var")

Stream = int | IO[bytes] | None


class NodeError(Exception):
    """A node could not be started."""


class Node:
    """One machine of a cluster.

    *directory* holds all that it writes. *environment* is what its processes get besides what every node has.
    """

    def __init__(self, directory: Path, tools: Path, environment: Mapping[str, str]) -> None:
        self.directory = directory
        self.tools = tools
        self.environment = {
            "PATH": f"{tools}:{PATH}",
            "HOME": "/home/hadoop",
            "USER": "hadoop",
            "LOGNAME": "hadoop",
            "SHELL": "/bin/bash",
            "LANG": "C.UTF-8",
            **passed_through(),
            **environment,
        }
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def host_path(self, path: str) -> Path:
        """Where the node's *path* (below one of its own directories) lies on the machine."""
        return self.directory / "own" / path.lstrip("/")

    def path(self, path: str) -> str:
        """How the node's own processes call the node's *path*."""
        return path

    def fit(self, file: Path) -> None:
        """Make a file that was brought to the node, *file* on the machine, one for its processes, if it is a script."""

    def start(self) -> None:
        for path in ("/home/hadoop", "/mnt/var/lib/info", "/mnt/var/log/bootstrap-actions"):
            self.host_path(path).mkdir(parents=True, exist_ok=True)
        self.host_path("/mnt/tmp").mkdir(exist_ok=True)
        self.host_path("/mnt/tmp").chmod(0o1777)

    def popen(
        self,
        command: Sequence[str],
        *,
        cwd: str = "/home/hadoop",
        environment: Mapping[str, str] | None = None,
        stdin: Stream = subprocess.DEVNULL,
        stdout: Stream = subprocess.DEVNULL,
        stderr: Stream = subprocess.DEVNULL,
    ) -> subprocess.Popen[bytes]:
        """Start *command* on the node.

        :raises NodeError: the node has been stopped.
        """
        with self._lock:
            if self._stopped:
                raise NodeError("the node has been stopped")
            process = subprocess.Popen(
                self._enter(command, cwd),
                env={**self.environment, **(environment or {})},
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                # Ctrl-C is for the command that the sandbox runs, not for its machines.
                start_new_session=True,
            )
            self._running = {p for p in self._running if p.poll() is None} | {process}
        return process

    def _enter(self, command: Sequence[str], cwd: str) -> list[str]:
        return [program("env"), "-C", cwd, *command]

    def kill_commands(self) -> None:
        """Kill what runs on the node, as ``kill -9`` does; the node itself stays."""
        with self._lock:
            running = list(self._running)
        for process in running:
            kill(process)

    def stop(self) -> None:
        """End every process of the node. Returns when they have ended."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for process in running:
            kill(process)

    def wait(self) -> None:
        """Return when the node is gone."""
        raise NotImplementedError


class NamespaceNode(Node):
    """A node with namespaces of its own: mounts, processes and, if we are no root that may mount, users."""

    def __init__(self, directory: Path, tools: Path, environment: Mapping[str, str]) -> None:
        super().__init__(directory, tools, environment)
        self._init: subprocess.Popen[bytes] | None = None
        self._pid = ""

    def start(self) -> None:
        super().start()
        node_script = self.tools / "node.sh"
        user = [] if may_mount() else ["--user", "--map-root-user"]
        self._init = subprocess.Popen(
            [program("unshare"), *user, "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private", "--"]
            + ["bash", str(node_script), str(self.directory), str(self._tree())]
            + [str(path) for pair in self._visible() for path in pair],
            env={**os.environ, "PATH": search_path()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._init.stdout is not None
        self._pid = self._init.stdout.readline().decode().strip()
        if not self._pid:
            _, message = self._init.communicate()
            raise NodeError(message.decode(errors="replace").strip() or "the node's first process ended")

    def _tree(self) -> Path:
        """Where the node's operating system lies on the machine."""
        return Path("/")

    def _visible(self) -> list[tuple[Path, str]]:
        """What else of the machine the node sees: (path there, path on the node)."""
        return [(path, str(path)) for path in visible_paths(self.tools, self.environment)]

    def _enter(self, command: Sequence[str], cwd: str) -> list[str]:
        user = [] if may_mount() else ["--user", "--preserve-credentials"]
        enter = [program("nsenter"), "--target", self._pid, *user, "--mount", "--pid", "--"]
        return [*enter, "env", "-C", cwd, *command]

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
        init = self._init
        if init is not None:
            assert init.stdin is not None
            init.stdin.close()
            init.wait()
            assert init.stdout is not None
            assert init.stderr is not None
            init.stdout.close()
            init.stderr.close()
        super().stop()

    def wait(self) -> None:
        assert self._init is not None
        self._init.wait()


class PlainNode(Node):
    """A node on a machine that allows no namespaces: it shares its files and processes.

    Its environment and some directories are its own, the latter under other names.
    """

    def __init__(self, directory: Path, tools: Path, environment: Mapping[str, str]) -> None:
        super().__init__(directory, tools, environment)
        machines = (directory, *visible_paths(tools, self.environment))
        self._paths = OwnPaths(str(self.host_path("/")), tuple(map(str, machines)))
        self._keeper: subprocess.Popen[bytes] | None = None

    def path(self, path: str) -> str:
        return self._paths.rename(path)

    def fit(self, file: Path) -> None:
        if own_paths.is_script(file):
            self._paths.rename_in(file)

    def start(self) -> None:
        super().start()
        self.host_path("/tmp").mkdir(exist_ok=True)
        commands = self.directory / "bin"
        commands.mkdir(exist_ok=True)
        values = {
            "PYTHON": sys.executable,
            "OWN_PATHS": own_paths.__file__,
            "OWN": self._paths.own,
            "MACHINES": self._paths.machines,
            "BASH": program("bash"),
        }
        write_executable(commands / "bash", render_text(own_file("bin/bash-on-shared-files.sh.tmpl"), values))
        self.environment["PATH"] = f"{commands}:{self.environment['PATH']}"
        self.environment["HOME"] = self.path("/home/hadoop")
        self.environment["TMPDIR"] = str(self.host_path("/tmp"))
        self._keeper = subprocess.Popen(
            ["sleep", "infinity"], env=self.environment, start_new_session=True, stdin=subprocess.DEVNULL
        )
        self.environment["SANDBOX_NODE_PID"] = str(self._keeper.pid)

    def popen(
        self,
        command: Sequence[str],
        *,
        cwd: str = "/home/hadoop",
        environment: Mapping[str, str] | None = None,
        stdin: Stream = subprocess.DEVNULL,
        stdout: Stream = subprocess.DEVNULL,
        stderr: Stream = subprocess.DEVNULL,
    ) -> subprocess.Popen[bytes]:
        return super().popen(
            [self._paths.rename(word) for word in command],
            cwd=self.path(cwd),
            environment={name: self._paths.rename(value) for name, value in (environment or {}).items()},
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
        )

    def stop(self) -> None:
        super().stop()
        if self._keeper is not None:
            marker = f"SANDBOX_NODE_PID={self._keeper.pid}".encode()
            kill(self._keeper)
            for pid in _processes_with(marker):
                os.kill(pid, signal.SIGKILL)

    def wait(self) -> None:
        assert self._keeper is not None
        self._keeper.wait()


def kill(process: subprocess.Popen[bytes]) -> None:
    """End *process*, started in a session of its own, and all of its process group; reap it."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):  # another thread has just waited for it
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _processes_with(marker: bytes) -> list[int]:
    """PIDs of our own processes whose environment has the entry *marker* (daemons left their group)."""
    pids = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:  # somebody else's, or gone by now
                continue
            if marker in environment.split(b"\0"):
                pids.append(int(entry.name))
    return pids


def passed_through() -> dict[str, str]:
    """What nodes inherit of this machine's environment: how package clients reach the network."""
    return {name: value for name, value in os.environ.items() if name in _PASSED_THROUGH or name.startswith("PIP_")}


def visible_paths(tools: Path, environment: Mapping[str, str]) -> list[Path]:
    """Paths of the machine that nodes need and would not see otherwise, outermost first."""
    wanted = {tools, Path(sys.prefix), Path(sys.base_prefix), awscli_directory()}
    for value in environment.values():
        words = {*value.split(":"), *value.split()}
        wanted.update(Path(word) for word in words if word.startswith("/"))
    candidates = {path.resolve() for path in wanted if path.exists()} | {p for p in wanted if p.exists()}
    visible: list[Path] = []
    for path in sorted(candidates, key=lambda path: len(path.parts)):
        is_there = any(path.is_relative_to(top) for top in [*map(Path, _OVERLAID), *visible])
        if not is_there and str(path) not in (*_REPLACED, "/") and path != Path("/home/hadoop"):
            visible.append(path)
    return visible


def awscli_directory() -> Path:
    """The site-packages directory that has the AWS CLI.

    :raises NodeError: it is not installed.
    """
    spec = importlib.util.find_spec("awscli")
    if spec is None or spec.origin is None:
        raise NodeError("the AWS CLI is not installed: pip install 'mrjob-pybundle[sandbox]'")
    return Path(spec.origin).parent.parent


def install_tools(directory: Path) -> None:
    """Put what nodes have on their PATH in front of everything into *directory*: sudo, shutdown; aws comes with
    :class:`~mrjob_pybundle.sandbox.machines.resident_aws.ResidentAws`."""
    install_commands(directory)
    write_executable(directory / "node.sh", own_file("node.sh"))


def install_aws_itself(path: Path) -> None:
    """Write an ``aws`` that is a process of its own: it may have to do with a terminal."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    values = {"PYTHON": sys.executable, "SITE": str(awscli_directory())}
    write_executable(path, render_text(own_file("bin/aws-itself.sh.tmpl"), values))


def install_commands(directory: Path) -> None:
    """Write sudo, shutdown and its kin into *directory*."""
    directory.mkdir(parents=True, exist_ok=True)
    write_executable(directory / "sudo", own_file("bin/sudo"))
    for name in ("shutdown", "poweroff", "halt"):
        write_executable(directory / name, own_file("bin/shutdown"))


def own_file(name: str) -> str:
    """The text of one of the sandbox's own scripts."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def write_executable(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def node_class(directory: Path, tools: Path) -> tuple[type[Node], str]:
    """The kind of node that this machine can have, and, if that is the lesser kind, why."""
    probe = NamespaceNode(directory, tools, {})
    try:
        probe.start()
        if probe.popen(["true"]).wait() != 0:
            return PlainNode, "a namespace cannot be entered"
    except (NodeError, OSError) as error:
        return PlainNode, str(error).splitlines()[-1]
    finally:
        probe.stop()
        shutil.rmtree(directory, ignore_errors=True)
    return NamespaceNode, ""
