"""What brings a bundle along to a node that has run no bootstrap action, as tasks run it: in their own directories."""

from __future__ import annotations

import os
import re
import shlex
import signal
import stat
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from mrjob_pybundle.aws.s3 import S3Uri
from mrjob_pybundle.bundle.spec import Archive, Bundle
from mrjob_pybundle.cache.cache import Cache
from mrjob_pybundle.nodes.carried import Carried
from mrjob_pybundle.sandbox.machines.needs import may_mount

from .conftest import Machine, sha256, wait_for_line
from .test_bootstrap import OPENSSL_CNF, REMEDY, TRAMPOLINE, archive, archive_of_bytes, with_openssl_cnf

#: What a task runs on: says as whom it was called.
PYTHON = archive({"py/bin/python3.13": "the interpreter", "py/lib/big": "x" * 300_000})
VENV = archive(
    {
        "venv/bin/python": '#!/bin/sh\necho "$VIRTUAL_ENV: $*"\n',
        "venv/bin/script": f"{TRAMPOLINE}print(__doc__)\n",
        "venv/bin/by-another": "#!/nonexistent/mrjob-pybundle-root/venv/bin/another\n",
        "venv/lib/y": "yes",
    }
)

#: Whoever runs the tests is root on the machine: its namespace may be one of users, too.
ROOT = 0
NOBODY = 65534
as_two_users = pytest.mark.skipif(not may_mount(), reason="only real root has a machine with other users on it")


@dataclass(frozen=True)
class Node:
    """A node, with the files of one job in its distributed cache."""

    machine: Machine
    carried: Carried

    @property
    def id(self) -> str:
        return self.carried.bundle.id

    def task(self, number: int = 0) -> str:
        """The working directory of a new task, where Hadoop has linked the job's files."""
        directory = self.machine.mnt / "tasks" / str(number)
        directory.mkdir(parents=True)
        for name in (path.name for path in (self.machine.mnt / "filecache").iterdir()):
            (directory / name).symlink_to(f"/mnt/filecache/{name}")
        return f"/mnt/tasks/{number}"

    def run(
        self, command: str, task: str | None = None, first: str = "true", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command in a task's directory; *first* is done by root, to the node."""
        script = f"{first}; cd {task or self.task()} && {command}"
        return self.machine.run(["bash", "-c", script], {"PATH": os.environ["PATH"], **environment})

    @property
    def jobrunner(self) -> str:
        return self.carried.paths.jobrunner

    def shelf(self, place: str, user: int = ROOT) -> Path:
        """Where that user's bundles are in a place of the node, as the machine sees it."""
        return self.machine.directory / place.lstrip("/") / f"pybundle-{user}"

    def leftovers(self, place: str = "/mnt/tmp") -> set[str]:
        shelf = self.shelf(place)
        names = {path.name for path in shelf.iterdir()} if shelf.exists() else set()
        return names - {self.id, f".{self.id}.lock"}

    def assert_ran(self, done: subprocess.CompletedProcess[str], place: str = "/mnt/tmp", user: int = ROOT) -> None:
        assert done.returncode == 0, done.stderr
        root = f"{place}/pybundle-{user}/{self.id}"
        assert set(done.stdout.splitlines()) == {f"{root}/venv: script.py a"}


@pytest.fixture
def node(machine: Machine) -> Node:
    return make_node(machine, VENV)


def make_node(machine: Machine, venv: bytes, needs: tuple[str, ...] = (), arch: str = os.uname().machine) -> Node:
    bundle = Bundle(
        Archive("aa" * 32, sha256(PYTHON), len(PYTHON), 1 << 19, needs),
        Archive("bb" * 32, sha256(venv), len(venv), 1 << 19),
        arch,
    )
    carried = Carried(bundle, Cache(S3Uri("the-team", "cache"), None))
    machine.directory.chmod(0o755)
    for directory, mode in (("filecache", 0o755), ("tmp", 0o1777)):
        (machine.mnt / directory).mkdir(parents=True)
        (machine.mnt / directory).chmod(mode)
    files = machine.mnt / "filecache"
    for name, content in zip(carried.archives, (PYTHON, venv), strict=True):
        (files / name).write_bytes(content)
    for kind, text in carried.scripts.items():
        (files / carried.paths.name(kind)).write_text(text)
        (files / carried.paths.name(kind)).chmod(0o555)
    return Node(machine, carried)


def test_thirty_tasks_at_once_unpack_once(node: Node) -> None:
    """And so do all later jobs; whoever finds the bundle unpacked asks no program, and reads no archive."""
    tasks = [node.task(number) for number in range(30)]
    start = "".join(f"(cd {task} && exec {node.jobrunner} script.py a) & " for task in tasks)
    done = node.run(f"{start} wait", tasks[0])
    node.assert_ran(done)
    assert len(done.stdout.splitlines()) == 30
    assert [line.split(" in ")[0] for line in done.stderr.splitlines()] == [
        f"mrjob-pybundle: unpacked the bundle into /mnt/tmp/pybundle-{ROOT}/{node.id}"
    ]
    assert node.leftovers() == set()

    for archive_name in node.carried.archives:
        (node.machine.mnt / "filecache" / archive_name).unlink()
    later = node.run(f"env -i PATH=/nowhere {node.jobrunner} script.py a", node.task(30))
    node.assert_ran(later)
    assert later.stderr == ""


def test_commands_and_setup_have_the_environment(node: Node) -> None:
    paths = node.carried.paths
    show = 'echo "$VIRTUAL_ENV"'
    done = node.run(f"{paths.venv_exec} sh -c {shlex.quote(show)} && sh -euc '. {paths.activate}; {show}'")
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.splitlines()) == {f"/mnt/tmp/pybundle-{ROOT}/{node.id}/venv"}


