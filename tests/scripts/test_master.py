"""The programs that run on the build cluster's master, under every Python that is here, 2.7 included."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import ssl
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import mrjob
import pytest
from packaging.version import Version

from mrjob_pybundle.bundle.inputs import read_inputs
from mrjob_pybundle.bundle.sources import find_source
from mrjob_pybundle.bundle.spec import PythonSpec, canonical_json
from mrjob_pybundle.master.inputs import pack as pack_inputs

from .conftest import REPOSITORY, Store, sha256

MASTER = REPOSITORY / "mrjob_pybundle" / "master" / "programs"


def interpreters() -> dict[str, str]:
    """{version: path} of the Pythons that can be found: on PATH, or where pyenv puts them."""
    found = {f"{sys.version_info[0]}.{sys.version_info[1]}": sys.executable}
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for version in ("2.7", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14"):
        candidates = [shutil.which(f"python{version}", path="/usr/local/bin:/usr/bin")]
        candidates += [str(path) for path in pyenv.glob(f"{version}.*/bin/python{version}")]
        for path in candidates:
            if path is not None:
                found.setdefault(version, path)
    return found


PYTHONS = interpreters()
#: `make test` has the oldest of each language, the newest, and the one that runs it.
_ENDS = {"2.7", "3.7", f"{sys.version_info[0]}.{sys.version_info[1]}", max(PYTHONS, key=Version)}
every_python = pytest.mark.parametrize(
    "python",
    [
        pytest.param(path, id=version, marks=() if version in _ENDS else pytest.mark.whole)
        for version, path in PYTHONS.items()
    ],
)


def run(
    python: str, program: str, *arguments: str | Path, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    command: Sequence[str | Path] = [python, "-B", MASTER / program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "root" / "venv"
    (tree / "bin").mkdir(parents=True)
    (tree / "lib").mkdir()
    (tree / "bin" / "tool").write_text("tool")
    (tree / "bin" / "tool").chmod(0o4751)
    (tree / "lib" / "é file").write_text("x" * 5000)
    (tree / "lib" / "é file").chmod(0o600)
    os.link(tree / "lib" / "é file", tree / "lib" / "same")
    (tree / "bin" / "python").symlink_to("../../py/bin/python3.13")
    return tree


def pack(python: str, tree: Path, archive: Path) -> subprocess.CompletedProcess[str]:
    description = archive.with_suffix(".json")
    return run(python, "archive.py", "--tree", tree, "--archive", archive, "--description", description)


@every_python
def test_an_archive_is_plain(python: str, tree: Path, tmp_path: Path) -> None:
    archive = tmp_path / "a.tar.gz"
    done = pack(python, tree, archive)
    assert done.returncode == 0, done.stderr
    description = json.loads(archive.with_suffix(".json").read_text())
    content = archive.read_bytes()
    sizes = {"size": len(content), "unpacked_size": 10 * 4096 - 4096}
    assert description == {"sha256": sha256(content), **sizes, "needs": []}
    with tarfile.open(archive) as tar:
        members = {member.name: (member.mode, member.size, member.linkname) for member in tar}
    assert members == {
        "venv": (0o755, 0, ""),
        "venv/bin": (0o755, 0, ""),
        "venv/bin/python": (0o777, 0, "../../py/bin/python3.13"),
        "venv/bin/tool": (0o755, 4, ""),
        "venv/lib": (0o755, 0, ""),
        "venv/lib/é file": (0o644, 5000, ""),
        "venv/lib/same": (0o644, 5000, ""),
    }
    described = tmp_path / "again.json"
    run(python, "archive.py", "--describe", archive, "--description", described)
    assert json.loads(described.read_text()) == description


@every_python
def test_the_same_tree_gives_the_same_archive(python: str, tree: Path, tmp_path: Path) -> None:
    pack(python, tree, tmp_path / "a.tar.gz")
    if not python.endswith("2.7"):
        os.utime(tree / "bin" / "tool", (1, 1))
    pack(python, tree, tmp_path / "b.tar.gz")
    assert (tmp_path / "a.tar.gz").read_bytes() == (tmp_path / "b.tar.gz").read_bytes()


def test_python_27_keeps_times(tree: Path, tmp_path: Path) -> None:
    """Its .pyc files are good only for sources of a certain time."""
    if "2.7" not in PYTHONS:
        pytest.skip("no Python 2.7 here")
    os.utime(tree / "bin" / "tool", (1234567890, 1234567890))
    pack(PYTHONS["2.7"], tree, tmp_path / "a.tar.gz")
    with tarfile.open(tmp_path / "a.tar.gz") as tar:
        assert tar.getmember("venv/bin/tool").mtime == 1234567890


@every_python
@pytest.mark.parametrize("bad", ["fifo", "absolute", "escaping"])
def test_an_archive_refuses_what_it_must_not_hold(python: str, bad: str, tree: Path, tmp_path: Path) -> None:
    if bad == "fifo":
        os.mkfifo(tree / "bad")
    else:
        (tree / "bad").symlink_to("/etc/passwd" if bad == "absolute" else "../../outside")
    done = pack(python, tree, tmp_path / "a.tar.gz")
    assert done.returncode == 1
    assert done.stderr.startswith("venv/bad is ")


@every_python
def test_scripts_find_their_python(python: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    bin_directory = root / "venv" / "bin"
    bin_directory.mkdir(parents=True)
    (root / "venv" / "pyvenv.cfg").write_text("home = /build/py/bin\nversion = 3.13.5\nexecutable = /build/x\n")
    long_header = f"#!/bin/sh\n'''exec' \"{bin_directory}/python3\" \"$0\" \"$@\"\n' '''\n"
    scripts = {
        "short": (f"#!{bin_directory}/python\nprint(1)\n", True),
        "option": (f"#!{bin_directory}/python -E\nprint(1)\n", True),
        "long": (long_header + "print(1)\n", True),
        "shell": ("#!/bin/sh\necho 1\n", False),
        "system": ("#!/usr/bin/python3\nprint(1)\n", False),
        "binary": ("\x7fELF", False),
    }
    for name, (text, _) in scripts.items():
        (bin_directory / name).write_text(text)
    for _ in range(2):
        done = run(python, "relocate.py", "--root", root)
        assert (done.returncode, done.stderr) == (0, "")
    for name, (text, rewritten) in scripts.items():
        after = (bin_directory / name).read_text()
        assert (after != text) == rewritten
        assert after.count("exec") == (1 if rewritten else text.count("exec"))
        assert (" -E " in after) == (name == "option")
        assert str(root) not in after
    assert (root / "venv" / "pyvenv.cfg").read_text() == "version = 3.13.5\n"
    assert os.readlink(bin_directory / "python").startswith("../../py/bin/python")  # noqa: PTH115


#: What only a script's own first statements can be, and its first two lines.
DOCUMENTED = '# -*- coding: latin-1 -*-\n"""Its own."""\nfrom __future__ import division\n'


@every_python
def test_scripts_are_as_pip_wrote_them_where_their_place_is_known(python: str, tmp_path: Path) -> None:
    """But for the place. Where that fits into no first line, sh finds Python, as in pip's own scripts there."""
    built = tmp_path / "built"
    bin_directory = built / "venv" / "bin"
    bin_directory.mkdir(parents=True)
    (built / "venv" / "pyvenv.cfg").write_text("home = /build/py/bin\nversion = 3.13.5\n")
    texts = {
        "documented": f"#!{bin_directory}/python\n{DOCUMENTED}print('\xe9', __doc__)\n".encode("latin-1"),
        "option": f"#!{bin_directory}/python -E\nprint(1)".encode(),
        "long": f"#!/bin/sh\n'''exec' \"{bin_directory}/python\" \"$0\" \"$@\"\n' '''\nprint(1)\n".encode(),
        "of sh": b'#!/bin/sh\n\necho "$(dirname -- "$(readlink -f -- "$0")")/python"\n',
        "binary": b"\x7fELF\0\n\xff",
        "short": b"#!/bin/sh",
    }
    for name, text in texts.items():
        (bin_directory / name).write_bytes(text)
        (bin_directory / name).chmod(0o755)
    assert run(python, "relocate.py", "--root", built).returncode == 0
    places = {"/mnt/pybundle/0123456789abcdef0123": True, "/mnt/a b/0": False, f"/mnt/{'long' * 30}": False}
    for number, (place, fits) in enumerate(places.items()):
        moved = tmp_path / str(number)
        shutil.copytree(built, moved, symlinks=True)
        subprocess.run(["sh", REPOSITORY / "mrjob_pybundle/nodes/settle.sh", moved, place], check=True)
        assert (moved / "venv" / "pyvenv.cfg").read_text() == f"version = 3.13.5\nhome = {place}/py/bin\n"
        for name, text in texts.items():
            after = moved / "venv" / "bin" / name
            as_written = text.replace(str(built).encode(), place.encode())
            if name == "long":
                as_written = f"#!{place}/venv/bin/python\nprint(1)\n".encode()
            assert after.read_bytes() == (as_written if fits else (bin_directory / name).read_bytes())
            assert after.stat().st_mode & 0o777 == 0o755


