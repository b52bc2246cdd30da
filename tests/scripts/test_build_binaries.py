"""build-binaries.sh makes environments on a real CPython, and the bundle works in another place.

``tests/line/test_compile.py`` sees it compile that CPython.
"""

from __future__ import annotations

import io
import json
import os
import shlex
import signal
import subprocess
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from mrjob_pybundle.bundle.inputs import read_inputs
from mrjob_pybundle.bundle.sources import find_source
from mrjob_pybundle.bundle.spec import PythonSpec, canonical_json
from mrjob_pybundle.master.inputs import pack
from mrjob_pybundle.templates import Value, render
from tests.compiled import CPYTHON as VERSION
from tests.compiled import compiled_python
from tests.unpacking import unpack

from .conftest import REPOSITORY, Machine, Store, make_machine, make_store, sha256, wait_for_line

pytestmark = pytest.mark.whole
MASTER = REPOSITORY / "mrjob_pybundle" / "master" / "programs"
MACHINE = os.uname().machine
PYTHON = PythonSpec(VERSION, None, ("é",), False, MACHINE, "ami-0123")
STAGES = [
    *("prepare", "packages", "fetch-python"),
    *("inputs", "venv", "venv-build", "finish-venv", "venv-archive", "publish"),
]

# Installs from what lies beside it, a console script and a C extension among them: needs no package index.
VENV_BUILD = """\
set -eu
test "$VIRTUAL_ENV" = "$(dirname "$(dirname "$(command -v python)")")"
test -z "$(cat)"
cat "data/it's.txt"
echo "$PWD holds $(echo *)"
python -c 'import sys; assert sys.prefix != sys.base_prefix'
site=$(python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
cp -r package/shout "$site/"
suffix=$(python -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')
test -d "$TMPDIR" && test "${TMPDIR%/*/tmp}" = /mnt/pybundle-build
# What asks instance metadata for credentials while this compiles may have to wait for an answer.
test "$AWS_METADATA_SERVICE_TIMEOUT" -gt 1 && test "$AWS_METADATA_SERVICE_NUM_ATTEMPTS" -gt 1
# A library that no node has, though wheels may expect it of all (PEP 600), and a module that looks for it only where it
# was when it was built.
# Python.h is found without a word of where it is.
mkdir -p "$PWD/lib"
gcc -shared -fPIC -Wl,-soname,libGL.so.1 -o lib/libGL.so.1 answer.c
gcc -shared -fPIC -o "$site/answer$suffix" answermodule.c lib/libGL.so.1 \\
    -Wl,--enable-new-dtags "-Wl,-rpath,$PWD/lib"
cat >"$VIRTUAL_ENV/bin/shout" <<END
#!$VIRTUAL_ENV/bin/python
import sys
from shout import shout
print(shout(sys.argv[1]))
END
chmod +x "$VIRTUAL_ENV/bin/shout"
"""
BUILD_FILES = {
    "data/it's.txt": "a build file\n",
    "package/shout/__init__.py": "def shout(text):\n    return text.upper()\n",
    "answer.c": 'int atoi(const char *); int answer(void) { return atoi("42"); }\n',
    "answermodule.c": """
#include <Python.h>
int answer(void);
static PyObject *get(PyObject *self, PyObject *unused) { return PyLong_FromLong(answer()); }
static PyMethodDef methods[] = {{"get", get, METH_NOARGS, ""}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "answer", "", -1, methods};
PyMODINIT_FUNC PyInit_answer(void) { return PyModule_Create(&module); }
""",
}


@dataclass(frozen=True)
class Outcome:
    """What a build left behind."""

    store: Store
    machine: Machine
    build_id: str
    #: of the venv that it was to build
    key: str
    exit_status: int

    def get(self, name: str) -> bytes:
        return self.store.get(f"team/v1/builds/{self.build_id}/{name}")

    @property
    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(self.get("status.json"))
        return status

    @property
    def log(self) -> str:
        return self.get("log.txt").decode()

    def stages(self) -> list[str]:
        return [line.removeprefix("==> ") for line in self.log.splitlines() if line.startswith("==> ")]

    def manifest(self, kind: str, key: str) -> dict[str, Any]:
        manifest: dict[str, Any] = json.loads(self.store.get(f"team/v1/{kind}/{key}/manifest.json"))
        return manifest

    def archive(self, kind: str, key: str) -> bytes:
        return self.store.get(f"team/v1/{kind}/{key}/{self.manifest(kind, key)['archive']['sha256']}.tar.gz")

    def assert_failed(self, stage: str, message: str, exit_status: int) -> None:
        status = self.status
        assert self.exit_status == 1
        assert (status["state"], status["stage"], status["message"]) == ("FAILED", stage, message), self.log
        assert status["exit_status"] == exit_status
        assert message in "".join(self.log.splitlines(keepends=True)[-3:])
        assert status["log_size"] == len(self.get("log.txt"))
        assert list((self.machine.mnt / "pybundle-build").iterdir()) == []


@dataclass(frozen=True)
class Given:
    """What a build is given: ``inputs.tar.gz``, and the JSON that its venv key is the digest of."""

    packed: bytes
    venv_inputs: str

    @property
    def key(self) -> str:
        return sha256(self.venv_inputs.encode())