@pytest.mark.parametrize("fits", [True, False])
def test_the_environment_knows_where_it_is(node: Node, fits: bool) -> None:
    """Also in a task's own directory, the name of which is too long for the first line of a script."""
    long = "/mnt/" + "/".join(f"application_{number:013}_0001" for number in range(4))
    first = "true" if fits else f"mkdir -p {long} && cp -P {node.task()}/* {long}; {NOWHERE}"
    root = f"/mnt/tmp/pybundle-{ROOT}/{node.id}" if fits else f"{long}/pybundle-{ROOT}/{node.id}"
    done = node.run(f"{node.jobrunner} script.py a && cat {root}/venv/pyvenv.cfg", None if fits else long, first)
    assert done.stdout.splitlines()[1:] == [f"home = {root}/py/bin"], done.stderr
    begins = f"#!{root}/venv/bin/python\n" if fits else TRAMPOLINE
    script = node.machine.directory / root.lstrip("/") / "venv" / "bin" / "script"
    assert script.read_text() == f"{begins}print(__doc__)\n"


@pytest.mark.parametrize("bash", ["5", "4.2"])
def test_a_place_whose_name_shells_take_for_something_else(node: Node, bash: str) -> None:
    """As a task's own directory may have. Amazon Linux 2 has bash 4.2, where quotes mean something else in places."""
    odd = "/mnt/it's a & b|c\\d;e"
    first = f"mkdir -p {shlex.quote(odd)} && cp -P {node.task()}/* {shlex.quote(odd)}; {NOWHERE}"
    environment = {"BASH_COMPAT": bash} if bash == "4.2" else {}
    done = node.run(f"{node.jobrunner} script.py a", shlex.quote(odd), first, **environment)
    node.assert_ran(done, odd)
    venv = node.machine.mnt / odd.removeprefix("/mnt/") / f"pybundle-{ROOT}" / node.id / "venv"
    place = f"{odd}/pybundle-{ROOT}/{node.id}"
    assert (venv / "pyvenv.cfg").read_text() == f"home = {place}/py/bin\n"
    assert (venv / "bin" / "by-another").read_text() == f"#!{place}/venv/bin/another\n"


def test_a_place_that_is_written_in_letters_of_another_locale(node: Node) -> None:
    """Where sh is dash, as on Debian and Ubuntu, it does not know how bash writes these."""
    there = f"mkdir -p /mnt/josé && cp -P {node.task()}/* /mnt/josé; {NOWHERE}"
    done = node.run(f"{node.jobrunner} script.py a", "/mnt/josé", there, LC_ALL="C")
    node.assert_ran(done, "/mnt/josé")