@every_python
def test_links_into_the_bundle_become_relative(python: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "venv" / "bin").mkdir(parents=True)
    (root / "venv" / "pyvenv.cfg").touch()
    (root / "venv" / "inside").symlink_to(root / "py" / "x")
    (root / "venv" / "outside").symlink_to("/usr/bin/env")
    (root / "venv" / "weights.pth").mkdir()
    done = run(python, "relocate.py", "--root", root)
    assert done.returncode == 1
    assert done.stderr == (
        "venv/outside is a symbolic link to /usr/bin/env, which is not in the bundle: copy what it leads to\n"
    )
    assert str((root / "venv" / "inside").readlink()) == "../py/x"


@every_python
@pytest.mark.parametrize(("directory", "refused"), [('{"editable": true}', True), ("{}", False)])
def test_a_package_that_is_elsewhere_is_refused(python: str, directory: str, refused: bool, tmp_path: Path) -> None:
    """pip install -e leaves a finder that only it can read, and this note."""
    root = tmp_path / "root"
    info = root / "venv" / "lib" / "python3.13" / "site-packages" / "ours-1.dist-info"
    info.mkdir(parents=True)
    (root / "venv" / "bin").mkdir()
    (root / "venv" / "pyvenv.cfg").touch()
    (info / "direct_url.json").write_text(f'{{"dir_info": {directory}, "url": "file:///build/ours"}}')
    done = run(python, "relocate.py", "--root", root)
    assert done.returncode == refused
    assert ("direct_url.json says that its package is elsewhere: install without --editable" in done.stderr) == refused


