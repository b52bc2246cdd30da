"""build-binaries.sh asks real rpm and dnf for packages of Amazon Linux: empty ones, with the names that we know of.

Of the two operating systems, there is what the table says, and no more. dnf stands in for yum on Amazon Linux 2, too.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from .conftest import REPOSITORY
from .test_amazon_linux import OPENSSL, PACKAGES, TOOL, AmazonLinux, make_amazon_linux

pytestmark = pytest.mark.whole


@dataclass(frozen=True)
class Package:
    """What rpm and dnf know of a package. A dependency may have a version: ``openssl-libs = 1:3.2.2``."""

    name: str
    version: str = "1"
    requires: Sequence[str] = ()
    provides: Sequence[str] = ()
    conflicts: Sequence[str] = ()

    def spec(self) -> str:
        epoch, _, version = self.version.rpartition(":")
        lines = [f"%package -n {self.name}", "Summary: stands for it", f"Version: {version}"]
        lines += [f"Epoch: {epoch}"] if epoch else []
        for tag, values in (("Requires", self.requires), ("Provides", self.provides), ("Conflicts", self.conflicts)):
            lines += [f"{tag}: {value}" for value in values]
        return "\n".join([*lines, f"%description -n {self.name}", f"%files -n {self.name}", ""])


SPEC = """\
Name: all-of-them
Version: 1
Release: 1
Summary: nothing
License: none
AutoReqProv: no
%description
"""

#: What other packages are named by on both, and are no more than that.
PLAIN = [name for name in PACKAGES if name not in ("pkgconfig", "gcc-c++")]

#: In the repositories, besides PLAIN. Versions that a machine may have are older.
REPOSITORIES = {
    "amzn2": [
        Package("gcc-c++", requires=["gcc"]),
        Package("pkgconfig", "1:0.27.1"),
        Package("openssl-devel", "1:1.0.2k", requires=["zlib-devel"]),
        Package("openssl11-libs", "1:1.1.1zb"),
        Package("openssl11-devel", "1:1.1.1zb", requires=["openssl11-libs = 1:1.1.1zb"], conflicts=["openssl-devel"]),
        Package("hadoop-native", requires=["openssl-devel"]),
    ],
    "amzn2023": [
        Package("gcc-c++", requires=["gcc"]),
        Package("pkgconf-pkg-config", "1.8.0", provides=["pkgconfig = 1:1.8.0"], conflicts=["pkgconfig < 0.28"]),
        Package("openssl-libs", "1:3.0.8"),
        Package("openssl-libs", "1:3.2.2"),
        Package("openssl-devel", "1:3.2.2", requires=["openssl-libs = 1:3.2.2", "pkgconfig"]),
        Package("curl-minimal", provides=["curl-simple"], conflicts=["curl"]),
        Package("curl", conflicts=["curl-minimal"]),
        Package("coreutils-single", provides=["coreutils"], conflicts=["coreutils"]),
    ],
}
#: What a machine has before a build.
THERE = {
    "amzn2": ["pkgconfig", "hadoop-native", "openssl-devel"],
    "amzn2023": ["curl-minimal", "coreutils-single", "openssl-libs-3.0.8"],
}
#: What it has after it.
KEPT = {"amzn2": ["pkgconfig", "hadoop-native"], "amzn2023": ["curl-minimal", "coreutils-single"]}

# dnf looks into the machine's own directories for nothing.
DNF_CONF = """\
[main]
gpgcheck=0
plugins=0
reposdir=/nonexistent
varsdir=/nonexistent
cachedir={root}/cache
logdir={root}/log
[amazon]
name=amazon
baseurl=file://{repository}
"""


@pytest.fixture(scope="module")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """The two package repositories."""
    if os.geteuid() != 0:
        pytest.skip("only root has rpm install packages, if into a directory of their own")
    made = {}
    for family, packages in REPOSITORIES.items():
        directory = tmp_path_factory.mktemp(family)
        packages = [*map(Package, PLAIN), *packages]
        newest = {package.name: package for package in packages}
        older = [package for package in packages if newest[package.name] is not package]
        for number, spec in enumerate(filter(None, (list(newest.values()), older))):
            path = directory / f"{number}.spec"
            path.write_text(SPEC + "".join(package.spec() for package in spec))
            command = [REPOSITORY / "scripts" / "make-rpm-repository.sh", path, directory / "packages"]
            made_now = subprocess.run(command, capture_output=True, text=True)
            if made_now.returncode:
                pytest.skip(made_now.stderr.splitlines()[-1])
        made[family] = directory / "packages"
    return made


@dataclass(frozen=True)
class RpmMachine:
    """A machine whose packages are those of a directory of their own, its installroot."""

    machine: AmazonLinux
    #: dnf's
    conf: Path

    @property
    def os_family(self) -> str:
        return self.machine.os_family

    def _run(self, name: str, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([self.machine.directory / "bin" / name, *words], capture_output=True, text=True)

    def install(self, *packages: str) -> None:
        done = self._run(TOOL[self.os_family], "-q", "-y", "install", *packages)
        assert done.returncode == 0, done.stderr
        (self.machine.directory / "commands").write_text("")

    def has(self, package: str) -> bool:
        """Whether that is installed, or something that provides it."""
        return self._run("rpm", "-q", "--whatprovides", package).returncode == 0

    def packages_stage(self, build_id: str, version: str = "3.13.5") -> None:
        """Run a build up to its stage configure, which is the one after the packages and the source."""
        outcome = self.machine.build(build_id, PYTHON_VERSION=version)
        assert outcome.status["stage"] == "configure", outcome.log


@pytest.fixture
def rpm_machine(
    request: pytest.FixtureRequest, repositories: Mapping[str, Path], s3_server: str, aws: Path, tmp_path: Path
) -> RpmMachine:
    family = request.param
    here = make_amazon_linux(s3_server, aws, tmp_path, family)
    root = tmp_path / "root"
    root.mkdir()
    conf = tmp_path / "dnf.conf"
    conf.write_text(DNF_CONF.format(root=root, repository=repositories[family]))
    dnf = shlex.join(["/usr/bin/dnf", "--config", str(conf), "--installroot", str(root), "--releasever", "1"])
    here = here.with_program(TOOL[family], f'exec {dnf} "$@"')
    here = here.with_program("rpm", f'exec /usr/bin/rpm --root {shlex.quote(str(root))} "$@"')
    rpm = shlex.quote(str(here.directory / "bin" / "rpm"))
    here = here.with_program("pkg-config", PKG_CONFIG.format(rpm=rpm))
    machine = RpmMachine(here, conf)
    machine.install(*THERE[family])
    return machine


PKG_CONFIG = """
    case "$*" in
        "--exists "*) exec {rpm} -q --quiet "$2-devel" ;;
        *) echo /usr ;;
    esac
