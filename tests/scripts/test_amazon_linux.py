"""build-binaries.sh on what it takes for Amazon Linux: the real script, with recorded commands in place of rpm and yum.

No Amazon Linux is here. What the tests know of it are the names and values below; whether its repositories do have
them is beyond these tests.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mrjob_pybundle.aws.releases import FAMILIES
from mrjob_pybundle.bundle.spec import canonical_json
from mrjob_pybundle.templates import Value

from .conftest import make_machine, make_store, sha256
from .test_build_binaries import MACHINE, PYTHON, Builder, Given, Outcome, tar_gz

#: /etc/os-release, cut to what anybody looks at
OS_RELEASE = {
    "amzn2": 'NAME="Amazon Linux"\nVERSION="2"\nID="amzn"\nVERSION_ID="2"\nPRETTY_NAME="Amazon Linux 2"\n',
    "amzn2023": 'NAME="Amazon Linux"\nVERSION="2023"\nID="amzn"\nVERSION_ID="2023"\n'
    'PRETTY_NAME="Amazon Linux 2023.9.20250929"\n',
}
TOOL = {family.name: family.package_manager for family in FAMILIES.values()}

#: Everything that a build asks for, but for OpenSSL.
PACKAGES = [
    *("gcc", "gcc-c++", "make", "binutils", "findutils", "diffutils", "tar", "gzip", "xz", "pkgconfig"),
    *("zlib-devel", "bzip2-devel", "xz-devel", "libffi-devel", "readline-devel", "sqlite-devel"),
    *("ncurses-devel", "libuuid-devel", "expat-devel"),
]
OPENSSL = {family.name: family.openssl_devel for family in FAMILIES.values()}

# The machine's packages are the lines of $INSTALLED. Arguments that the script is not known to use end with 64, which
# fails the build.
PROGRAMS = {
    "rpm": """
        case "$*" in
            "-e --nodeps "*)
                [[ $# == 3 ]] && printf '%s\\n' "rpm $*" >>"$COMMANDS"
                grep -vxF -e "$3" "$INSTALLED" >"$INSTALLED.new"
                exec mv "$INSTALLED.new" "$INSTALLED"
                ;;
            "-q --quiet --whatprovides "*) [[ $# == 4 ]] && exec grep -qxF -e "$4" "$INSTALLED" ;;
            "-q --quiet "*) [[ $# == 3 ]] && exec grep -qxF -e "$3" "$INSTALLED" ;;
        esac
        exit 64
    """,
    "pkg-config": """
        case "$*" in
            "--exists openssl11") exec grep -qxF openssl11-devel "$INSTALLED" ;;
            "--exists openssl") exec grep -qxF openssl-devel "$INSTALLED" ;;
            "--variable=includedir openssl11") echo /usr/include/openssl11 ;;
            "--variable=libdir openssl11") echo /usr/lib64/openssl11 ;;
            *) exit 64 ;;
        esac
    """,
}
PACKAGE_MANAGER = """
    [[ $1 == -q && $2 == -y ]] || exit 64
    case $3 in
        install) printf '%s\\n' "${@:4}" >>"$INSTALLED" ;;
        *) exit 64 ;;
    esac
"""
NO_SUCH_PROGRAM = "exit 127"

# Stands in for CPython's: says how it was called, and that this is all that the test wants.
CONFIGURE = """#!/bin/bash
printf 'argument %s\\n' "$@"
printf 'CFLAGS=%s CC=%s\\n' "${CFLAGS-unset}" "${CC-unset}"
for link in ../openssl/*; do
    [[ ! -L $link ]] || printf 'openssl %s -> %s\\n' "${link##*/}" "$(readlink "$link")"