@dataclass(frozen=True)
class Builder:
    """Runs builds on one machine, against one S3."""

    store: Store
    machine: Machine

    @property
    def environment(self) -> dict[str, str]:
        """Without this machine's own settings of pip."""
        return {name: value for name, value in self.store.environment.items() if not name.startswith("PIP_")}

    def given(
        self, build_id: str, venv_build: str | None = None, files: Mapping[str, str | bytes] | None = None
    ) -> Given:
        """What a submitter packs, and the key that it has; each *build_id*'s is a key of its own."""
        directory = self.machine.directory / "submitters" / build_id
        directory.mkdir(parents=True, exist_ok=True)
        script = directory / "venv-build.sh"
        if venv_build is not None:
            script.write_text(venv_build)
        for name, content in (files or {}).items():
            path = directory / "files" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        build_files = tuple((directory / "files").iterdir()) if files else ()
        inputs = read_inputs(find_source(VERSION, None, None), script if venv_build is not None else None, build_files)
        venv_inputs = {**inputs.spec(PYTHON).inputs(), "recipe": build_id}
        packed = io.BytesIO()
        pack(inputs, packed)
        return Given(packed.getvalue(), canonical_json(venv_inputs))

    def prepare(self, build_id: str, given: Given, values: Mapping[str, Value]) -> Sequence[str]:
        """Put the inputs where the script finds them, and return the command that runs it."""
        base = f"team/v1/builds/{build_id}"
        self.store.put(f"{base}/inputs.tar.gz", given.packed)
        keys = {name: values.get(name, key) for name, key in (("PYTHON_KEY", PYTHON.key), ("VENV_KEY", given.key))}
        all_values: dict[str, Value] = {
            "BUILD_ID": build_id,
            "OWNER": 'O\'Hara "Scarlett" $(id)\\',
            "PYBUNDLE_VERSION": "0.1.0",
            "BUILD_URI": self.store.uri(base),
            "CACHE_REGION": self.store.region,
            "INPUTS_SHA256": sha256(given.packed),
            "PYTHON_DIRECTORY": self.store.uri(f"team/v1/python/{keys['PYTHON_KEY']}"),
            "VENV_DIRECTORY": self.store.uri(f"team/v1/venv/{keys['VENV_KEY']}"),
            "CLAIM_URI": self.store.uri(f"team/v1/claims/{keys['VENV_KEY']}.json"),
            **keys,
            "PYTHON_VERSION": VERSION,
            "SOURCE_URI": "",
            "SOURCE_SHA256": "",
            "CONFIGURE_ARGS": [],
            "OPTIMIZE": "no",
            "OS_FAMILY": "ami-0123",
            "OLDEST_GLIBC": "",
            "ARCH": MACHINE,
            "PYTHON_ARCHIVE_URI": "",
            "PYTHON_ARCHIVE_SHA256": "",
            "PYTHON_ARCHIVE_SIZE": "",
            "TIMEOUT_MINUTES": "60",
            "PYTHON_INPUTS": canonical_json(PYTHON.inputs()),
            "VENV_INPUTS": given.venv_inputs,
            "REBUILD": "no",
            "BUCKET_OWNER": "",
        }
        script = self.machine.directory / f"{build_id}.sh"
        script.write_text(render("master/build-binaries.sh.tmpl", {**all_values, **values}), encoding="utf-8")
        return ["nice", "bash", str(script)]

    def run(
        self,
        build_id: str,
        values: Mapping[str, Value],
        venv_build: str | None = None,
        files: Mapping[str, str | bytes] | None = None,
        given: Given | None = None,
    ) -> Outcome:
        """Run a build of *venv_build* and *files*, or of what is *given*."""
        given = given or self.given(build_id, venv_build, files)
        # A build needs no package index, unless its venv-build.sh does.
        environment = {**self.environment, "PIP_NO_INDEX": "1"}
        done = self.machine.run(self.prepare(build_id, given, values), environment)
        return Outcome(self.store, self.machine, build_id, given.key, done.returncode)


def tar_gz(members: Mapping[str, bytes], mode: int = 0o644) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture(scope="session")
def builder(s3_server: str, aws: Path, tmp_path_factory: pytest.TempPathFactory) -> Builder:
    return Builder(make_store(s3_server, aws), make_machine(tmp_path_factory.mktemp("master") / "machine"))


@pytest.fixture(scope="session")
def cached_python(builder: Builder) -> dict[str, Value]:
    """The values by which a build takes the Python that has been compiled."""
    python = compiled_python()
    place = f"team/v1/python/{PYTHON.key}"
    for name, content in python.files.items():
        builder.store.put(f"{place}/{name}", content)
    archive = python.manifest["archive"]
    return {
        "PYTHON_ARCHIVE_URI": builder.store.uri(f"{place}/{archive['sha256']}.tar.gz"),
        "PYTHON_ARCHIVE_SHA256": archive["sha256"],
        "PYTHON_ARCHIVE_SIZE": str(archive["size"]),
    }