@every_python
def test_an_environment_inside_is_refused(python: str, tmp_path: Path) -> None:
    """It has the build's place in it, which no node has."""
    root = tmp_path / "root"
    (root / "venv" / "bin").mkdir(parents=True)
    (root / "venv" / "inner").mkdir()
    for directory in ("venv", "venv/inner"):
        (root / directory / "pyvenv.cfg").write_text(f"home = {root}/py/bin\n")
    done = run(python, "relocate.py", "--root", root)
    assert done.returncode == 1
    assert done.stderr == "venv/inner/pyvenv.cfg is of an environment whose Python no node has: make none inside\n"


def link(target: Path, code: str, *arguments: str | Path) -> None:
    """Makes a shared library of C code."""
    if shutil.which("gcc") is None:
        pytest.skip("no C compiler here")
    command = ["gcc", "-shared", "-fPIC", "-x", "c", "-", "-x", "none", "-o", target, *arguments]
    subprocess.run(command, input=code, text=True, check=True)


@every_python
def test_an_archive_says_which_versions_it_needs(python: str, tree: Path, tmp_path: Path) -> None:
    """Of what nodes have by themselves. What this machine hasn't either is for other machines, and only said."""
    newer = tmp_path / "libstdc++.so.6"
    (tmp_path / "versions").write_text("GLIBCXX_9.9 { global: newest; };\n")
    link(
        *(newer, "int newest(void) { return 9; }", "-Wl,-soname,libstdc++.so.6"),
        f"-Wl,--version-script,{tmp_path}/versions",
    )
    link(tree / "lib" / "new.so", "int newest(void); int f(void) { return newest(); }", newer)
    link(tree / "lib" / "old.so", "#include <stdlib.h>\nvoid f(void) { abort(); }")
    whole = (tree / "lib" / "old.so").read_bytes()
    (tree / "lib" / "broken.so").write_bytes(whole[:200])
    for number, place in enumerate((1 << 63, (1 << 63) - 1)):  # of the program headers, where no file has any
        beyond = whole[:32] + place.to_bytes(8, sys.byteorder) + whole[40:]
        (tree / "lib" / f"beyond-{number}.so").write_bytes(beyond)

    def needs() -> tuple[str, list[str], list[str]]:
        archive, described = tmp_path / "a.tar.gz", tmp_path / "described.json"
        done = pack(python, tree, archive)
        assert done.returncode == 0, done.stderr
        run(python, "archive.py", "--describe", archive, "--description", described)
        return (
            done.stdout,
            json.loads(archive.with_suffix(".json").read_text())["needs"],
            json.loads(described.read_text())["needs"],
        )

    base = subprocess.check_output(["readelf", "-V", tree / "lib" / "old.so"], text=True)
    assert "GLIBC_2.2.5" in base or os.uname().machine != "x86_64"
    glibc = sorted({f"libc.so.6:{word}" for word in base.split() if word.startswith("GLIBC_")})
    said, packed, described = needs()
    assert "venv/lib/new.so needs GLIBCXX_9.9 of libstdc++.so.6, which this machine does not have\n" in said
    assert (packed, described) == (glibc, [*glibc, "libstdc++.so.6:GLIBCXX_9.9"])
    shutil.copy(newer, tree / "lib")
    said, packed, described = needs()
    assert (packed, described) == (glibc, glibc)
    assert "GLIBCXX_9.9" not in said