"""

both = pytest.mark.parametrize("rpm_machine", ["amzn2", "amzn2023"], indirect=True)
amazon_linux_2 = pytest.mark.parametrize("rpm_machine", ["amzn2"], indirect=True)


@both
def test_a_machine_gets_all_that_it_lacks(rpm_machine: RpmMachine) -> None:
    """What cannot be there beside it goes, and nothing that needs it; what it needs in a newer version gets newer."""
    rpm_machine.packages_stage("bare")
    family = rpm_machine.os_family
    assert [package for package in [*PACKAGES, OPENSSL[family]] if not rpm_machine.has(package)] == []
    assert [name for name in THERE[family] if rpm_machine.has(name)] == KEPT[family]
    assert not rpm_machine.has("curl")
    # Then it has all that a build asks for.
    rpm_machine.packages_stage("complete")
    assert len([command for command in rpm_machine.machine.commands() if " install " in command]) == 1


@amazon_linux_2
def test_python_27_takes_the_old_openssl(rpm_machine: RpmMachine) -> None:
    """And the next build on this machine the new one again."""
    for version in ("2.7.18", "3.13.5", "2.7.18"):
        rpm_machine.packages_stage(f"build-of-{version}-{rpm_machine.has('openssl11-devel')}", version)
        is_old = version == "2.7.18"
        assert (rpm_machine.has("openssl-devel"), rpm_machine.has("openssl11-devel")) == (is_old, not is_old)
    assert rpm_machine.has("hadoop-native")


@both
def test_what_no_repository_has(rpm_machine: RpmMachine) -> None:
    """dnf says what it does not find, the build what it asked for."""
    rpm_machine.install(*(package for package in PACKAGES if package != "libuuid-devel"))
    with rpm_machine.conf.open("a") as conf:
        conf.write("excludepkgs=libuuid-devel\n")
    outcome = rpm_machine.machine.build("no-libuuid")
    family = rpm_machine.os_family
    outcome.assert_failed("packages", f"{TOOL[family]} could not install: {OPENSSL[family]} libuuid-devel", 1)
    assert "Error: Unable to find a match: libuuid-devel" in outcome.log