@pytest.fixture(scope="session")
def built(builder: Builder, cached_python: dict[str, Value]) -> Outcome:
    """A build of all that a bundle can have."""
    outcome = builder.run("has-all", {**cached_python, "OLDEST_GLIBC": "2.1"}, VENV_BUILD, BUILD_FILES)
    assert outcome.exit_status == 0, outcome.log[-5000:]
    return outcome


@pytest.fixture(scope="session")
def bundle(built: Outcome, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle, unpacked where it was not built, while the place where it was is gone."""
    root = tmp_path_factory.mktemp("node") / "a b"
    root.mkdir()
    unpack_bundle(built, root)
    assert list((built.machine.mnt / "pybundle-build").iterdir()) == []
    return root


def unpack_bundle(outcome: Outcome, root: Path) -> None:
    for kind, key in (("python", PYTHON.key), ("venv", outcome.key)):
        with tarfile.open(fileobj=io.BytesIO(outcome.archive(kind, key))) as tar:
            unpack(tar, root)


def python(bundle: Path, program: str) -> str:
    """What the bundle's Python prints, with nothing in its environment to help it."""
    command = ["env", "-i", str(bundle / "venv" / "bin" / "python"), "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_reports_every_stage(built: Outcome) -> None:
    assert built.stages() == STAGES
    status = built.status
    assert (status["state"], status["stage"]) == ("SUCCEEDED", "publish")
    assert list(status["stages"]) == STAGES
    assert status["log_size"] == len(built.get("log.txt"))
    assert status["started"] <= status["stage_started"]
    assert "a build file" in built.log


def test_venv_manifest_names_its_python(built: Outcome) -> None:
    manifest = built.manifest("venv", built.key)
    python_archive = built.manifest("python", PYTHON.key)["archive"]
    assert manifest["python"] == {"key": PYTHON.key, **python_archive}
    assert manifest["archive"]["sha256"] == sha256(built.archive("venv", built.key))
    # Nothing that venv-build.sh does not ask for, but mrjob and what every environment begins with.
    installed = {requirement.split("==")[0] for requirement in manifest["contents"]["freeze"]}
    assert installed == {"mrjob", "pip"}
    assert "source" not in manifest
    assert sha256(canonical_json(manifest["inputs"]).encode()) == built.key
    assert manifest["build"]["id"] == "has-all"
    assert manifest["build"]["owner"] == 'O\'Hara "Scarlett" $(id)\\'


def test_what_is_inside_is_in_manifests(built: Outcome) -> None:
    """Distributions with their sources, and what was copied from the machine, with packages: of both archives."""
    of_python, contents = (
        built.manifest(kind, key)["contents"] for kind, key in (("python", PYTHON.key), ("venv", built.key))
    )
    assert {one["name"]: one["source"]["kind"] for one in contents["distributions"]} == {
        "mrjob": "submitter",
        "pip": "cpython",
    }
    assert [(one["name"], one["package"]) for one in contents["libraries"]] == [("libGL.so.1", None)]
    packages = {one["name"]: (one["package"] or {}).get("source") for one in of_python["libraries"]}
    assert {"libssl.so.3": "openssl", "libcrypto.so.3": "openssl"}.items() <= packages.items()
    assert None not in packages.values(), "what CPython needs is the operating system's"
    # The Python was cached before this build began.
    assert contents["python"] == {**of_python, "source": built.manifest("python", PYTHON.key)["source"]}


def test_what_it_needs_of_nodes_is_in_manifests(built: Outcome) -> None:
    """Whoever waits reads of what the oldest nodes lack: here, anything that is younger than glibc 2.1."""
    python_needs, venv_needs = (
        built.manifest(kind, key)["archive"]["needs"] for kind, key in (("python", PYTHON.key), ("venv", built.key))
    )
    assert set(venv_needs) < set(python_needs)
    assert {need.split(":")[0] for need in python_needs} <= {
        *("libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "libutil.so.1", "librt.so.1"),
        *(need.split(":")[0] for need in python_needs if need.startswith(("ld-linux", "libgcc_s.", "libstdc++."))),
    }
    (note,) = built.status["notes"]
    assert note == f"the venv archive needs {' '.join(venv_needs)}: nodes of older releases may have only glibc 2.1"


@pytest.mark.parametrize(("kind", "top"), [("python", "py"), ("venv", "venv")])
def test_archives_hold_nothing_to_be_afraid_of(built: Outcome, kind: str, top: str) -> None:
    key = PYTHON.key if kind == "python" else built.key
    with tarfile.open(fileobj=io.BytesIO(built.archive(kind, key))) as tar:
        members = tar.getmembers()
    for member in members:
        assert member.name == top or member.name.startswith(f"{top}/")
        assert ".." not in member.name.split("/")
        assert member.isreg() or member.isdir() or member.issym()
        assert member.mode & ~0o777 == 0
        assert member.mode & 0o444 == 0o444
        assert (member.uid, member.gid) == (0, 0)
        if member.issym():
            end = os.path.normpath(os.path.join(os.path.dirname(member.name), member.linkname))  # noqa: PTH118, PTH120
            assert not member.linkname.startswith("/")
            assert not end.startswith("..")


def test_leaves_out_what_jobs_do_not_need(bundle: Path) -> None:
    assert list(bundle.rglob("*.a")) == []
    assert not (bundle / "py" / "lib" / "python3.13" / "test").exists()
    assert not list((bundle / "venv").rglob("[Aa]ctivate*"))


def test_holds_no_trace_of_where_it_was_built(bundle: Path) -> None:
    strangers = [
        path.relative_to(bundle)
        for path in bundle.rglob("*")
        # The module of the test was linked with a path of its own, on purpose.
        if path.is_file() and b"pybundle-build" in path.read_bytes() and "answer" not in path.name
    ]
    assert strangers == []


def test_every_extension_module_loads_from_the_bundle_alone(bundle: Path) -> None:
    """With all C modules of the standard library and of the venv loaded, no library is this machine's."""
    program = """
import glob, importlib, os, sys
root = os.path.dirname(sys.prefix)
for path in glob.glob(sys.base_prefix + '/lib/python3.*/lib-dynload/*.so'):
    importlib.import_module(os.path.basename(path).split('.')[0])
import answer, mrjob_pybundle_hook, shout
for line in open('/proc/self/maps'):
    path = line.split(None, 5)[5:]
    if path and '.so' in path[0] and not path[0].startswith(root + '/'):
        print(os.path.basename(path[0].strip()))
"""
    allowed = (
        "libc.",
        "libm.",
        "libdl.",
        "libpthread.",
        "librt.",
        "libutil.",
        "libgcc_s.",
        "libstdc++.",
        "ld-",
    )
    outside = set(python(bundle, program).split())
    assert {name for name in outside if not name.startswith(allowed)} == set()


def test_a_module_finds_the_library_that_came_along(bundle: Path) -> None:
    assert python(bundle, "import answer; print(answer.get())") == "42\n"


def test_the_log_says_which_libraries_came_along_and_which_did_not(built: Outcome) -> None:
    lines = built.log.splitlines()
    assert "copied: /mnt/pybundle-build/has-all/inputs/files/lib/libGL.so.1, for answer" in built.log
    assert "left to the node: libc.so.6" in lines


def test_knows_where_it_is(bundle: Path) -> None:
    program = "import sys; print(sys.prefix, sys.base_prefix, sys.version.split()[0], sep='|')"
    assert python(bundle, program) == f"{bundle}/venv|{bundle}/py|{VERSION}\n"


def test_console_scripts_work(bundle: Path, tmp_path: Path) -> None:
    link = tmp_path / "by-a-link"
    link.symlink_to(bundle / "venv" / "bin" / "shout")
    for script in (bundle / "venv" / "bin" / "shout", link):
        output = subprocess.check_output(["env", "-i", "PATH=/usr/bin:/bin", script, "a b"], text=True)
        assert output == "A B\n"
    pip = subprocess.check_output([bundle / "venv" / "bin" / "pip", "--version"], text=True)
    assert str(bundle / "venv") in pip


def test_modules_are_compiled_and_stay_so(bundle: Path) -> None:
    """Unchecked .pyc files for all modules: a task reads no source, whatever the files' times."""
    program = """
import glob, importlib.util, sys
missing = []
for top in (sys.base_prefix, sys.prefix):
    for path in glob.glob(top + '/lib/python3.*/**/*.py', recursive=True):
        try:
            with open(importlib.util.cache_from_source(path), 'rb') as file:
                if file.read(8)[4:] != b'\\1\\0\\0\\0':
                    missing.append(path)
        except FileNotFoundError:
            missing.append(path)
print(missing)
"""
    assert python(bundle, program) == "[]\n"


#: An environment like any other, on a machine whose C library is too old for the newest wheel. At last, pip goes.
ORDINARY = """\
set -eu
site=$(python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
echo 'def manylinux_compatible(major, minor, arch): return (major, minor) <= (2, 26)' >"$site/_manylinux.py"
pip install picky
rm "$site/_manylinux.py"
python -m venv --without-pip other
other/bin/python -c 'import json, sys; assert sys.prefix.endswith("/other")'
say
cd "$VIRTUAL_ENV/bin"
cat >not-python <<'END'
#!/bin/sh
echo "not Python runs $*"
END
echo "#!$PWD/not-python -e" >foreign-1
echo '#!/usr/bin/env not-python' >foreign-2
cat >foreign-3 <<END
#!/bin/sh
exec "$PWD/not-python" -e "\\$0"
END
chmod +x not-python foreign-*
foreign-1 && foreign-2 && foreign-3
pip uninstall -q -y pip
"""

SAYS = '''\
#!python
# -*- coding: latin-1 -*-
"""Its own."""
from __future__ import annotations
import sys
print("\xe9", __doc__, *sys.argv[1:])
'''


def wheel(version: str, tag: str) -> bytes:
    """Of a package with a module and a script."""
    info = f"picky-{version}.dist-info"
    members = {
        "picky.py": f"VERSION = '{version}'\n".encode(),
        f"picky-{version}.data/scripts/say": SAYS.encode("latin-1"),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: picky\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n".encode(),
        f"{info}/RECORD": b"",
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in members.items():
            member = zipfile.ZipInfo(name)
            member.external_attr = 0o100755 << 16
            file.writestr(member, content)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def ordinary(builder: Builder, cached_python: dict[str, Value]) -> Outcome:
    """A build that knows of its packages by a pip.conf alone."""
    platforms = {"1.0": f"cp313-cp313-manylinux_2_17_{MACHINE}", "2.0": f"cp313-cp313-manylinux_2_28_{MACHINE}"}
    metadata = b"Metadata-Version: 2.1\nName: picky\nVersion: 2.0\n"
    files: dict[str, str | bytes] = {
        "pip.conf": "[global]\nfind-links = index\n",
        **{f"index/picky-{version}-{tag}.whl": wheel(version, tag) for version, tag in platforms.items()},
        # Here, there is nothing to make a package from it with; on Amazon Linux 2, no compiler that is new enough.
        "index/picky-2.0.tar.gz": tar_gz({"picky-2.0/PKG-INFO": metadata, "picky-2.0/setup.py": b""}),
    }
    outcome = builder.run("ordinary", cached_python, ORDINARY, files)
    assert outcome.exit_status == 0, outcome.log[-5000:]
    return outcome


@pytest.fixture(scope="session")
def settled(ordinary: Outcome, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its bundle on a node, which has told it where it is."""
    root = tmp_path_factory.mktemp("settled")
    unpack_bundle(ordinary, root)
    subprocess.run(["sh", REPOSITORY / "mrjob_pybundle" / "nodes" / "settle.sh", root, root], check=True)
    return root


def test_a_wheel_is_taken_rather_than_a_newer_source(ordinary: Outcome) -> None:
    assert "picky==1.0" in ordinary.manifest("venv", ordinary.key)["contents"]["freeze"]


def test_what_was_installed_is_known_where_pip_is_gone(ordinary: Outcome, settled: Path) -> None:
    freeze = ordinary.manifest("venv", ordinary.key)["contents"]["freeze"]
    assert {requirement.split("==")[0] for requirement in freeze} == {"mrjob", "picky"}
    assert python(settled, "import mrjob, picky; print(picky.VERSION)") == "1.0\n"
    assert not (settled / "venv" / "bin" / "pip").exists()


def test_a_script_is_as_pip_wrote_it(ordinary: Outcome, settled: Path) -> None:
    """In the build, and on a node: its encoding, its docstring, its future."""
    assert "é Its own.\n" in ordinary.log
    script = settled / "venv" / "bin" / "say"
    as_written = SAYS.replace("#!python", f"#!{settled}/venv/bin/python")
    assert script.read_bytes().decode("latin-1") in (as_written, as_written.replace("/python\n", "/python3\n", 1))
    environment = {"PATH": "/usr/bin:/bin", "PYTHONIOENCODING": "utf-8"}
    assert subprocess.check_output([script, "a b"], env=environment, encoding="utf-8") == "é Its own. a b\n"


@pytest.mark.parametrize(("script", "argument"), [("foreign-1", "-e "), ("foreign-2", ""), ("foreign-3", "-e ")])
def test_a_script_of_another_interpreter(ordinary: Outcome, settled: Path, script: str, argument: str) -> None:
    """Which is the environment's own. In the build, and on a node."""
    assert f"not Python runs {argument}/mnt/pybundle-build/ordinary/root/venv/bin/{script}\n" in ordinary.log
    path = settled / "venv" / "bin" / script
    output = subprocess.check_output([path], env={"PATH": f"{path.parent}:/usr/bin:/bin"}, text=True)
    assert output == f"not Python runs {argument}{path}\n"


def test_a_node_is_no_worse_than_the_build(settled: Path, tmp_path: Path) -> None:
    """What other programs, and Python itself, want to know of an environment."""
    program = """
import os, sys, sysconfig
print(sys.prefix, sys.base_prefix, sys._base_executable)
missing = [path for path in sysconfig.get_paths().values() if not os.path.isdir(path)]
print([path for path in missing if not path.startswith(sys.prefix)], os.path.exists(sysconfig.get_config_h_filename()))
print(*(os.path.relpath(sysconfig.get_config_var(name), sys.base_prefix) for name in ("INCLUDEPY", "LIBDIR", "LIBPL")))
print([name for name, value in sysconfig.get_config_vars().items() if "/nonexistent" in str(value)])
"""
    py, venv = settled / "py", settled / "venv"
    assert python(settled, program).splitlines() == [
        f"{venv} {py} {py}/bin/python3.13",
        "[] True",
        "include/python3.13 lib lib/python3.13/config-3.13-x86_64-linux-gnu",
        "[]",
    ]

    other = tmp_path / "other"
    subprocess.run([venv / "bin" / "python", "-m", "venv", other], check=True)
    show = "import pip, ssl, sys; print(sys.prefix, sys.base_prefix, pip.__file__.startswith(sys.prefix))"
    assert subprocess.check_output([other / "bin" / "python", "-c", show], text=True) == f"{other} {py} True\n"

    spawning = tmp_path / "spawning.py"
    spawning.write_text(
        "import multiprocessing, picky, sys\n"
        "def where(_): return sys.prefix, picky.VERSION\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool: print(*pool.map(where, [0])[0])\n"
    )
    command = ["env", "-i", str(venv / "bin" / "python"), str(spawning)]
    assert subprocess.check_output(command, text=True) == f"{venv} 1.0\n"


@pytest.fixture(scope="session")
def second(builder: Builder, cached_python: dict[str, Value]) -> Outcome:
    """A build of another venv on the same Python."""
    return builder.run("second", cached_python, "cp -r package/shout $VIRTUAL_ENV/\n", BUILD_FILES)


def test_another_venv_does_not_compile_again(built: Outcome, second: Outcome) -> None:
    assert second.exit_status == 0, second.log
    assert second.stages() == STAGES
    assert len(built.store.keys("team/v1/python/")) == 2
    manifest = second.manifest("venv", second.key)
    assert manifest["python"] == {"key": PYTHON.key, **built.manifest("python", PYTHON.key)["archive"]}


def test_a_rebuild_gives_the_same_bytes_and_replaces_the_manifest(
    builder: Builder, cached_python: dict[str, Value], second: Outcome
) -> None:
    before = second.manifest("venv", second.key)
    given = builder.given("second", "cp -r package/shout $VIRTUAL_ENV/\n", BUILD_FILES)
    again = builder.run("third", {**cached_python, "REBUILD": "yes"}, given=given)
    assert again.exit_status == 0, again.log
    after = again.manifest("venv", second.key)
    assert after["archive"] == before["archive"]
    assert (before["build"]["id"], after["build"]["id"]) == ("second", "third")
    assert "the same archive is there already" in again.log


def test_what_somebody_else_published_first_stays(builder: Builder, cached_python: dict[str, Value]) -> None:
    archive = {"sha256": sha256(b"theirs"), "size": len(b"theirs")}
    who = {"id": "theirs", "owner": "somebody else"}
    key = builder.given("late").key
    theirs = {"kind": "venv", "key": key, "archive": archive, "build": who}
    builder.store.put(f"team/v1/venv/{key}/{archive['sha256']}.tar.gz", b"theirs")
    builder.store.put(f"team/v1/venv/{key}/manifest.json", json.dumps(theirs).encode())
    outcome = builder.run("late", cached_python)
    assert outcome.exit_status == 0, outcome.log
    assert outcome.manifest("venv", key) == theirs
    assert "build theirs of somebody else has published this key first" in outcome.log


def test_a_failing_venv_build(builder: Builder, cached_python: dict[str, Value]) -> None:
    outcome = builder.run("fails", cached_python, "echo the reason >&2\nexit 3\n")
    outcome.assert_failed("venv-build", "venv-build.sh ended with exit status 3", 3)
    assert "the reason\n" in outcome.log
    assert builder.store.keys(f"team/v1/venv/{outcome.key}/") == [f"team/v1/venv/{outcome.key}/probe"]


def test_venv_build_may_be_any_program(builder: Builder, cached_python: dict[str, Value]) -> None:
    script = "#!/usr/bin/env python\nimport sys\nprint('run by', sys.executable)\nsys.exit(9)\n"
    outcome = builder.run("python-script", cached_python, script)
    outcome.assert_failed("venv-build", "venv-build.sh ended with exit status 9", 9)
    assert "run by /mnt/pybundle-build/python-script/root/venv/bin/python" in outcome.log


def test_the_time_limit(builder: Builder, cached_python: dict[str, Value]) -> None:
    """What runs would never end, nor heed a request to: only the limit ends it."""
    script = "trap '' TERM\nsleep infinity &\nsleep infinity\n"
    outcome = builder.run("slow", {**cached_python, "TIMEOUT_MINUTES": "0.4"}, script)
    stage = outcome.status["stage"]
    message = f"time limit of 0.4 minutes reached in stage {stage}"
    outcome.assert_failed(stage, message, outcome.status["exit_status"])


def test_a_signal_stops_it(builder: Builder, cached_python: dict[str, Value], tmp_path: Path) -> None:
    mark = tmp_path / "reached"
    os.mkfifo(mark)
    given = builder.given("stopped", f"echo here >'{mark}'\nsleep infinity\n")
    command = builder.prepare("stopped", given, cached_python)
    with subprocess.Popen(
        builder.machine.command(*command), env=builder.store.environment, stderr=subprocess.DEVNULL
    ) as process:
        assert wait_for_line(mark) == "here\n"
        process.send_signal(signal.SIGTERM)
        exit_status = process.wait()
    outcome = Outcome(builder.store, builder.machine, "stopped", given.key, exit_status)
    outcome.assert_failed("venv-build", "stopped by a signal in stage venv-build", 143)


@pytest.mark.parametrize(
    ("build_id", "values", "message"),
    [
        ("arch", {"ARCH": "vax"}, f"this machine is {MACHINE}, but the bundle is for vax"),
        ("os", {"OS_FAMILY": "amzn2023"}, "this machine runs {os}, but the bundle is for amzn2023"),
    ],
)
def test_refuses_the_wrong_machine(builder: Builder, build_id: str, values: dict[str, Value], message: str) -> None:
    release = Path("/etc/os-release").read_text()
    if 'ID="amzn"' in release:
        pytest.skip("this is the right machine")
    name = next(line for line in release.splitlines() if line.startswith("PRETTY_NAME="))
    outcome = builder.run(build_id, values)
    outcome.assert_failed("prepare", message.format(os=name.split("=")[1].strip('"')), 1)


@pytest.mark.parametrize(
    ("build_id", "content", "message"),
    [
        ("not-a-tarball", b"<html>", "{uri} is no tarball that tar can read"),
        (
            "another-version",
            tar_gz({"Python-3.13.4/Include/patchlevel.h": b'#define PY_VERSION              "3.13.4"\n'}),
            "{uri} is the source of CPython 3.13.4, but the bundle is to have 3.13.5",
        ),
    ],
)
def test_refuses_the_wrong_source(builder: Builder, build_id: str, content: bytes, message: str) -> None:
    uri = builder.store.put(f"team/v1/sources/{build_id}/Python-3.13.5.tar.xz", content)
    outcome = builder.run(build_id, {"SOURCE_URI": uri, "SOURCE_SHA256": sha256(content)})
    outcome.assert_failed("source", message.format(uri=uri), 1)


@pytest.mark.parametrize(
    ("build_id", "line", "missing"),
    [
        ("no-python", "#!/opt/venv/bin/python", "/opt/venv/bin/python"),
        ("no-perl", "#! /usr/bin/env no-such-perl", "no-such-perl"),
        ("no-perl-5", "#!/usr/bin/env -S LANG=C no-such-perl -w", "no-such-perl"),
        ("no-tool", "#!data/tool", "data/tool"),
        ("a-directory", "#!/usr/bin", "/usr/bin"),
    ],
)
def test_a_missing_interpreter_is_told_at_once(builder: Builder, build_id: str, line: str, missing: str) -> None:
    outcome = builder.run(build_id, {}, f"{line}\n", BUILD_FILES)
    outcome.assert_failed("prepare", f"venv-build.sh begins with {line}, but this machine has no {missing}", 1)


@pytest.mark.parametrize(
    ("build_id", "line"),
    [
        ("has-pip", "#!/usr/bin/env pip3.13"),
        ("has-make", "#!/no/such/make -f"),
        ("has-none", "#!"),
        ("has-sh", "#!/bin/sh"),
    ],
)
def test_an_interpreter_that_is_there_by_then(builder: Builder, build_id: str, line: str) -> None:
    """In the environment, or because the build installs it."""
    assert builder.run(build_id, {}, f"{line}\n").stages()[:3] == ["prepare", "packages", "source"]


@pytest.mark.parametrize("directory", ["PYTHON_DIRECTORY", "VENV_DIRECTORY"])
def test_what_may_not_be_written_is_told_at_once(builder: Builder, directory: str) -> None:
    build_id = directory.lower().replace("_", "-")
    outcome = builder.run(build_id, {directory: "s3://no-such-bucket-of-ours/v1/x"})
    status = outcome.status
    assert (outcome.exit_status, status["state"], status["stage"]) == (1, "FAILED", "prepare")
    assert status["message"].startswith(
        "cannot write s3://no-such-bucket-of-ours/v1/x/probe, and so could publish nothing"
    )
    assert "NoSuchBucket" in status["message"]
    assert outcome.stages() == ["prepare"]


def test_a_provider_that_openssl_is_configured_to_load(builder: Builder, bundle: Path, tmp_path: Path) -> None:
    """It is in no bundle, and no reason to refuse a Python."""
    providers = "[providers]\ndefault = on\nlegacy = on\n[on]\nactivate = 1\n"
    (tmp_path / "openssl.cnf").write_text(f"openssl_conf = init\n[init]\nproviders = providers\n{providers}")
    environment = {"OPENSSL_CONF": str(tmp_path / "openssl.cnf")}
    command: list[str | Path] = [bundle / "py" / "bin" / "python3.13", "-B", MASTER / "check_modules.py", bundle / "py"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_library_that_every_program_is_to_load(builder: Builder, bundle: Path, tmp_path: Path) -> None:
    """An agent's, perhaps: it is in no bundle, and no reason to refuse a Python."""
    agent = tmp_path / "libagent.so"
    subprocess.run(["gcc", "-shared", "-o", agent, "-x", "c", "/dev/null"], check=True)
    check = shlex.join(map(str, (f"{bundle}/py/bin/python3.13", "-B", MASTER / "check_modules.py", f"{bundle}/py")))
    done = builder.machine.run(["bash", "-c", f"echo {agent} >/etc/ld.so.preload && {check}"], dict(os.environ))
    assert done.returncode == 0, done.stderr


def test_only_what_is_to_be_published_is_tried(builder: Builder) -> None:
    """Who builds on a Python that is cached need not be allowed to write another."""
    nowhere = {"PYTHON_DIRECTORY": "s3://no-such-bucket-of-ours/v1/x"}
    outcome = builder.run("cached", {**nowhere, "PYTHON_ARCHIVE_URI": "s3://no-such-bucket-of-ours/v1/y.tar.gz"})
    assert outcome.status["stage"] == "fetch-python"
    assert builder.store.get(f"team/v1/venv/{outcome.key}/probe") == b"cached\n"


def test_a_machine_without_room(builder: Builder) -> None:
    """Who claimed the bundle may be gone by now, and the claim is given back."""
    given = builder.given("no-room")
    builder.store.put(f"team/v1/claims/{given.key}.json", b'{"build_id": "no-room"}')
    small = 'mount -t tmpfs -o size=9m small /mnt && mount -t tmpfs -o size=9m small /var/tmp && exec "$@"'
    command = ["bash", "-c", small, "-", *builder.prepare("no-room", given, {})]
    done = builder.machine.run(command, builder.store.environment)
    outcome = Outcome(builder.store, builder.machine, "no-room", given.key, done.returncode)
    outcome.assert_failed("prepare", "a build needs 6144 MiB, but /mnt and /var/tmp have less (9 MiB)", 1)
    assert "a build needs 6144 MiB" in done.stderr
    assert builder.store.keys("team/v1/claims/") == []


@pytest.mark.parametrize(("script", "noted"), [("pip install six\n", True), ("echo\n", False)])
def test_a_package_index_that_cannot_be_reached(builder: Builder, script: str, noted: bool) -> None:
    """A note, and not the end: what needs one may get along. Which index is asked, the build's pip.conf says."""
    build_id = f"no-index-{noted}"
    given = builder.given(build_id, script, {"pip.conf": "[global]\nindex-url = http://127.0.0.1:9/simple\n"})
    builder.machine.run(builder.prepare(build_id, given, {}), builder.environment)
    outcome = Outcome(builder.store, builder.machine, build_id, given.key, 1)
    notes = ["pip reaches no package index from here: what it is to install from one cannot be installed"]
    assert outcome.status["notes"] == (notes if noted else [])
    assert (f"note: {notes[0]}\n" in outcome.log) == noted
    assert outcome.status["stage"] == "source"


def test_refuses_a_damaged_python(builder: Builder, cached_python: dict[str, Value]) -> None:
    values = {**cached_python, "PYTHON_ARCHIVE_SHA256": "0" * 64}
    outcome = builder.run("damaged", values)
    message = (
        f"{cached_python['PYTHON_ARCHIVE_URI']} is damaged: wanted sha256 {'0' * 64},"
        f" found {cached_python['PYTHON_ARCHIVE_SHA256']}. Run the job with --pybundle-rebuild to have it built anew."
    )
    outcome.assert_failed("fetch-python", message, 1)


def test_refuses_what_would_not_be_on_nodes(builder: Builder, cached_python: dict[str, Value]) -> None:
    script = 'ln -s "$PWD/data" "$VIRTUAL_ENV/data"\n'
    outcome = builder.run("stranger", cached_python, script, BUILD_FILES)
    target = "/mnt/pybundle-build/stranger/inputs/files/data"
    outcome.assert_failed(
        "finish-venv",
        f"relocate.py failed: venv/data is a symbolic link to {target}, which is not in the bundle:"
        " copy what it leads to",
        1,
    )


@pytest.mark.parametrize(
    ("build_id", "values", "message"),
    [
        ("other-key", {"VENV_KEY": "0" * 64}, "the venv key is not that of its inputs"),
        ("other-python-key", {"PYTHON_KEY": "0" * 64}, "the python key is not that of its inputs"),
        (
            "other-python",
            {
                "PYTHON_KEY": replace(PYTHON, optimize=True).key,
                "PYTHON_INPUTS": canonical_json(replace(PYTHON, optimize=True).inputs()),
            },
            "the venv key is for another Python",
        ),
    ],
)
def test_refuses_a_key_that_is_not_that_of_its_inputs(
    builder: Builder, build_id: str, values: dict[str, Value], message: str
) -> None:
    outcome = builder.run(build_id, values)
    outcome.assert_failed("prepare", message, 1)


def test_refuses_a_source_that_is_not_in_the_key(builder: Builder) -> None:
    """A tarball of one's own is in the key by its digest."""
    python = replace(PYTHON, source_sha256="ab" * 32)
    given = builder.given("other-source")
    venv_inputs = given.venv_inputs.replace(PYTHON.key, python.key)
    outcome = builder.run(
        "other-source",
        {
            "PYTHON_KEY": python.key,
            "PYTHON_INPUTS": canonical_json(python.inputs()),
            "SOURCE_URI": builder.store.uri("Python-3.13.5.tgz"),
            "SOURCE_SHA256": "cd" * 32,
        },
        given=Given(given.packed, venv_inputs),
    )
    uri = builder.store.uri("Python-3.13.5.tgz")
    outcome.assert_failed("prepare", f"{uri} is not the source that the python key was made of", 1)


def test_refuses_inputs_that_are_not_those_of_the_key(builder: Builder, cached_python: dict[str, Value]) -> None:
    """Nothing is published, whatever the submitter's program has sent."""
    given = Given(builder.given("edited", "echo two\n").packed, builder.given("key", "echo one\n").venv_inputs)
    outcome = builder.run("edited", cached_python, given=given)
    message = "this build was given other inputs than its key was made of: venv-build.sh is not the one of the key"
    outcome.assert_failed("inputs", message, 1)
    assert builder.store.keys(f"team/v1/venv/{given.key}/") == [f"team/v1/venv/{given.key}/probe"]