@every_python
def test_libraries_are_copied_with_what_they_need(python: str, tmp_path: Path) -> None:
    """Also one of those that PEP 600 lets wheels expect of every machine."""
    system, tree, into = tmp_path / "system", tmp_path / "tree", tmp_path / "tree" / "lib"
    for directory in (system, into):
        directory.mkdir(parents=True)

    link(system / "libGL.so.1", "int deep(void) { return 6; }", "-Wl,-soname,libGL.so.1")
    link(
        *(
            system / "libnear.so.1",
            'int atoi(const char *); int deep(void); int near(void) { return deep() + atoi("1"); }',
        ),
        *(
            "-Wl,-soname,libnear.so.1",
            system / "libGL.so.1",
            "-Wl,--enable-new-dtags",
            f"-Wl,-rpath,{system}",
        ),
    )
    link(
        *(tree / "module.so", "int near(void); int module(void) { return near(); }", system / "libnear.so.1"),
        *("-Wl,--enable-new-dtags", f"-Wl,-rpath,{system}"),
    )
    (into / "libtext.so").write_text("GROUP ( libc.so.6 )")
    arguments: list[str | Path] = ["--tree", tree, "--into", into, "--strict"]
    done = run(python, "shared_libraries.py", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(path.name for path in into.iterdir()) == ["libGL.so.1", "libnear.so.1", "libtext.so"]
    assert done.stdout.splitlines() == [
        f"copied: {system}/libnear.so.1, for module.so",
        f"copied: {system}/libGL.so.1, for libnear.so.1",
        "left to the node: libc.so.6",
    ]
    # What has a RUNPATH looks nowhere else; as an RPATH it leaves the way to the interpreter's open.
    for path in (tree / "module.so", into / "libnear.so.1"):
        assert "(RUNPATH)" not in subprocess.check_output(["readelf", "-d", path], text=True)
    shutil.rmtree(into)
    into.mkdir()
    shutil.rmtree(system)
    done = run(python, "shared_libraries.py", *arguments)
    assert done.returncode == 1
    assert "libnear.so.1" in done.stdout


def test_python_27_has_virtual_environments_that_move(tmp_path: Path) -> None:
    if "2.7" not in PYTHONS:
        pytest.skip("no Python 2.7 here")
    built, moved = tmp_path / "built", tmp_path / "moved here"
    home = Path(subprocess.check_output([PYTHONS["2.7"], "-c", "import sys; print(sys.prefix)"], text=True).strip())
    if not (home / "lib" / "python2.7" / "ensurepip").is_dir():
        pytest.skip("this Python 2.7 has no pip to install")
    ignore = shutil.ignore_patterns("test", "site-packages", "*.a")
    shutil.copytree(home / "lib", built / "py" / "lib", symlinks=True, ignore=ignore)
    shutil.copytree(home / "bin", built / "py" / "bin", symlinks=True)
    (built / "py" / "lib" / "python2.7" / "site-packages").mkdir()
    for command, directory in (("prepare", built / "py"), ("create", built)):
        done = run(str(built / "py" / "bin" / "python2.7"), "python27_venv.py", command, directory)
        assert done.returncode == 0, done.stderr
    python = built / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "ensurepip"], check=True, capture_output=True)
    done = run(str(python), "relocate.py", "--root", built)
    assert (done.returncode, done.stderr) == (0, "")
    built.rename(moved)
    show = "import sys, pip; print(sys.prefix); print(pip.__file__)"
    output = subprocess.check_output(
        ["env", "-i", moved / "venv" / "bin" / "python", "-c", show], text=True
    ).splitlines()
    assert output[0] == f"{moved}/venv"
    assert output[1].startswith(f"{moved}/venv/lib/python2.7/site-packages/pip/")
    version = subprocess.check_output([moved / "venv" / "bin" / "pip2.7", "--version"], text=True)
    assert f"{moved}/venv/" in version