done
exit 99
"""

# Of CPython 2.7.18, the lines that the build changes; its tests on real nodes have the rest.
PYTHON_27 = {
    "setup.py": "        openssl_ver = 0\n",
    "Modules/_ssl.c": "    options = SSL_OP_ALL & ~SSL_OP_DONT_INSERT_EMPTY_FRAGMENTS;\n",
}


@dataclass(frozen=True)
class AmazonLinux:
    """A machine that says it runs *os_family* on *arch*, with the recorded commands first on its PATH."""

    builder: Builder
    os_family: str
    arch: str = MACHINE

    @property
    def directory(self) -> Path:
        return self.builder.machine.directory

    def install(self, *packages: str) -> None:
        self._file("installed").write_text("".join(f"{package}\n" for package in packages))

    def commands(self) -> list[str]:
        """What was called to change the machine's packages, one command a line."""
        return self._file("commands").read_text().splitlines()

    def with_program(self, name: str, text: str) -> AmazonLinux:
        """*name* is *text*, a shell script. It finds the machine's packages in ``$INSTALLED``, and may add to
        ``$COMMANDS``."""
        names = ("installed", "commands")
        lines = ["#!/bin/bash", *(f"{name.upper()}={shlex.quote(str(self._file(name)))}" for name in names)]
        if name in TOOL.values():
            lines.append(f'printf "%s\\n" "{name} $*" >>"$COMMANDS"')
        program = self.directory / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text("\n".join([*lines, text]) + "\n")
        program.chmod(0o755)
        return self

    def build(
        self, build_id: str, source_files: Mapping[str, str] | None = None, own_source: bool = False, **values: Value
    ) -> Outcome:
        """Build until configure has said how it was called, which fails, or as far as *source_files* let it.

        *own_source*: the source is not a release's.
        """
        version = values.get("PYTHON_VERSION", "3.13.5")
        files = {"Include/patchlevel.h": f'#define PY_VERSION "{version}"\n', "configure": CONFIGURE}
        if version == "2.7.18":
            files.update(PYTHON_27)
        source = tar_gz(
            {f"Python-{version}/{name}": text.encode() for name, text in {**files, **(source_files or {})}.items()},
            mode=0o755,
        )
        uri = self.builder.store.put(f"team/v1/sources/{build_id}/Python-{version}.tar.xz", source)
        all_values: Mapping[str, Value] = {
            "OS_FAMILY": self.os_family,
            "ARCH": self.arch,
            "SOURCE_URI": uri,
            "SOURCE_SHA256": sha256(source),
            **values,
        }
        if not own_source:
            return self.builder.run(build_id, all_values)
        python = replace(PYTHON, source_sha256=sha256(source))
        given = self.builder.given(build_id)
        given = Given(given.packed, given.venv_inputs.replace(PYTHON.key, python.key))
        key = {"PYTHON_KEY": python.key, "PYTHON_INPUTS": canonical_json(python.inputs())}
        return self.builder.run(build_id, {**all_values, **key}, given=given)

    def _file(self, name: str) -> Path:
        return self.directory / name


def make_amazon_linux(s3_server: str, aws: Path, directory: Path, os_family: str, arch: str = MACHINE) -> AmazonLinux:
    machine = make_machine(directory / "machine")
    # Lies above this machine's own /etc from the next run on.
    (machine.directory / "written" / "etc" / "os-release").write_text(OS_RELEASE[os_family])
    store = make_store(s3_server, aws)
    path = f"{machine.directory / 'bin'}:{store.environment['PATH']}"
    store = replace(store, environment={**store.environment, "PATH": path, "CC": "a-compiler", "CFLAGS": "-O0"})
    here = AmazonLinux(Builder(store, machine), os_family, arch)
    here.install()
    (machine.directory / "commands").touch()
    for name, text in PROGRAMS.items():
        here.with_program(name, text)
    # yum is there on 2023 as well, where it is dnf; the build is to ask for dnf.
    for name in ("yum", "dnf"):
        here.with_program(name, PACKAGE_MANAGER if name == TOOL[os_family] else NO_SUCH_PROGRAM)
    for name in ("apt-get", "dpkg-query"):
        here.with_program(name, NO_SUCH_PROGRAM)
    return here.with_program("uname", f'[[ $* == -m ]] && echo {arch} || exec /usr/bin/uname "$@"')


