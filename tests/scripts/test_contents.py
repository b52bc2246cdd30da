"""What a build's master writes down of what is inside of a bundle, and where that came from."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import sha256
from .test_master import MASTER, every_python, link, run

SECRETS = ("s3cret", "jane", "signature")


class Root:
    """A bundle in the making, with the directories that *python* has, and what the build was given."""

    def __init__(self, directory: Path, python: str) -> None:
        self.directory, self.python = directory, python
        show = "import sys; print('python%d.%d' % sys.version_info[:2])"
        library = subprocess.check_output([python, "-c", show], text=True).strip()
        self.given, self.files = directory / "given", directory / "given" / "files"
        self.bundled = directory / "root" / "py" / "lib" / library / "ensurepip" / "_bundled"
        self.site_packages = directory / "root" / "venv" / "lib" / library / "site-packages"
        for path in (self.files, self.bundled, self.site_packages):
            path.mkdir(parents=True)

    def install(self, name: str, version: str, **files: Any) -> None:
        """As an installer leaves it behind: *files* are those beside its METADATA, JSON by their names."""
        info = self.site_packages / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nName: not this\n")
        for file, content in {"INSTALLER": "pip\n", **files}.items():
            if file == "direct_url":
                (info / "direct_url.json").write_text(json.dumps(content))
            elif content is not None:
                (info / file).write_text(content)

    def contents(self, kind: str = "venv") -> tuple[dict[str, Any], str]:
        """What is written down, and what is printed."""
        written = self.directory / "contents.json"
        done = run(
            *(self.python, "contents.py", "--root", self.directory / "root", "--kind", kind, "--given", self.given),
            *("--copied", self.directory / "copied.json", "--contents", written),
        )
        assert (done.returncode, done.stderr) == (0, "")
        contents: dict[str, Any] = json.loads(written.read_text())
        return contents, done.stdout

    def sources(self) -> dict[str, Any]:
        """Name and version → where it came from."""
        return {f"{one['name']} {one['version']}": one["source"] for one in self.contents()[0]["distributions"]}


@pytest.fixture
def root(tmp_path: Path) -> Callable[[str], Root]:
    return lambda python: Root(tmp_path, python)


# distributions


@every_python
def test_where_distributions_came_from(python: str, root: Callable[[str], Root]) -> None:
    made = root(python)
    (made.bundled / "pip-24.0-py3-none-any.whl").write_bytes(b"pip")
    (made.given / "mrjob-0.7.4-py2.py3-none-any.whl").write_bytes(b"mrjob")
    (made.files / "vendored").mkdir()
    (made.files / "vendored" / "a b-1-py3-none-any.whl").write_bytes(b"vendored")
    repository = {"url": "https://jane:s3cret@example.com/a.git?x=signature", "vcs_info": {"vcs": "git"}}
    made.install("pip", "24.0")
    made.install("setuptools", "70.0")
    made.install("mrjob", "0.7.4", WHEEL="Wheel-Version: 1.0\nGenerator: mrjob-pybundle\n")
    made.install("from_git", "1", direct_url={**repository, "vcs_info": {"vcs": "git", "commit_id": "c0ffee"}})
    archive = {
        "url": "https://s3cret@example.com:8443/b-1.whl#sha256=ab",
        "archive_info": {"hash": f"sha256={'ab' * 32}"},
    }
    made.install("from-url", "1", direct_url=archive)
    vendored = f"file://{made.files}/vendored/a%20b-1-py3-none-any.whl"
    made.install("vendored", "1", direct_url={"url": vendored, "archive_info": {}})
    made.install("fetched", "1", direct_url={"url": "file:///home/jane/fetched-1.whl", "archive_info": {}})
    made.install("project", "1", direct_url={"url": f"file://{made.files}/project", "dir_info": {}})
    made.install("copied-there", "1", INSTALLER=None)
    made.install("odd", "1", direct_url=["no object"])
    old = made.site_packages / "old-2.egg-info"
    old.mkdir()
    (old / "PKG-INFO").write_text("Name: old\nVersion: 2\n")
    (made.site_packages / "older-3-py2.7.egg-info").write_text("Name: older\nVersion: 3\n")
    (made.site_packages / "broken-1.dist-info").mkdir()
    assert made.sources() == {
        "copied-there 1": {"kind": "unknown"},
        "fetched 1": {"kind": "local", "path": "fetched-1.whl", "is_directory": False, "hashes": {}},
        "from-url 1": {"kind": "url", "url": "https://example.com:8443/b-1.whl", "hashes": {"sha256": "ab" * 32}},
        "from_git 1": {"kind": "vcs", "vcs": "git", "url": "https://example.com/a.git", "commit": "c0ffee"},
        "mrjob 0.7.4": {
            "kind": "submitter",
            "file": "mrjob-0.7.4-py2.py3-none-any.whl",
            "hashes": {"sha256": sha256(b"mrjob")},
        },
        "odd 1": {"kind": "unknown"},
        "old 2": {"kind": "unknown"},
        "older 3": {"kind": "unknown"},
        "pip 24.0": {"kind": "cpython", "file": "pip-24.0-py3-none-any.whl", "hashes": {"sha256": sha256(b"pip")}},
        "project 1": {"kind": "local", "path": "project", "is_directory": True, "hashes": {}},
        "setuptools 70.0": {"kind": "index"},
        "vendored 1": {
            "kind": "local",
            "path": "vendored/a b-1-py3-none-any.whl",
            "is_directory": False,
            "hashes": {"sha256": sha256(b"vendored")},
        },
    }
    contents, said = made.contents()
    assert [word for word in SECRETS if word in json.dumps(contents)] == []
    assert said.startswith("where odd came from cannot be told by what its installer has noted: ")
    assert {one["name"]: one["installer"] for one in contents["distributions"]}["copied-there"] is None


def _report(python: str, *downloads: dict[str, Any], **environment: str) -> dict[str, Any]:
    show = "import os, sys; print('%d.%d.%d' % sys.version_info[:3])"
    here = subprocess.check_output([python, "-c", show], text=True).strip()
    return {
        "version": "1",
        "environment": {"python_full_version": here, "platform_machine": os.uname().machine, **environment},
        "install": list(downloads),
    }


def _download(name: str, version: str, url: str, digest: str, is_direct: bool = False) -> dict[str, Any]:
    info = {"url": url, "archive_info": {"hash": f"sha256={digest}", "hashes": {"sha256": digest}}}
    return {"metadata": {"name": name, "version": version}, "download_info": info, "is_direct": is_direct}


@every_python
def test_reports_of_pip_tell_digests(python: str, root: Callable[[str], Root]) -> None:
    """Of what it found by name, if venv-build.sh asked it for reports, of this very Python. And no part of an index."""
    made = root(python)
    index = "https://jane:s3cret@example.com/s3cret/simple"
    reports = {
        "pip-report.json": _report(
            python,
            _download("Some_Name", "1.0", f"{index}/some%20name-1.0.whl?signature#x", "aa" * 32),
            _download("twice", "1", f"{index}/twice-1.whl", "bb" * 32),
            _download("direct", "1", f"{index}/direct-1.whl", "cc" * 32, is_direct=True),
        ),
        "pip-report-2.json": _report(
            python,
            _download("twice", "1", f"{index}/twice-1.tar.gz", "dd" * 32),
            _download("found", "2", "file:///somewhere/found-2.whl", "ee" * 32),
        ),
        "pip-report-of-a-laptop.json": _report(
            python, _download("numpy", "2", f"{index}/numpy-2-macosx.whl", "ff" * 32), platform_machine="arm64"
        ),
        "pip-report-odd.json": {**_report(python), "install": [{}]},
        "pip-reports.json": ["no report"],
    }
    for name, report in reports.items():
        (made.files / name).write_text(json.dumps(report))
    for name, version in (("some-name", "1.0"), ("twice", "1"), ("found", "2"), ("numpy", "2"), ("other", "1.0")):
        made.install(name, version)
    assert made.sources() == {
        "found 2": {"kind": "local", "path": "found-2.whl", "is_directory": False, "hashes": {"sha256": "ee" * 32}},
        "numpy 2": {"kind": "index"},
        "other 1.0": {"kind": "index"},
        "some-name 1.0": {"kind": "index", "file": "some name-1.0.whl", "hashes": {"sha256": "aa" * 32}},
        "twice 1": {"kind": "index"},
    }
    contents, said = made.contents()
    assert [word for word in SECRETS if word in json.dumps(contents)] == []
    assert [line.split(" is ")[0] for line in said.splitlines()] == ["pip-report-odd.json", "pip-reports.json"]


# In-tree backends (PEP 517) need no index; this one packs the one module that there is.
BACKEND = """\
import zipfile
def build_wheel(directory, config_settings=None, metadata_directory=None):
    with zipfile.ZipFile(directory + "/project-3-py3-none-any.whl", "w") as file:
        file.writestr("project.py", "")
        file.writestr("project-3.dist-info/METADATA", "Metadata-Version: 2.1\\nName: project\\nVersion: 3\\n")
        file.writestr("project-3.dist-info/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\nRoot-Is-Purelib: true\\n")
        file.writestr("project-3.dist-info/RECORD", "")
    return "project-3-py3-none-any.whl"