@pytest.fixture
def publish(store: Store, tmp_path: Path) -> PublishCommand:
    return PublishCommand(store, tmp_path)


class PublishCommand:
    """publish.py with one archive, in a bucket of its own."""

    def __init__(self, store: Store, directory: Path) -> None:
        self.store, self.directory = store, directory
        self.python = sys.executable
        #: what it publishes with, where that is not this environment's own
        self.tools: Path | None = None
        self.content = gzip.compress(b"archive", mtime=0)
        (directory / "a.tar.gz").write_bytes(self.content)
        description = {"sha256": sha256(self.content), "size": len(self.content), "unpacked_size": 4096}
        (directory / "a.json").write_text(json.dumps(description))
        (directory / "inputs.json").write_text('{"é": 1}', encoding="utf-8")
        (directory / "freeze.txt").write_text("mrjob==0.7.4\n")
        (directory / "seconds").write_text("venv 3\n")
        store.put(self.python_key, self.content)  # the Python of the environment, which was there before

    @property
    def archive_key(self) -> str:
        return f"a b/v1/venv/k/{sha256(self.content)}.tar.gz"

    @property
    def python_key(self) -> str:
        return f"a b/v1/python/pk/{sha256(self.content)}.tar.gz"

    def __call__(self, build_id: str, **values: str) -> subprocess.CompletedProcess[str]:
        arguments = {
            "kind": "venv",
            "key": "k",
            "directory": self.store.uri("a b/v1/venv/k"),
            "python-directory": self.store.uri("a b/v1/python/pk"),
            "archive": str(self.directory / "a.tar.gz"),
            "description": str(self.directory / "a.json"),
            "inputs": str(self.directory / "inputs.json"),
            "python-key": "pk",
            "python-description": str(self.directory / "a.json"),
            "freeze": str(self.directory / "freeze.txt"),
            "contents": str(self.directory / "contents.json"),
            "python-contents": str(self.directory / "python-contents.json"),
            "source-name": "",
            "source-sha256": "",
            "python-version": "3.13.5",
            "build-id": build_id,
            "owner": "me",
            "cluster-id": "",
            "os": "an OS",
            "arch": "x86_64",
            "pybundle-version": "0.1.0",
            "seconds": str(self.directory / "seconds"),
            "rebuild": "no",
            "bucket-owner": "",
            "region": self.store.region,
            **{name.replace("_", "-"): value for name, value in values.items()},
        }
        words = [word for name, value in arguments.items() for word in (f"--{name}", value)]
        environment = {**self.store.environment, **({"PYTHONPATH": str(self.tools)} if self.tools else {})}
        return run(self.python, "publish.py", *words, environment=environment)

    def manifest(self) -> dict[str, object]:
        manifest: dict[str, object] = json.loads(self.store.get("a b/v1/venv/k/manifest.json"))
        return manifest


def test_publishes_archive_and_manifest(publish: PublishCommand) -> None:
    done = publish("b-1")
    assert done.returncode == 0, done.stderr
    assert publish.store.get(publish.archive_key) == publish.content
    manifest = publish.manifest()
    assert manifest["inputs"] == {"é": 1}
    assert manifest["contents"] == {
        "freeze": ["mrjob==0.7.4"],
        "openssl": ssl.OPENSSL_VERSION,
        "python": {"python_version": "3.13.5"},
    }


def test_what_a_build_found_inside_is_in_the_manifest(publish: PublishCommand) -> None:
    inside: dict[str, object] = {"distributions": [{"name": "é"}], "libraries": []}
    for name in ("contents", "python-contents"):
        (publish.directory / f"{name}.json").write_text(json.dumps(inside))
    assert publish("b-1", source_name="Python.tgz", source_sha256="ab").returncode == 0
    contents = publish.manifest()["contents"]
    source = {"name": "Python.tgz", "sha256": "ab"}
    assert contents == {
        **inside,
        "freeze": ["mrjob==0.7.4"],
        "openssl": ssl.OPENSSL_VERSION,
        "python": {**inside, "source": source, "python_version": "3.13.5"},
    }