@pytest.fixture(params=["amzn2", "amzn2023"])
def amazon_linux(request: pytest.FixtureRequest, s3_server: str, aws: Path, tmp_path: Path) -> AmazonLinux:
    return make_amazon_linux(s3_server, aws, tmp_path, request.param)


@pytest.fixture
def amazon_linux_2(s3_server: str, aws: Path, tmp_path: Path) -> AmazonLinux:
    return make_amazon_linux(s3_server, aws, tmp_path, "amzn2")


@dataclass(frozen=True)
class Bare:
    """A build on a machine that had none of the packages."""

    machine: AmazonLinux
    outcome: Outcome


@pytest.fixture(scope="module", params=[("amzn2", "x86_64"), ("amzn2023", "aarch64")], ids="-".join)
def bare(request: pytest.FixtureRequest, s3_server: str, aws: Path, tmp_path_factory: pytest.TempPathFactory) -> Bare:
    family, arch = request.param
    machine = make_amazon_linux(s3_server, aws, tmp_path_factory.mktemp(family), family, arch)
    return Bare(machine, machine.build("bare"))


def asked_for(command: str, tool: str) -> list[str]:
    """The packages of an ``install`` command."""
    prefix = f"{tool} -q -y install "
    assert command.startswith(prefix)
    return sorted(command.removeprefix(prefix).split())


def configured(outcome: Outcome) -> list[str]:
    """The arguments that configure got."""
    assert outcome.status["stage"] == "configure", outcome.log
    return [line.removeprefix("argument ") for line in outcome.log.splitlines() if line.startswith("argument ")]


def test_a_bare_machine_is_asked_for_these_packages_and_no_others(bare: Bare) -> None:
    family = bare.machine.os_family
    (command,) = bare.machine.commands()
    assert asked_for(command, TOOL[family]) == sorted([*PACKAGES, OPENSSL[family]])


def test_configure_is_led_to_the_openssl_that_was_installed(bare: Bare) -> None:
    ours = [
        "--prefix=/nonexistent/mrjob-pybundle",
        "--with-ensurepip=no",
        "--without-static-libpython",
        "--disable-test-modules",
    ]
    links = {line for line in bare.outcome.log.splitlines() if line.startswith("openssl ")}
    if bare.machine.os_family == "amzn2":
        assert configured(bare.outcome) == [*ours, "--with-openssl=/mnt/pybundle-build/bare/openssl"]
        assert links == {
            "openssl include -> /usr/include/openssl11",
            "openssl lib -> /usr/lib64/openssl11",
        }
    else:
        assert configured(bare.outcome) == ours
        assert links == set()


def test_compiler_flags_are_those_of_every_family_and_none_of_the_callers(bare: Bare) -> None:
    assert "CFLAGS=-g0 CC=unset\n" in bare.outcome.log


def test_only_missing_packages_are_installed(amazon_linux: AmazonLinux) -> None:
    family = amazon_linux.os_family
    missing = {"gcc-c++", "libuuid-devel"}
    amazon_linux.install(*({*PACKAGES, OPENSSL[family]} - missing))
    amazon_linux.build("missing")
    (command,) = amazon_linux.commands()
    assert asked_for(command, TOOL[family]) == sorted(missing)


def test_a_complete_machine_is_left_alone(amazon_linux_2: AmazonLinux) -> None:
    amazon_linux_2.install(*PACKAGES, "openssl11-devel")
    outcome = amazon_linux_2.build("complete")
    assert amazon_linux_2.commands() == []
    assert "all that the build needs is installed\n" in outcome.log


def test_amazon_linux_2_gives_up_its_old_openssl_first(amazon_linux_2: AmazonLinux) -> None:
    amazon_linux_2.install(*PACKAGES, "openssl-devel")
    outcome = amazon_linux_2.build("old-openssl")
    assert amazon_linux_2.commands() == [
        "rpm -e --nodeps openssl-devel",
        "yum -q -y install openssl11-devel",
    ]
    assert "--with-openssl=/mnt/pybundle-build/old-openssl/openssl" in configured(outcome)