"""
PROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


def _wheel(directory: Path, name: str) -> Path:
    path = directory / f"{name}-1-py3-none-any.whl"
    directory.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{name}-1.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        file.writestr(f"{name}-1.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\nRoot-Is-Purelib: true\n")
        file.writestr(f"{name}-1.dist-info/RECORD", "")
    return path


@pytest.mark.whole
def test_what_pip_itself_leaves_behind(root: Callable[[str], Root], tmp_path: Path) -> None:
    """In an environment that is really made: a wheel among the build files, a project, one in git, one by its name."""
    made = root(sys.executable)
    venv = tmp_path / "root" / "venv"
    shutil.rmtree(venv)
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    wheel, by_name = _wheel(made.files / "vendored", "vendored"), _wheel(tmp_path / "index", "named")
    for project in (made.files / "project", tmp_path / "repository"):
        project.mkdir()
        (project / "pyproject.toml").write_text(PROJECT)
        (project / "backend.py").write_text(BACKEND)
    settings = ("-c", "user.name=x", "-c", "user.email=x")
    for command in (["init", "-q"], ["add", "."], [*settings, "commit", "-q", "-m", "x"]):
        subprocess.run(["git", "-C", tmp_path / "repository", *command], check=True)
    commit = subprocess.check_output(["git", "-C", tmp_path / "repository", "rev-parse", "HEAD"], text=True).strip()

    pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "-q", "--no-index", "--disable-pip-version-check"]
    project_sources = {}
    for requirement in ("./project", f"git+file://{tmp_path}/repository"):
        subprocess.run([*pip, "--force-reinstall", requirement], cwd=made.files, check=True)
        project_sources[requirement] = made.sources()["project 3"]
    report = ["--report", "pip-report.json", "--find-links", str(tmp_path / "index"), "named"]
    for arguments in (["vendored/vendored-1-py3-none-any.whl"], report):
        subprocess.run([*pip, *arguments], cwd=made.files, check=True)

    local = {"kind": "local", "is_directory": False}
    assert project_sources == {
        "./project": {**local, "path": "project", "is_directory": True, "hashes": {}},
        f"git+file://{tmp_path}/repository": {"kind": "vcs", "vcs": "git", "url": None, "commit": commit},
    }
    sources = made.sources()
    digest = {"sha256": sha256(wheel.read_bytes())}
    assert sources["vendored 1"] == {**local, "path": "vendored/vendored-1-py3-none-any.whl", "hashes": digest}
    digest = {"sha256": sha256(by_name.read_bytes())}
    assert sources["named 1"] == {**local, "path": "named-1-py3-none-any.whl", "hashes": digest}


# libraries


def _libz() -> str:
    listing = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    return next(line.split()[-1] for line in listing.splitlines() if line.split()[:1] == ["libz.so.1"])


@pytest.mark.skipif(not Path("/var/lib/dpkg/status").exists(), reason="this machine's packages are not dpkg's")
@every_python
def test_copied_libraries_with_their_packages(python: str, root: Callable[[str], Root], tmp_path: Path) -> None:
    """The program that copies says from where; this machine's package manager, of what."""
    made, tree = root(python), tmp_path / "root" / "py"
    system = tmp_path / "system"
    system.mkdir()
    link(system / "libown.so.1", "int own(void) { return 1; }", "-Wl,-soname,libown.so.1")
    code = "int own(void); const char *zlibVersion(void); int f(void) { return own() + *zlibVersion(); }"
    link(tree / "module.so", code, system / "libown.so.1", _libz(), f"-Wl,-rpath,{system}")
    copied: list[str | Path] = ["--copied", tmp_path / "copied.json"]
    done = run(python, "shared_libraries.py", "--tree", tree, "--into", tree / "lib", *copied, "--strict")
    assert done.returncode == 0, done.stdout + done.stderr

    contents, said = made.contents("py")
    assert (said, "distributions" in contents) == ("", False)
    release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    assert contents["system"] == {"id": release["ID"], "version": release["VERSION_ID"].strip('"')}
    own, zlib = contents["libraries"]
    assert own == {"name": "libown.so.1", "sha256": sha256((tree / "lib/libown.so.1").read_bytes()), "package": None}
    assert (zlib["name"], zlib["sha256"]) == ("libz.so.1", sha256((tree / "lib/libz.so.1").read_bytes()))
    installed = subprocess.check_output(["dpkg-query", "-W", "-f", "${Version} ${Architecture}", "zlib1g"], text=True)
    version, arch = installed.split()
    assert zlib["package"] == {"type": "deb", "name": "zlib1g", "version": version, "arch": arch, "source": "zlib"}


