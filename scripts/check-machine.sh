#!/usr/bin/env bash
# Say all at once what this machine lacks for the Makefile's commands, each with the command that mends it, and fail.
#
#     check-machine.sh PYTHON [CPYTHON_VERSION DIRECTORY]
#
# PYTHON is the interpreter that the virtual environment is to be made with. With CPYTHON_VERSION, that CPython is going to
# be compiled, from a source tarball in DIRECTORY: if it isn't there, it is fetched at once, which is the one thing that
# no look at the machine could foretell. Looks, and installs nothing. What is missing is called by Debian's names.
set -Eeuo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly HERE
# What every Debian has, an ordinary user's PATH may lack.
export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# As debian_packages in master/build-binaries/python.sh has them: the build compares with what dpkg says, and so does this.
readonly COMPILING=(gcc g++ make binutils libc6-dev tar gzip xz-utils pkg-config libssl-dev zlib1g-dev libbz2-dev
    liblzma-dev libffi-dev libreadline-dev libsqlite3-dev libncurses-dev uuid-dev libexpat1-dev)

PACKAGES=()
PROBLEMS=()

main() {
    (($# == 1 || $# == 3)) || die 'usage: check-machine.sh PYTHON [CPYTHON_VERSION DIRECTORY]'
    [[ $(uname -s) == Linux ]] || die "this is $(uname -s): the sandbox and the tests need Linux"
    check_python "$1"
    if (($# == 3)); then
        need_program git git
        need_program perl perl
        need_program xz xz-utils
        need_program unshare util-linux
        need_program nsenter util-linux
        need_program pivot_root util-linux
        need_program mount mount
        need_program umount mount
        check_compiling
        check_source "$2" "$3"
    fi
    report
}

check_python() {
    local version
    if ! version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null); then
        lack python3
        lack python3-venv
    elif ! "$1" -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
        problem "$1 is Python $version, and 3.10 is the oldest that will do: make PYTHON=python3.12 …, with one that you have"
    elif ! "$1" -c 'import ensurepip, venv' 2>/dev/null; then
        # A Python that is not Debian's own comes with both, or its maker left them out.
        if [[ $(command -v "$1") == /usr/bin/* ]]; then
            lack "python$version-venv"
        else
            problem "$1 has no ensurepip: make PYTHON=…, with a Python that has"
        fi
    fi
}

# need_program NAME PACKAGE
need_program() {
    command -v "$1" >/dev/null || lack "$2"
}

check_compiling() {
    local package
    if [[ $(os_id) == amzn ]]; then
        return # The build has its own list of rpms for it, and says what it could not install.
    fi
    if ! command -v dpkg-query >/dev/null; then
        problem "this is $(os_id), without dpkg: the build knows Debian, its kin, and Amazon Linux"
        return
    fi
    if installs_on_nodes; then
        return
    fi
    for package in "${COMPILING[@]}"; do
        [[ $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true) == 'install ok installed' ]] || lack "$package"
    done
}

os_id() {
    (
        # shellcheck source=/dev/null
        . /etc/os-release 2>/dev/null || true
        printf '%s' "${ID:-a system without a name}"
    )
}

# Whether the build's node is one that packages can be installed on, so that none are needed, nor land, on this machine:
# that takes root, and mounts without a namespace of users.
installs_on_nodes() {
    ((EUID == 0)) && command -v apt-get >/dev/null \
        && unshare --mount --propagation private mount -t tmpfs none /mnt 2>/dev/null
}

# check_source VERSION DIRECTORY
check_source() {
    local said
    if ! command -v curl >/dev/null && ! command -v apt-get >/dev/null; then
        lack curl
    elif ! said=$("$HERE/fetch-cpython-source.sh" "$@" 2>&1); then
        problem "$(tail -n 1 <<<"$said")"
    fi
}

lack() {
    [[ " ${PACKAGES[*]-} " == *" $1 "* ]] || PACKAGES+=("$1")
}

problem() {
    PROBLEMS+=("$1")
}

report() {
    local line sudo='sudo '
    ((${#PACKAGES[@]} + ${#PROBLEMS[@]} > 0)) || return 0
    ((EUID != 0)) || sudo=''
    {
        echo 'This machine cannot do that yet:'
        ((${#PACKAGES[@]} == 0)) || printf '  - packages are missing: %sapt-get install %s\n' "$sudo" "${PACKAGES[*]}"
        for line in "${PROBLEMS[@]+"${PROBLEMS[@]}"}"; do
            printf '  - %s\n' "$line"
        done
    } >&2
    exit 1
}

die() {
    printf 'check-machine: %s\n' "$*" >&2
    exit 1
}

main "$@"
