"""The bootstrap action, run as on a node: the real AWS CLI, a real S3 server, a machine of its own."""

from __future__ import annotations

import os
import re
import shlex
import signal
import ssl
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import pytest

from mrjob_pybundle.templates import Value, read_template, render
from tests import openssl_cnf

from .conftest import Machine, Store, sha256, tool, wait_for_line

ID = "0123456789abcdef0123"
UNPACKED = 1 << 20
REMEDY = "Run the job with --pybundle-rebuild to have it built anew."


def archive(members: Mapping[str, str]) -> bytes:
    return archive_of_bytes({name: text.encode() for name, text in members.items()})


def archive_of_bytes(members: Mapping[str, bytes | Path]) -> bytes:
    """A path is the target of a symbolic link."""
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            if isinstance(content, Path):
                member.type, member.linkname = tarfile.SYMTYPE, str(content)
                tar.addfile(member)
            else:
                member.size, member.mode = len(content), 0o755
                tar.addfile(member, BytesIO(content))
    return buffer.getvalue()


#: What console scripts begin with in archives, whose place nobody knows.
TRAMPOLINE = """\
#!/bin/sh
'''exec' "$(dirname -- "$(readlink -f -- "$0")")/python" "$0" "$@"
' '''
"""

# All that the script asks for is an interpreter that starts.
PYTHON = archive({"py/bin/python3.13": "the interpreter", "py/lib/big": "x" * 300_000})
VENV = archive(
    {
        "venv/bin/python": f'#!/bin/sh\nexec "{sys.executable}" "$@"\n',
        "venv/bin/script": f"{TRAMPOLINE}print(__doc__)\n",
        "venv/bin/by-another": "#!/nonexistent/mrjob-pybundle-root/venv/bin/another -e\n",
        "venv/bin/another": '#!/bin/sh\necho "run by $0" "$@"\n',
        "venv/lib/y": "yes",
    }
)


@dataclass(frozen=True)
class Node:
    """A node, and the bootstrap action of one bundle."""

    machine: Machine
    store: Store
    values: dict[str, Value]
    #: where the two archives are
    python_uri: str
    venv_uri: str

    def script(self) -> Path:
        path = self.machine.directory / "bootstrap.sh"
        path.write_text(render("bootstrap.sh.tmpl", self.values), encoding="utf-8")
        return path

    @property
    def words(self) -> list[str]:
        return ["bash", str(self.script()), self.python_uri, self.venv_uri, self.store.region]

    def command(self) -> list[str]:
        return self.machine.command(*self.words)

    def bootstrap(self) -> subprocess.CompletedProcess[str]:
        return self.machine.run(self.words, self.store.environment)

    def with_values(self, **values: Value) -> Node:
        return replace(self, values={**self.values, **values})

    def with_program(self, name: str, shim: str) -> Node:
        """This node with *shim*, a shell script, in place of the program *name*, which it finds as $REAL."""
        directory = self.machine.directory / "shim"
        directory.mkdir(exist_ok=True)
        (directory / name).write_text(f"#!/bin/bash\nREAL={shlex.quote(tool(name))}\n{shim}\n")
        (directory / name).chmod(0o755)
        environment = {
            **self.store.environment,
            "PATH": f"{directory}:{self.store.environment['PATH']}",
        }
        return replace(self, store=replace(self.store, environment=environment))

    @property
    def bundle(self) -> Path:
        return self.machine.mnt / "pybundle" / ID

    @property
    def link(self) -> Path:
        return self.machine.opt / "pybundle" / ID

    def leftovers(self) -> list[str]:
        """What lies beside the bundle and its lock."""
        names = {path.name for path in self.bundle.parent.iterdir()}
        return sorted(names - {ID, f".{ID}.lock"})

    def assert_ready(self) -> None:
        assert sorted(path.name for path in self.bundle.iterdir()) == [
            "activate",
            "jobrunner",
            "py",
            "venv",
            "venv-exec",
        ]
        assert (self.bundle / "py" / "bin" / "python3.13").read_text() == "the interpreter"
        assert str(self.link.readlink()) == f"/mnt/pybundle/{ID}"
        assert self.leftovers() == []
        for path in [self.bundle, *self.bundle.rglob("*")]:
            assert path.lstat().st_mode & 0o044 == 0o044
        done = self.machine.run([f"/opt/pybundle/{ID}/jobrunner", "-c", "print(6 * 7)"], dict(os.environ))
        assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr

    def assert_nothing_installed(self) -> None:
        assert not self.bundle.exists()
        assert not self.link.is_symlink()
        assert self.leftovers() == []