@pytest.mark.parametrize(
    ("lock", "said"),
    [
        # On NFS, whoever locks a file must have it open for writing.
        ("grep -q '^flags:.*[12]$' /proc/self/fdinfo/9 && exec /usr/bin/flock \"$@\"", ""),
        ("exit 1", "/mnt/tmp/pybundle-0/.{id}.lock cannot be locked; "),
    ],
    ids=["NFS", "no locks"],
)
def test_where_files_are_locked_otherwise(node: Node, lock: str, said: str) -> None:
    done = node.run(f"{node.jobrunner} script.py a", first=f"PATH={_with(node, 'flock', lock)}")
    if said:
        assert done.returncode == 1
        assert said.format(id=node.id) in done.stderr
    else:
        node.assert_ran(done)


@pytest.mark.parametrize("home", [None, "/home/", "/proc"])
def test_needs_no_home(node: Node, home: str | None) -> None:
    environment = {} if home is None else {"HOME": home}
    node.assert_ran(node.run(f"unset USER LOGNAME PATH; {node.jobrunner} script.py a", **environment))


@pytest.mark.parametrize("which", ["python", "venv"])
@pytest.mark.parametrize("damage", ["a flipped bit", "cut short"])
@pytest.mark.parametrize("caller", ["{jobrunner} script.py a", "sh -exc '. {activate}; true'"])
def test_a_damaged_archive_is_refused(node: Node, which: str, damage: str, caller: str) -> None:
    """Also where mrjob's setup wrapper traces: the reason comes last."""
    good = {"python": PYTHON, "venv": VENV}[which]
    bad = good[:-1] if damage == "cut short" else good[:100] + bytes([good[100] ^ 4]) + good[101:]
    name = node.carried.paths.name(f"{which}.tar.gz")
    (node.machine.mnt / "filecache" / name).write_bytes(bad)
    paths = node.carried.paths
    done = node.run(caller.format(jobrunner=paths.jobrunner, activate=paths.activate))
    numbers = f"{len(good)} bytes, found {len(bad)}"
    if damage == "a flipped bit":
        numbers = f"sha256 {sha256(good)}, found {sha256(bad)}"
    uri = node.carried.archives[name]
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"mrjob-pybundle: {uri} is damaged and was not unpacked: wanted {numbers}. {REMEDY}"
    )
    assert not (node.shelf("/mnt/tmp") / node.id).exists()
    assert node.leftovers() == set()


def _with_tar(node: Node, shim: str) -> str:
    """A PATH on which *shim*, a shell script, takes the place of tar."""
    return _with(node, "tar", shim)


def _with(node: Node, program: str, shim: str) -> str:
    directory = node.machine.mnt / "shim"
    directory.mkdir()
    (directory / program).write_text(f"#!/bin/bash\n{shim}\n")
    (directory / program).chmod(0o755)
    return f"/mnt/shim:{os.environ['PATH']}"