def test_a_package_manager_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    program = f"import contents; print(contents.Packages({{'id': 'amzn'}}).of(['{_libz()}']))"
    asked = subprocess.run(
        [sys.executable, "-B", "-c", program],
        env={"PYTHONPATH": str(MASTER), "PATH": _without("rpm", tmp_path)},
        capture_output=True,
        text=True,
    )
    assert (asked.returncode, asked.stdout.splitlines()[1:]) == (0, ["{}"])
    assert asked.stdout.startswith("rpm does not tell which packages libraries are of: ")


def _without(program: str, directory: Path) -> str:
    """A PATH on which *program* is not, but `timeout` is."""
    (directory / "bin").mkdir()
    (directory / "bin" / "timeout").symlink_to(shutil.which("timeout") or "")
    return str(directory / "bin")


@every_python
def test_what_rpm_says_of_a_library(python: str, tmp_path: Path) -> None:
    """In its words, as recorded: there is none on Debian that knows a package."""
    answers = tmp_path / "bin"
    answers.mkdir()
    (answers / "rpm").write_text(
        "#!/bin/sh\n"
        'case $5 in */libssl.so.3) printf "openssl-libs\\t1\\t3.0.8-1.amzn\\tx86_64\\topenssl-3.0.8.src.rpm\\n" ;;\n'
        '*/libz.so.1) printf "zlib\\t(none)\\t1.2.11-33\\tx86_64\\tzlib-1.2.11-33.src.rpm\\n" ;;\n'
        '*) echo "file $5 is not owned by any package"; exit 1 ;; esac\n'
    )
    (answers / "rpm").chmod(0o755)
    paths = ["/lib64/libssl.so.3", "/lib64/libz.so.1", "/opt/libown.so"]
    program = f"import contents, json; print(json.dumps(contents.Packages({{'id': 'amzn'}}).of({paths})))"
    environment = {**os.environ, "PYTHONPATH": str(MASTER), "PATH": f"{answers}:{os.environ['PATH']}"}
    said = subprocess.run([python, "-B", "-c", program], env=environment, capture_output=True, text=True)
    assert (said.returncode, said.stderr) == (0, "")
    assert json.loads(said.stdout) == {
        "/lib64/libssl.so.3": {
            **{"type": "rpm", "name": "openssl-libs", "epoch": "1", "version": "3.0.8-1.amzn"},
            **{"arch": "x86_64", "source": "openssl-3.0.8.src.rpm"},
        },
        "/lib64/libz.so.1": {
            **{"type": "rpm", "name": "zlib", "version": "1.2.11-33"},
            **{"arch": "x86_64", "source": "zlib-1.2.11-33.src.rpm"},
        },
    }


