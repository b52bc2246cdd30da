#!/usr/bin/env bash
# Make a directory with what it takes to run programs of arm64 on another machine, and print it.
#
#     make-emulated-root.sh [DIRECTORY]
#
# DIRECTORY, ~/.cache/mrjob-pybundle/emulated unless given, gets `tree`, the files of a minimal Debian 12 for arm64 with
# Python, which no package has configured, and `qemu-aarch64-static`, which runs them. Both are Debian's, from this machine's
# apt sources. Nothing is installed on this machine but debootstrap, and nothing is registered with its kernel: see
# tests/pristine/emulated.sh. Takes root. What is there already is not made again.
set -Eeuo pipefail

readonly CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/mrjob-pybundle
readonly SUITE=bookworm
NEW=''

main() {
    (($# <= 1)) || die 'usage: make-emulated-root.sh [DIRECTORY]'
    local directory=${1:-$CACHE/emulated}
    if [[ ! -d $directory ]]; then
        ((EUID == 0)) || die 'only root can make the file tree of an operating system'
        grep -qw binfmt_misc /proc/filesystems || die 'the kernel of this machine has no binfmt_misc'
        command -v debootstrap >/dev/null || die 'debootstrap is not installed: make-node-root.sh installs it'
        NEW=$directory.new.$$
        trap 'rm -rf "$NEW"' EXIT
        mkdir -p "$NEW/package"
        get_qemu
        get_tree
        rm -rf "$NEW/package"
        mv -T "$NEW" "$directory" 2>/dev/null || [[ -d $directory ]] || die "cannot write $directory"
    fi
    printf '%s\n' "$directory"
}

get_qemu() {
    (cd "$NEW/package" && apt-get -q -o APT::Sandbox::User=root download qemu-user-static >&2) \
        || die 'apt-get could not fetch qemu-user-static'
    dpkg-deb -x "$NEW"/package/qemu-user-static_*.deb "$NEW/package"
    cp "$NEW/package/usr/bin/qemu-aarch64-static" "$NEW/"
}

get_tree() {
    local mirror package
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' | head -n 1)
    debootstrap --foreign --arch=arm64 --variant=minbase --include=python3 "$SUITE" "$NEW/tree" "$mirror" >&2 \
        || die "debootstrap could not make Debian $SUITE for arm64"
    for package in "$NEW"/tree/var/cache/apt/archives/*.deb; do
        dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C "$NEW/tree"
    done
    # In containers, debootstrap makes links to the machine's.
    rm -rf "$NEW/tree/proc" "$NEW/tree/dev" "$NEW"/tree/var/cache/apt/archives/*.deb
    mkdir -p "$NEW"/tree/{proc,dev,mnt,tmp}
}

die() {
    printf 'make-emulated-root: %s\n' "$*" >&2
    exit 1
}

main "$@"
