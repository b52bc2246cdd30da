#!/usr/bin/env bash
# Make a package repository of the packages in a spec file, for tests with real rpm and dnf, and print its directory.
#
#     make-rpm-repository.sh SPEC DIRECTORY
#
# rpm, dnf and createrepo_c are Debian's packages; as root, apt-get installs them where they are missing.
set -Eeuo pipefail

readonly -a TOOLS=(rpm dnf createrepo-c)

main() {
    (($# == 2)) || die 'usage: make-rpm-repository.sh SPEC DIRECTORY'
    local spec=$1 directory=$2
    have_tools
    mkdir -p "$directory"
    rpmbuild --quiet -bb --define "_topdir $directory/build" --define "_rpmdir $directory" "$spec" >&2 \
        || die "rpmbuild could not make the packages of $spec"
    rm -rf "$directory/build"
    createrepo_c --quiet "$directory" >&2 || die "createrepo_c could not make a repository of $directory"
    printf '%s\n' "$directory"
}

have_tools() {
    if command -v rpmbuild dnf createrepo_c >/dev/null; then
        return
    fi
    command -v apt-get >/dev/null || die "this machine lacks ${TOOLS[*]}, and has no apt-get"
    ((EUID == 0)) || die "this machine lacks ${TOOLS[*]}, which only root can install"
    say "apt-get installs ${TOOLS[*]}"
    {
        apt-get -q update
        # Other tests may be installing something, too.
        DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=600 install --no-install-recommends "${TOOLS[@]}"
    } >&2 || die "apt-get could not install ${TOOLS[*]}"
}

say() {
    printf 'make-rpm-repository: %s\n' "$*" >&2
}

die() {
    say "$*"
    exit 1
}

main "$@"