@pytest.mark.parametrize("of_another", [False, True])
def test_what_is_inside_of_a_cached_python_its_own_manifest_says(publish: PublishCommand, of_another: bool) -> None:
    """So that a bundle's manifest has it all, whatever becomes of the Python's; unless that is another's by now."""
    published: dict[str, dict[str, object]] = {
        "archive": {"sha256": "ab" if of_another else sha256(publish.content)},
        "contents": {"python_version": "3.13.5", "libraries": []},
        "source": {"name": "Python.tgz", "sha256": "cd"},
    }
    publish.store.put("a b/v1/python/pk/manifest.json", json.dumps(published).encode())
    done = publish("b-1")
    assert done.returncode == 0, done.stderr
    contents = publish.manifest()["contents"]
    assert isinstance(contents, dict)
    if of_another:
        assert contents["python"] == {"python_version": "3.13.5"}
        assert "what is inside of the Python is not known: it is of another archive by now" in done.stdout
    else:
        assert contents["python"] == {**published["contents"], "source": published["source"]}


@pytest.mark.whole
@pytest.mark.parametrize("version", ["2.7", "3.7", "3.9"])
def test_older_pythons_publish_with_what_pip_installs(version: str, publish: PublishCommand) -> None:
    """botocore as build-binaries.sh has pip install it there: of pinned versions, by their digests."""
    if version not in PYTHONS:
        pytest.skip(f"no Python {version} here")
    publish.python, publish.tools = PYTHONS[version], publish.directory / "tools"
    requirements = MASTER.parent / "publishing" / ("python-2.7.txt" if version == "2.7" else "python-3.txt")
    pip: list[str | Path] = [publish.python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-input"]
    pinned: list[str | Path] = [
        "--only-binary",
        ":all:",
        "--require-hashes",
        "--no-deps",
        "-r",
        requirements,
        "--target",
        publish.tools,
    ]
    subprocess.run([*pip, *pinned], check=True)
    done = publish("b-1")
    assert done.returncode == 0, done.stderr
    assert publish.store.get(publish.archive_key) == publish.content
    assert publish.manifest()["build"]["id"] == "b-1"  # type: ignore[index]


def test_an_archive_in_parts(publish: PublishCommand) -> None:
    """As any is that is larger than S3 takes in one piece (5 GiB), and some that are not."""
    content = os.urandom(1 << 20) * 65
    (publish.directory / "a.tar.gz").write_bytes(content)
    description = {"sha256": sha256(content), "size": len(content), "unpacked_size": 4096}
    (publish.directory / "a.json").write_text(json.dumps(description))
    assert "published s3://" in publish("b-1").stdout
    key = f"a b/v1/venv/k/{sha256(content)}.tar.gz"
    assert publish.store.client.head_object(Bucket=publish.store.bucket, Key=key)["ETag"].endswith('-2"')
    assert publish.store.get(key) == content
    again = publish("b-2")
    assert again.returncode == 0, again.stderr
    assert "the same archive is there already" in again.stdout
    publish.store.put(key, content[:-1] + b"?")
    assert "replacing a damaged archive" in publish("b-3").stdout
    assert publish.store.get(key) == content


def test_publishes_in_a_bucket_from_before_2018(store: Store, tmp_path: Path) -> None:
    old = replace(store, bucket="Old_Publisher.2017")
    old.client.create_bucket(Bucket=old.bucket)
    publish = PublishCommand(old, tmp_path)
    done = publish("b-1")
    assert done.returncode == 0, done.stderr
    assert old.get(publish.archive_key) == publish.content


def test_the_first_manifest_stays(publish: PublishCommand) -> None:
    assert publish("b-1").returncode == 0
    first = publish.store.client.head_object(Bucket=publish.store.bucket, Key=publish.archive_key)
    done = publish("b-2")
    assert done.returncode == 0, done.stderr
    assert "build b-1 of me has published this key first; that one stays" in done.stdout
    assert publish.manifest()["build"]["id"] == "b-1"  # type: ignore[index]
    again = publish.store.client.head_object(Bucket=publish.store.bucket, Key=publish.archive_key)
    assert again["LastModified"] == first["LastModified"]


@pytest.mark.parametrize("lost", ["archive_key", "python_key"])
@pytest.mark.parametrize("how", ["missing", "too short"])
def test_a_manifest_whose_archive_is_lost_is_replaced(publish: PublishCommand, lost: str, how: str) -> None:
    """Readers take such a bundle for missing, and have it built; another time its archive has other bytes."""
    assert publish("b-1").returncode == 0
    key = getattr(publish, lost)
    publish.store.client.delete_object(Bucket=publish.store.bucket, Key=key)
    if how == "too short":
        publish.store.put(key, publish.content[:-1])
    (publish.directory / "a.tar.gz").write_bytes(b"rebuilt")
    rebuilt = {"sha256": sha256(b"rebuilt"), "size": len(b"rebuilt"), "unpacked_size": 4096}
    (publish.directory / "a.json").write_text(json.dumps(rebuilt))
    done = publish("b-2")
    assert done.returncode == 0, done.stderr
    assert "replacing the manifest of build b-1, an archive of which is lost" in done.stdout
    assert publish.manifest()["archive"] == rebuilt


def test_its_own_manifest_is_no_stranger(publish: PublishCommand) -> None:
    """As when S3's answer to a PUT got lost, and the PUT was sent again."""
    assert publish("b-1").returncode == 0
    done = publish("b-1")
    assert done.returncode == 0, done.stderr
    assert "published s3://" in done.stdout
    assert "first" not in done.stdout


def test_a_rebuild_replaces_the_manifest(publish: PublishCommand) -> None:
    assert publish("b-1").returncode == 0
    assert publish("b-2", rebuild="yes").returncode == 0
    assert publish.manifest()["build"]["id"] == "b-2"  # type: ignore[index]


def test_a_damaged_archive_is_replaced(publish: PublishCommand) -> None:
    publish.store.put(publish.archive_key, publish.content[:-1] + b"?")
    done = publish("b-1")
    assert done.returncode == 0, done.stderr
    assert "replacing a damaged archive" in done.stdout
    assert publish.store.get(publish.archive_key) == publish.content


def test_a_missing_bucket_is_one_line(publish: PublishCommand) -> None:
    done = publish("b-1", directory="s3://bucket-that-nobody-made/x")
    assert done.returncode == 1
    assert done.stderr.startswith("s3://bucket-that-nobody-made/x: ")
    assert done.stderr.count("\n") == 1


@every_python
@pytest.mark.parametrize(("library", "may_be"), [("libm.so.6", True), ("libz.so.1", False)])
def test_libraries_outside_the_bundle_are_known_by_their_soname(
    python: str, tmp_path: Path, library: str, may_be: bool
) -> None:
    """Not by their file's name: up to glibc 2.33, libm.so.6 is a link to libm-2.33.so."""
    listing = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    path = next(line.split()[-1] for line in listing.splitlines() if line.split()[:1] == [library])
    shutil.copyfile(path, tmp_path / "other-name.so")
    program = "import sys; from check_modules import may_be_the_machines; print(may_be_the_machines(sys.argv[1]))"
    said = subprocess.run(
        [python, "-B", "-c", program, tmp_path / "other-name.so"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(MASTER)},
    )
    assert said.stdout.strip() == str(may_be), said.stderr


@every_python
@pytest.mark.parametrize(
    ("directory", "may_be"),
    [("ossl-modules", True), ("engines-1.1", True), ("engines", True), ("engines-of-ours/x", False), ("lib", False)],
)
def test_what_openssl_is_configured_to_load_is_the_machines(
    python: str, tmp_path: Path, directory: str, may_be: bool
) -> None:
    """A provider, or an engine. On nodes, their own configuration decides."""
    listing = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    path = next(line.split()[-1] for line in listing.splitlines() if line.split()[:1] == ["libz.so.1"])
    (tmp_path / directory).mkdir(parents=True)
    shutil.copyfile(path, tmp_path / directory / "legacy.so")
    program = "import sys; from check_modules import may_be_the_machines; print(may_be_the_machines(sys.argv[1]))"
    said = subprocess.run(
        [python, "-B", "-c", program, tmp_path / directory / "legacy.so"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(MASTER)},
    )
    assert said.stdout.strip() == str(may_be), said.stderr


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """What a submitter has packed, unpacked as on a master, and beside it the inputs of its key."""
    script, library = tmp_path / "venv-build.sh", tmp_path / "library"
    script.write_text("pip install x\n")
    (library / "deep").mkdir(parents=True)
    (library / "é ☃.txt").write_text("data")
    (library / "deep" / os.fsdecode(b"\xff")).write_text("a name that is no UTF-8")
    (library / "tool").write_text("#!/bin/sh\n")
    (library / "tool").chmod(0o755)
    inputs = read_inputs(find_source("3.13.5", None, None), script, (library,))
    venv_inputs = inputs.spec(PythonSpec("3.13.5", None, (), True, "x86_64", "amzn2023")).inputs()
    (tmp_path / "inputs.json").write_text(canonical_json(venv_inputs))
    with (tmp_path / "inputs.tar.gz").open("w+b") as packed:
        pack_inputs(inputs, packed)
    (tmp_path / "given").mkdir()
    subprocess.run(["tar", "-xzf", tmp_path / "inputs.tar.gz", "-C", tmp_path / "given"], check=True)
    return tmp_path / "given"


def check_inputs(python: str, given: Path) -> subprocess.CompletedProcess[str]:
    return run(python, "check_inputs.py", "--given", given, "--inputs", given.parent / "inputs.json")


@every_python
def test_inputs_are_those_of_the_key(python: str, given: Path) -> None:
    done = check_inputs(python, given)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def _without_a_module(given: Path) -> None:
    (wheel,) = given.glob("mrjob-*.whl")
    content = io.BytesIO()
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(content, "w") as new:
        for name in old.namelist():
            if name != "mrjob/job.py":
                new.writestr(name, old.read(name))
    wheel.write_bytes(content.getvalue())


@every_python
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda given: (given / "venv-build.sh").write_text("x"), "venv-build.sh is not the one of the key"),
        (lambda given: (given / "venv-build.sh").unlink(), "venv-build.sh is not the one of the key"),
        (
            lambda given: (given / "files/library/tool").chmod(0o644),
            'build file "library/tool" is not the one of the key',
        ),
        (
            lambda given: (given / "files/library/é ☃.txt").unlink(),
            'build file "library/\\u00e9 \\u2603.txt" is not the one of the key',
        ),
        (lambda given: (given / "files/more").write_text("x"), 'build file "more" is not the one of the key'),
        (_without_a_module, "mrjob is not the one of the key"),
        (lambda given: next(given.glob("mrjob-*.whl")).unlink(), "mrjob is not the one of the key"),
        (
            lambda given: (given / "mrjob_pybundle_hook.py").write_text("HOOK_VERSION = 0\n"),
            "the import hook is not the one of the key",
        ),
    ],
    ids=["edited", "no script", "mode", "missing", "more", "a module", "no mrjob", "hook"],
)
def test_other_inputs_than_those_of_the_key(
    python: str, change: Callable[[Path], object], said: str, given: Path
) -> None:
    change(given)
    done = check_inputs(python, given)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{said}\n")