def test_tasks_that_are_killed_half_way_leave_nothing_that_is_trusted(node: Node) -> None:
    mark = node.machine.mnt / "half-way"
    os.mkfifo(mark)
    path = _with_tar(node, '/bin/tar "$@"; echo here >/mnt/half-way; exec sleep 600')
    command = node.machine.command("bash", "-c", f"cd {node.task()} && exec {node.jobrunner} script.py a")
    with subprocess.Popen(command, env={"PATH": path}, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        assert wait_for_line(mark) == "here\n"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert not (node.shelf("/mnt/tmp") / node.id).exists()
    assert len(node.leftovers()) == 1
    node.assert_ran(node.run(f"{node.jobrunner} script.py a", node.task(1)))
    assert node.leftovers() == set()


def test_what_a_killed_task_has_started_is_waited_for(node: Node) -> None:
    """A task dies, its tar does not: it may still write into what the next task would take for its own."""
    mark, go_on = node.machine.mnt / "half-way", node.machine.mnt / "go-on"
    os.mkfifo(mark)
    os.mkfifo(go_on)
    path = _with_tar(
        node,
        'if [[ $* == *venv.tar.gz* ]]; then echo $PPID >/mnt/half-way; read -r _ </mnt/go-on; fi; exec /bin/tar "$@"',
    )
    task, other = node.task(), node.task(1)
    script = (
        f"(cd {task}; exec {node.jobrunner} script.py a) 2>/dev/null & "
        f"wait $!; (cd {other}; PATH=/usr/bin:/bin; exec {node.jobrunner} script.py a) & wait $!"
    )
    command = node.machine.command("bash", "-c", script)
    with subprocess.Popen(command, env={"PATH": path}, stdout=subprocess.PIPE, text=True) as process:
        os.kill(int(wait_for_line(mark)), signal.SIGKILL)
        half_way = node.leftovers()
        go_on.write_text("\n")
        stdout, _ = process.communicate()
    assert len(half_way) == 1
    assert stdout == f"/mnt/tmp/pybundle-{ROOT}/{node.id}/venv: script.py a\n"
    assert node.leftovers() == set()


@as_two_users
def test_a_task_cannot_change_what_later_jobs_run(node: Node) -> None:
    """As when one of its setup commands installs a package."""
    become_nobody = f"setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups"
    run_it = f"{become_nobody} {node.jobrunner} script.py a"
    bundle = f"/mnt/tmp/pybundle-{NOBODY}/{node.id}"
    node.assert_ran(node.run(run_it), user=NOBODY)
    done = node.run(f"{become_nobody} touch {bundle}/py/bin/new {bundle}/venv/lib/new", node.task(1))
    assert done.stderr.count("Permission denied") == 2


@as_two_users
def test_two_users_have_a_copy_each(node: Node) -> None:
    mine, theirs = node.task(1), node.task(2)
    become_nobody = f"setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups"
    node.assert_ran(node.run(f"{node.jobrunner} script.py a", mine))
    node.assert_ran(node.run(f"{become_nobody} {node.jobrunner} script.py a", theirs), user=NOBODY)
    for user in (ROOT, NOBODY):
        shelf = node.shelf("/mnt/tmp", user).stat()
        assert (shelf.st_uid, stat.S_IMODE(shelf.st_mode)) == (user, 0o700)


@as_two_users
@pytest.mark.parametrize("trap", ["a directory of theirs", "a link to a directory of ours", "a file"])
def test_what_another_user_has_prepared_is_not_trusted(node: Node, trap: str) -> None:
    shelf = node.shelf("/mnt/tmp")
    if trap == "a file":
        shelf.touch()
        os.chown(shelf, NOBODY, NOBODY)
    else:
        directory = shelf if trap == "a directory of theirs" else node.machine.mnt / "ours"
        program = directory / node.id / "venv" / "bin" / "python"
        program.parent.mkdir(parents=True)
        program.write_text("#!/bin/sh\necho pwned\n")
        program.chmod(0o755)
        (directory / node.id / "activate").write_text(f"VIRTUAL_ENV={program.parent.parent}\n")
        if trap == "a directory of theirs":
            os.chown(directory, NOBODY, NOBODY)
        else:
            shelf.symlink_to("/mnt/ours")
    node.assert_ran(node.run(f"{node.jobrunner} script.py a"), "/var/tmp")


@pytest.mark.parametrize(
    "first",
    [
        "chmod 777 /mnt/tmp",  # others could rename what is in it
        "mount --bind -o noexec /mnt/tmp /mnt/tmp && mount -o remount,bind,noexec /mnt/tmp",
        "mount -t tmpfs -o size=64k,mode=1777 tmpfs /mnt/tmp",
        "mount -t tmpfs -o ro,mode=1777 tmpfs /mnt/tmp",
        "rmdir /mnt/tmp",
    ],
)
def test_a_place_that_is_no_good_is_passed_over(node: Node, first: str) -> None:
    done = node.run(f"{node.jobrunner} script.py a && {node.jobrunner} script.py a", first=first)
    node.assert_ran(done, "/var/tmp")
    assert done.stderr.count("unpacked the bundle") == 1
    assert node.leftovers() == set()


NOWHERE = "rmdir /mnt/tmp; for place in /var/tmp /tmp; do mount -t tmpfs -o ro,mode=1777 tmpfs $place; done"


def test_the_tasks_own_directory_is_the_last_resort(node: Node) -> None:
    node.assert_ran(node.run(f"{node.jobrunner} script.py a", first=NOWHERE), "/mnt/tasks/0")


def test_no_place_at_all(node: Node) -> None:
    task = node.task()
    (node.machine.mnt / task.removeprefix("/mnt/")).chmod(0o777)
    done = node.run(f"{node.jobrunner} script.py a", task, first=NOWHERE)
    assert done.returncode == 1
    assert done.stderr == (
        "mrjob-pybundle: no place for the bundle on this node: there is no /mnt/tmp;"
        f" /var/tmp/pybundle-{ROOT} cannot be made, or is somebody else's;"
        f" /tmp/pybundle-{ROOT} cannot be made, or is somebody else's; others may rename what is in {task}\n"
    )


def test_bundles_and_files_that_age(node: Node) -> None:
    """What cleans temporary directories leaves files with a sticky bit; other bundles are left alone."""
    other = node.shelf("/mnt/tmp") / "another"
    other.mkdir(parents=True)
    other.parent.chmod(0o700)
    node.assert_ran(node.run(f"{node.jobrunner} script.py a"))
    assert other.exists()
    files = [path for path in (node.shelf("/mnt/tmp") / node.id).rglob("*") if path.is_file()]
    assert len(files) == 8
    assert all(path.stat().st_mode & stat.S_ISVTX for path in files)


def test_links_that_age(machine: Machine) -> None:
    """They have no sticky bit. What has lost its interpreter nevertheless is unpacked again."""
    python: dict[str, bytes | Path] = {
        "venv/bin/python": Path("python3.13"),
        "venv/bin/python3.13": b'#!/bin/sh\necho "$VIRTUAL_ENV: $*"\n',
    }
    node = make_node(machine, archive_of_bytes(python))
    node.assert_ran(node.run(f"{node.jobrunner} script.py a"))
    bundle = node.shelf("/mnt/tmp") / node.id
    links = [path for path in bundle.rglob("*") if path.is_symlink()]
    assert links
    assert {time.gmtime(path.lstat().st_mtime).tm_year for path in links} <= {2099, 2100}
    (bundle / "venv" / "bin").chmod(0o755)
    (bundle / "venv" / "bin" / "python").unlink()
    node.assert_ran(node.run(f"{node.jobrunner} script.py a", node.task(1)))
    assert node.leftovers() == set()


def test_what_a_node_has_against_the_bundle(machine: Machine) -> None:
    """Told as the bootstrap action tells it."""
    real = archive({"venv/bin/python": f'#!/bin/sh\nexec "{sys.executable}" "$@"\n'})
    needs = ("libc.so.6:GLIBC_2.17",)
    node = make_node(machine, real, needs)
    done = node.run(f"{node.jobrunner} -V", first=with_openssl_cnf(OPENSSL_CNF))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "the bundle's OpenSSL cannot work as this node's openssl.cnf wants it to: ssl.SSLError: " in done.stderr
    assert node.run(f"{node.jobrunner} -V", node.task(1)).returncode == 0


def test_a_bundle_of_another_architecture(machine: Machine) -> None:
    node = make_node(machine, VENV, ("libc.so.6:GLIBC_9.99",), "riscv64")
    done = node.run(f"{node.jobrunner} script.py a")
    assert (done.returncode, done.stderr) == (
        1,
        f"mrjob-pybundle: the bundle is for riscv64, and this node is {os.uname().machine}: all instances of a cluster"
        " must have one architecture.\n",
    )


def test_names_of_versions_that_a_node_lacks(machine: Machine) -> None:
    node = make_node(machine, VENV, ("libc.so.6:GLIBC_9.99",))
    done = node.run(f"{node.jobrunner} script.py a")
    assert done.returncode == 1
    assert re.fullmatch(
        r"mrjob-pybundle: the bundle was built on a newer system than this node's, which lacks GLIBC_9\.99 in"
        rf" \S+/libc.so.6\. {REMEDY}\n",
        done.stderr,
    )


def test_a_python_that_does_not_start_is_not_installed(machine: Machine) -> None:
    node = make_node(machine, archive({"venv/bin/python": "#!/bin/sh\necho 'no glibc' >&2\nexit 1\n"}))
    done = node.run(f"{node.jobrunner} script.py a")
    assert done.returncode == 1
    assert done.stderr == "mrjob-pybundle: the bundle's Python does not work on this node: no glibc\n"
    assert not (node.shelf("/mnt/tmp") / node.id).exists()
    assert node.leftovers() == set()