def test_what_dpkg_says_of_a_library(tmp_path: Path) -> None:
    """Of one that several packages have, of one that was diverted, and of one that is found by where its link leads."""
    answers, real = tmp_path / "bin", tmp_path / "real.so.1.2"
    answers.mkdir()
    real.touch()
    (tmp_path / "linked.so.1").symlink_to(real)
    (answers / "dpkg-query").write_text(
        "#!/bin/sh\n"
        "case $1 in --search) cat <<END\n"
        "diversion by glx from: /usr/lib/libGL.so.1\nlibgl1:amd64: /usr/lib/libGL.so.1\n"
        f"liba1:amd64, libb1:amd64: /usr/lib/libshared.so\nlibreal1:amd64: {real}\n"
        "END\n"
        'echo "dpkg-query: no path found matching pattern /opt/libown.so" >&2; exit 1;;\n'
        '--show) shift 3; for one; do printf "$one\\t${one%:*}\\t1-1\\tamd64\\tsource\\n"; done;; esac\n'
    )
    (answers / "dpkg-query").chmod(0o755)
    paths = ["/lib/libGL.so.1", "/usr/lib/libshared.so", f"{tmp_path}/linked.so.1", "/opt/libown.so"]
    program = (
        "import contents, json; packages = contents.Packages({'id': 'debian'}); packages.uses_dpkg = True;"
        f" print(json.dumps(packages.of({paths})))"
    )
    environment = {**os.environ, "PYTHONPATH": str(MASTER), "PATH": f"{answers}:{os.environ['PATH']}"}
    said = subprocess.run([sys.executable, "-B", "-c", program], env=environment, capture_output=True, text=True)
    assert (said.returncode, said.stderr) == (0, "")
    names = {path: package["name"] for path, package in json.loads(said.stdout).items()}
    assert names == {"/lib/libGL.so.1": "libgl1", "/usr/lib/libshared.so": "liba1", paths[2]: "libreal1"}