def test_python_27_has_amazon_linux_2s_own_openssl(amazon_linux_2: AmazonLinux) -> None:
    """It would not find the other one: configure has no --with-openssl."""
    amazon_linux_2.install(*PACKAGES, "openssl11-devel")
    outcome = amazon_linux_2.build("two-seven", PYTHON_VERSION="2.7.18")
    assert amazon_linux_2.commands() == [
        "rpm -e --nodeps openssl11-devel",
        "yum -q -y install openssl-devel",
    ]
    assert configured(outcome) == [
        "--prefix=/nonexistent/mrjob-pybundle",
        "--with-ensurepip=no",
        "--enable-unicode=ucs4",
    ]


def test_a_users_configure_arguments_come_last(amazon_linux_2: AmazonLinux) -> None:
    outcome = amazon_linux_2.build(
        "arguments", CONFIGURE_ARGS=["--with-openssl=/opt/of our own"], OPTIMIZE="yes", PYTHON_VERSION="3.9.2"
    )
    assert configured(outcome) == [
        "--prefix=/nonexistent/mrjob-pybundle",
        "--with-ensurepip=no",
        "--enable-optimizations",
        "--with-lto",
        "--with-openssl=/mnt/pybundle-build/arguments/openssl",
        "--with-openssl=/opt/of our own",
    ]


def test_packages_that_cannot_be_had_are_named_in_one_line(amazon_linux: AmazonLinux) -> None:
    tool = TOOL[amazon_linux.os_family]
    amazon_linux.install(*PACKAGES)
    amazon_linux.with_program(tool, "echo 'Error: Unable to find a match' >&2; exit 1")
    outcome = amazon_linux.build("no-repository")
    message = f"{tool} could not install: {OPENSSL[amazon_linux.os_family]}"
    outcome.assert_failed("packages", message, 1)
    assert "Error: Unable to find a match\n" in outcome.log


def test_an_old_openssl_that_stays_is_named_in_one_line(amazon_linux_2: AmazonLinux) -> None:
    amazon_linux_2.install(*PACKAGES, "openssl-devel")
    amazon_linux_2.with_program("rpm", "[[ $1 == -q ]] || exit 1")
    outcome = amazon_linux_2.build("stays")
    outcome.assert_failed("packages", "rpm could not remove openssl-devel, which excludes openssl11-devel", 1)


CHANGED = {
    "setup.py": "        openssl_ver = 0x30000000\n",
    "Modules/_ssl.c": PYTHON_27["Modules/_ssl.c"]
    + "#ifdef SSL_OP_IGNORE_UNEXPECTED_EOF\n    options |= SSL_OP_IGNORE_UNEXPECTED_EOF;\n#endif\n",
}
SHOW_SOURCE = "#!/bin/bash\nset -e\ncat setup.py Modules/_ssl.c\nexit 99\n"


def test_python_27_learns_of_openssl_3(amazon_linux_2: AmazonLinux) -> None:
    """Everywhere: it makes no difference with what is older. tests/pristine sees that it works."""
    amazon_linux_2.install(*PACKAGES, "openssl-devel")
    outcome = amazon_linux_2.build("two-seven", {"configure": SHOW_SOURCE}, PYTHON_VERSION="2.7.18")
    assert outcome.status["stage"] == "configure"
    assert "".join(CHANGED.values()) in outcome.log


@pytest.mark.whole
@pytest.mark.parametrize("times", [0, 2])
def test_another_python_27_than_the_one_to_be_changed(amazon_linux_2: AmazonLinux, times: int) -> None:
    amazon_linux_2.install(*PACKAGES, "openssl-devel")
    outcome = amazon_linux_2.build("other", {"setup.py": times * PYTHON_27["setup.py"]}, PYTHON_VERSION="2.7.18")
    uri = amazon_linux_2.builder.store.uri("team/v1/sources/other/Python-2.7.18.tar.xz")
    message = (
        f"setup.py of {uri} has not the line that is to be changed for OpenSSL 3: it is not that of CPython 2.7.18"
    )
    outcome.assert_failed("source", message, 1)