def make_node(machine: Machine, store: Store, prefix: str = "cache") -> Node:
    root = f"/opt/pybundle/{ID}"
    activate = {"ACTIVATE": f"{root}/activate"}
    return Node(
        machine,
        store,
        {
            "BUNDLE_ID": ID,
            "PYTHON_SHA256": sha256(PYTHON),
            "PYTHON_SIZE": str(len(PYTHON)),
            "VENV_SHA256": sha256(VENV),
            "VENV_SIZE": str(len(VENV)),
            "UNPACKED_SIZE": str(UNPACKED),
            "SETTLE": read_template("nodes/settle.sh"),
            "ARCH": os.uname().machine,
            "NEEDS": (),
            "ACTIVATE": render("nodes/activate.sh.tmpl", {"ROOT": root}),
            "JOBRUNNER": render("nodes/jobrunner.sh.tmpl", activate),
            "VENV_EXEC": render("nodes/venv-exec.sh.tmpl", activate),
        },
        python_uri=store.put(f"{prefix}/python.tar.gz", PYTHON),
        venv_uri=store.put(f"{prefix}/venv.tar.gz", VENV),
    )


@pytest.fixture
def node(machine: Machine, store: Store) -> Node:
    return make_node(machine, store)


def reason(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1, done.stdout + done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("mrjob-pybundle: ")
    return last.removeprefix("mrjob-pybundle: ")


def test_installs_the_bundle(node: Node) -> None:
    done = node.bootstrap()
    assert (done.returncode, done.stderr) == (0, "")
    node.assert_ready()


def test_installs_the_bundle_where_bash_is_as_4_2_was(node: Node) -> None:
    """That of Amazon Linux 2, as far as newer ones can be like it."""
    old = replace(node, store=replace(node.store, environment={**node.store.environment, "BASH_COMPAT": "4.2"}))
    done = old.with_values(NEEDS=["libc.so.6:GLIBC_2.4"]).bootstrap()
    assert (done.returncode, done.stderr) == (0, "")
    node.assert_ready()


def test_the_environment_knows_where_it_is(node: Node) -> None:
    """Which the archive could not. It stays root's, and a second run says it no second time."""
    for _ in range(2):
        assert node.bootstrap().returncode == 0
        assert (node.bundle / "venv" / "pyvenv.cfg").read_text() == f"home = /mnt/pybundle/{ID}/py/bin\n"
        script = node.bundle / "venv" / "bin" / "script"
        assert script.read_text() == f"#!/mnt/pybundle/{ID}/venv/bin/python\nprint(__doc__)\n"
        assert script.stat().st_uid == (node.bundle / "venv").stat().st_uid
    done = node.machine.run([f"/opt/pybundle/{ID}/venv-exec", "by-another", "here"], dict(os.environ))
    scripts = f"pybundle/{ID}/venv/bin"
    assert done.stdout == f"run by /mnt/{scripts}/another -e /opt/{scripts}/by-another here\n", done.stderr


def test_a_second_run_fetches_nothing(node: Node) -> None:
    assert node.bootstrap().returncode == 0
    before = node.bundle.stat()
    done = node.with_program("aws", "echo 'must not be called' >&2; exit 1").bootstrap()
    assert done.returncode == 0, done.stderr
    assert node.bundle.stat().st_ino == before.st_ino
    node.assert_ready()


def test_a_second_run_repairs_link_and_wrappers(node: Node) -> None:
    assert node.bootstrap().returncode == 0
    (node.bundle / "jobrunner").write_text("echo broken\n")
    node.link.unlink()
    node.link.symlink_to("/nowhere")
    assert node.bootstrap().returncode == 0
    node.assert_ready()


def test_bundles_lie_side_by_side(node: Node) -> None:
    other = node.machine.mnt / "pybundle" / "another"
    other.mkdir(parents=True)
    (other / "file").touch()
    assert node.bootstrap().returncode == 0
    assert (other / "file").exists()


@pytest.mark.parametrize("which", ["python", "venv"])
@pytest.mark.parametrize("damage", ["a flipped bit", "cut short", "another archive"])
def test_a_damaged_archive_is_refused(node: Node, which: str, damage: str) -> None:
    good = {"python": PYTHON, "venv": VENV}[which]
    bad = {
        "a flipped bit": good[:100] + bytes([good[100] ^ 4]) + good[101:],
        "cut short": good[:-1],
        "another archive": archive({"venv/bin/python": "#!/bin/sh\ntouch /mnt/pwned\n"}),
    }[damage]
    uri = node.store.put(f"cache/{which}.tar.gz", bad)
    # No archive may be unpacked before both are found to be good: any attempt is to be seen.
    message = reason(node.with_program("tar", "touch /mnt/unpacked").bootstrap())
    if len(bad) == len(good):
        numbers = f"wanted sha256 {sha256(good)}, found {sha256(bad)}"
    else:
        numbers = f"wanted {len(good)} bytes, found {len(bad)}"
    assert message == f"{uri} is damaged and was not unpacked: {numbers}. {REMEDY}"
    assert not (node.machine.mnt / "unpacked").exists()
    node.assert_nothing_installed()


def test_a_repaired_cache_repairs_the_node(node: Node) -> None:
    node.store.put("cache/venv.tar.gz", VENV[:-1])
    reason(node.bootstrap())
    node.store.put("cache/venv.tar.gz", VENV)
    assert node.bootstrap().returncode == 0
    node.assert_ready()


def test_a_missing_archive_is_named_at_once(node: Node) -> None:
    node.store.client.delete_object(Bucket=node.store.bucket, Key="cache/python.tar.gz")
    done = node.bootstrap()
    message = reason(done)
    assert message.startswith(f"cannot fetch {node.store.uri('cache/python.tar.gz')}: ")
    assert "404" in message
    assert "trying again" not in done.stdout
    node.assert_nothing_installed()


def test_a_missing_bucket_is_named(node: Node) -> None:
    uri = "s3://bucket-that-nobody-made/python.tar.gz"
    assert uri in reason(replace(node, python_uri=uri).bootstrap())
    node.assert_nothing_installed()


def test_s3_may_have_a_bad_moment(node: Node) -> None:
    shim = """
        if [[ $* == *venv.tar.gz* ]] && ! [[ -e /mnt/failed ]]; then
            touch /mnt/failed
            echo 'fatal error: An error occurred (503) when calling the GetObject operation: SlowDown' >&2
            exit 1
        fi
        exec "$REAL" "$@"
    """
    done = node.with_program("aws", shim).bootstrap()
    assert done.returncode == 0, done.stderr
    assert "SlowDown" in done.stdout
    node.assert_ready()


def test_arguments_that_name_something_else_are_refused(node: Node) -> None:
    """They are no secret and no part of the script: the digests are."""
    swapped = replace(node, venv_uri=node.store.put("elsewhere/venv.tar.gz", b"x" * len(VENV)))
    assert "elsewhere/venv.tar.gz is damaged and was not unpacked: wanted sha256" in reason(swapped.bootstrap())
    node.assert_nothing_installed()


def test_without_arguments_it_says_what_it_takes(node: Node) -> None:
    done = node.machine.run(["bash", str(node.script())], node.store.environment)
    assert reason(done) == "the URIs of both archives must be given as arguments"


def test_a_full_disk_is_noticed_first(node: Node) -> None:
    message = reason(node.with_values(UNPACKED_SIZE=str(1 << 60)).with_program("aws", "touch /mnt/fetched").bootstrap())
    assert message.startswith("not enough space on /mnt/pybundle: ")
    assert not (node.machine.mnt / "fetched").exists()
    node.assert_nothing_installed()


def test_a_disk_on_which_no_programs_run(node: Node) -> None:
    remount = 'mount -o remount,bind,noexec /mnt && exec "$@"'
    done = node.machine.run(["bash", "-c", remount, "-", *node.words], node.store.environment)
    why = reason(done)
    assert why.startswith("the bundle's Python does not work on this node: ")
    assert why.endswith("/venv/bin/python: Permission denied")
    node.assert_nothing_installed()


def test_a_python_that_does_not_start_is_not_installed(node: Node) -> None:
    broken = archive({"venv/bin/python": "#!/bin/sh\necho 'no glibc' >&2\nexit 1\n"})
    uri = node.store.put("cache/broken.tar.gz", broken)
    node = replace(node.with_values(VENV_SHA256=sha256(broken), VENV_SIZE=str(len(broken))), venv_uri=uri)
    assert reason(node.bootstrap()) == "the bundle's Python does not work on this node: no glibc"
    node.assert_nothing_installed()


def test_a_python_for_another_architecture_is_not_installed(node: Node) -> None:
    """A real program whose header names another machine: it is the kernel that refuses it, as on a node."""
    program = bytearray(Path(sys.executable).read_bytes())
    e_machine = slice(18, 20)  # ELF: x86-64 is 62, AArch64 is 183
    program[e_machine] = {62: b"\xb7\0", 183: b"\x3e\0"}[int.from_bytes(program[e_machine], "little")]
    strange = archive_of_bytes({"venv/bin/python": bytes(program)})
    uri = node.store.put("cache/strange.tar.gz", strange)
    node = replace(node.with_values(VENV_SHA256=sha256(strange), VENV_SIZE=str(len(strange))), venv_uri=uri)
    why = reason(node.bootstrap())
    assert why.startswith("the bundle's Python does not work on this node: ")
    assert why.endswith("cannot execute binary file: Exec format error")
    node.assert_nothing_installed()


#: Of the OpenSSL of the Python that stands in for a bundle's.
OPENSSL_CNF_PATH = Path(ssl.get_default_verify_paths().openssl_cafile).with_name("openssl.cnf")
#: Has OpenSSL load a provider that is nowhere, as the FIPS mode of a machine may: no cipher is left then.
OPENSSL_CNF = """\
openssl_conf = init
[init]
providers = providers
[providers]
elsewhere = elsewhere
[elsewhere]
activate = 1
"""


def with_openssl_cnf(text: str) -> str:
    """Shell that gives a machine of its own that configuration, until what runs there ends."""
    return f"cat >/mnt/openssl.cnf <<<{shlex.quote(text)}; mount --bind /mnt/openssl.cnf {OPENSSL_CNF_PATH}"


def _bootstrap_with_openssl_cnf(node: Node, text: str) -> subprocess.CompletedProcess[str]:
    edit = with_openssl_cnf(text)
    return node.machine.run(["bash", "-c", f'{edit}; exec "$@"', "-", *node.words], node.store.environment)


def test_a_configuration_of_openssl_that_is_odd(node: Node) -> None:
    done = _bootstrap_with_openssl_cnf(node, openssl_cnf.ODD)
    assert (done.returncode, done.stderr) == (0, "")
    node.assert_ready()


def test_a_configuration_of_openssl_that_the_bundle_cannot_follow(node: Node) -> None:
    done = _bootstrap_with_openssl_cnf(node, OPENSSL_CNF)
    assert re.fullmatch(
        rf"the bundle's OpenSSL cannot work as this node's openssl\.cnf wants it to: ssl\.SSLError: .*\. {REMEDY}",
        reason(done),
    )
    node.assert_nothing_installed()


def test_a_bundle_of_another_architecture(node: Node) -> None:
    """Libraries there have the same names, and versions of the same names."""
    done = node.with_values(ARCH="riscv64", NEEDS=["libc.so.6:GLIBC_9.99"]).bootstrap()
    here = os.uname().machine
    assert reason(done) == (
        f"the bundle is for riscv64, and this node is {here}: all instances of a cluster must have one architecture."
    )
    assert not node.bundle.exists()


def test_names_of_versions_that_a_node_lacks(node: Node) -> None:
    """Names and no numbers: GLIBC_2 is the beginning of some, and is not among them."""
    has = ["libc.so.6:GLIBC_2.17", "libc.so.6:GLIBC_2.4", "libno-such-library.so.1:ITS_9.9"]
    lacks = ["libc.so.6:GLIBC_2", "libc.so.6:GLIBC_9.99", "libgcc_s.so.1:GCC_99"]
    message = reason(node.with_values(NEEDS=sorted([*has, *lacks])).bootstrap())
    assert re.fullmatch(
        r"the bundle was built on a newer system than this node's, which lacks GLIBC_2 in \S+/libc.so.6,"
        rf" GLIBC_9\.99 in \S+/libc.so.6, GCC_99 in \S+/libgcc_s.so.1\. {REMEDY}",
        message,
    )
    assert not node.bundle.exists()
    assert node.with_values(NEEDS=has).bootstrap().returncode == 0


def test_a_run_that_was_killed_is_made_up_for(node: Node) -> None:
    """Killed with one archive fetched and the other half-way: the next run clears up and installs."""
    mark = node.machine.directory / "half-way"
    os.mkfifo(mark)
    half_way = node.with_program(
        "aws",
        f'if [[ $* == *venv.tar.gz* ]]; then echo here >"{mark}"; exec sleep 600; else exec "$REAL" "$@"; fi',
    )
    with subprocess.Popen(
        half_way.command(),
        env=half_way.store.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        assert wait_for_line(mark) == "here\n"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert not node.bundle.exists()
    assert node.leftovers() != []
    assert node.bootstrap().returncode == 0
    node.assert_ready()


def test_a_run_that_is_asked_to_stop_clears_up(node: Node) -> None:
    mark = node.machine.directory / "half-way"
    os.mkfifo(mark)
    half_way = node.with_program("aws", f'echo here >"{mark}"; exec sleep 600')
    with subprocess.Popen(
        half_way.command(),
        env=half_way.store.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert wait_for_line(mark) == "here\n"
        # To the script alone, as a service manager does it first.
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait() == 1
        os.killpg(process.pid, signal.SIGKILL)
        assert process.stderr is not None
        assert process.stderr.read() == "mrjob-pybundle: stopped by a signal\n"
    node.assert_nothing_installed()


def test_two_runs_at_once_do_not_disturb_each_other(node: Node) -> None:
    """In one mount namespace, as two processes of one node."""
    run = shlex.join(node.words)
    both = f"{run} & first=$!; {run}; status=$?; wait $first && exit $status"
    done = node.machine.run(["bash", "-c", both], node.store.environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("fetched") == 2
    node.assert_ready()


@pytest.mark.parametrize(
    "prefix", ['it\'s a "prefix"', "$(touch /mnt/oops)`id`", "é漢 & ; * ?", "a\tb", "-r", "a+b#c%20?d//e"]
)
def test_names_in_the_cache_may_be_anything(machine: Machine, store: Store, prefix: str) -> None:
    node = make_node(machine, store, prefix)
    done = node.bootstrap()
    assert (done.returncode, done.stderr) == (0, "")
    assert not (machine.mnt / "oops").exists()
    node.assert_ready()


def test_a_bucket_from_before_2018(machine: Machine, store: Store) -> None:
    """Its name is none of a host."""
    old = replace(store, bucket="Old_Team.2017")
    old.client.create_bucket(Bucket=old.bucket)
    node = make_node(machine, old, "a//b")
    done = node.bootstrap()
    assert (done.returncode, done.stderr) == (0, "")
    node.assert_ready()