@every_python
def test_work_to_be_profiled(python: str, tmp_path: Path) -> None:
    """It does what a profile is to have, in a language that each Python speaks. (A build goes on without it.)"""
    for number in range(3):
        (tmp_path / f"module{number}.py").write_text('def word(x):\n    return x * 2  # "é"\n', encoding="utf-8")
    done = run(python, "profile_tasks.py", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("python", [path for version, path in PYTHONS.items() if version != "2.7"])
def test_tasks_whose_mrjob_is_in_a_zip_file(python: str, tmp_path: Path) -> None:
    """As ``bootstrap_mrjob`` brings it. Before 3.10, Python's own importer of zip files knows half of the protocol."""
    beside, package = tmp_path / "site", Path(mrjob.__file__).parent
    beside.mkdir()
    shutil.copy(REPOSITORY / "mrjob_pybundle_hook.py", beside)
    for name in ("imports", "tasks"):
        shutil.copy(REPOSITORY / "mrjob_pybundle" / "nodes" / f"mrjob_pybundle_{name}.py", beside)
    archive = shutil.make_archive(str(tmp_path / "mrjob"), "zip", package.parent, package.name)
    code = "import mrjob_pybundle_hook, mrjob.job as m; print(m.MRJob.run_mapper.__globals__['__name__'], m.__file__)"
    done = subprocess.run(
        [python, "-B", "-c", code],
        env={**os.environ, "PYTHONPATH": f"{beside}:{archive}"},
        cwd=tmp_path,  # which is the first place where modules are looked for
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    assert done.stdout == f"mrjob_pybundle_tasks {archive}/mrjob/job.py\n"