@pytest.mark.whole
def test_ones_own_python_27_may_know_openssl_3_already(amazon_linux_2: AmazonLinux) -> None:
    """What does not have to be changed stays as its author has it."""
    source = {"configure": SHOW_SOURCE, "setup.py": "openssl_ver = ask()\n"}
    amazon_linux_2.install(*PACKAGES, "openssl-devel")
    outcome = amazon_linux_2.build("own", source, own_source=True, PYTHON_VERSION="2.7.18")
    assert outcome.status["stage"] == "configure"
    assert "openssl_ver = ask()\n" + CHANGED["Modules/_ssl.c"] in outcome.log


# A Makefile that says what it was given, and fails with a profile whose counts are not atomic, or earlier.
MAKEFILE = """
PGO_PROF_GEN_FLAG=-fprofile-generate
PROFILE_TASK=-m test --pgo
all:
\t@echo pass: $(PGO_PROF_GEN_FLAG)
\t{early}
\t@echo Rebuilding with profile guided optimizations:
\t@case '$(PGO_PROF_GEN_FLAG)' in *atomic) : >python;; *) exit 1;; esac
clean:
\t@echo cleaned
"""
PASSES = [
    "pass: -fprofile-generate -fno-lto",
    "cleaned",
    "pass: -fprofile-generate -fno-lto -fprofile-update=atomic",
]


@pytest.mark.whole
@pytest.mark.parametrize(
    ("build_id", "optimize", "early", "passes"),
    [
        # In CPython 3.13, make fails if a profiled test does.
        ("damaged-profile", "yes", "@false $(PROFILE_TASK)", PASSES),
        ("no-profile-yet", "yes", "@false", PASSES[:1]),
        ("plain", "no", "@true", PASSES[:1]),
    ],
)
def test_a_profile_that_gcc_does_not_bear_is_made_again(
    amazon_linux_2: AmazonLinux, build_id: str, optimize: str, early: str, passes: list[str]
) -> None:
    configure = f"#!/bin/bash\ncat >Makefile <<'END'\n{MAKEFILE.format(early=early)}END\n"
    amazon_linux_2.install(*PACKAGES, "openssl11-devel")
    outcome = amazon_linux_2.build(build_id, {"configure": configure}, OPTIMIZE=optimize)
    said = [line for line in outcome.log.splitlines() if line.startswith(("pass: ", "cleaned"))]
    assert said == passes
    # What came out of the second time is no interpreter.
    message = (
        "the interpreter was linked without its library path" if len(passes) > 1 else "make ended with exit status 2"
    )
    outcome.assert_failed("compile", message, 1 if len(passes) > 1 else 2)


def test_a_machine_of_the_other_family_is_refused(amazon_linux: AmazonLinux) -> None:
    family = amazon_linux.os_family
    other, name = {
        "amzn2": ("amzn2023", "Amazon Linux 2"),
        "amzn2023": ("amzn2", "Amazon Linux 2023.9.20250929"),
    }[family]
    outcome = amazon_linux.build("other-family", OS_FAMILY=other)
    outcome.assert_failed("prepare", f"this machine runs {name}, but the bundle is for {other}", 1)
    assert amazon_linux.commands() == []


@pytest.mark.parametrize(("machine", "bundle"), [("x86_64", "aarch64"), ("aarch64", "x86_64")])
def test_a_machine_of_another_architecture_is_refused(
    s3_server: str, aws: Path, tmp_path: Path, machine: str, bundle: str
) -> None:
    here = make_amazon_linux(s3_server, aws, tmp_path, "amzn2023", machine)
    outcome = here.build("other-arch", ARCH=bundle)
    outcome.assert_failed("prepare", f"this machine is {machine}, but the bundle is for {bundle}", 1)
    assert here.commands() == []
