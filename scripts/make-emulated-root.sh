#!/usr/bin/env bash
# Make a directory with what it takes to run programs of arm64 on another machine, and print it.
#
#     make-emulated-root.sh [DIRECTORY]
#
# DIRECTORY, ~/.cache/mrjob-pybundle/arm64 unless given, gets `qemu-aarch64-static`, from this machine's apt sources, and
# `tree`, made by make-node-root.sh under it: the files of a minimal Debian 12 for arm64, with Python. Once gcc is installed
# there, its cc1, which takes most of a compile's time, is Debian's of the same version that compiles for arm64 on x86_64,
# and is not emulated; all else is. Nothing is registered with this machine's kernel: see emulate-arm64.sh. Takes root. What
# is there already is not made again.
set -Eeuo pipefail

HERE=$(cd "$(dirname "$0")" && pwd)
readonly HERE
readonly CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/mrjob-pybundle
readonly SUITE=bookworm
readonly GCC=12
# cc1, and what it is linked with.
readonly CC1=("cpp-$GCC-aarch64-linux-gnu" libc6 libgmp10 libisl23 libmpc3 libmpfr6 libzstd1 zlib1g)
NEW=''

main() {
    (($# <= 1)) || die 'usage: make-emulated-root.sh [DIRECTORY]'
    local directory=${1:-$CACHE/arm64}
    if [[ ! -d $directory ]]; then
        # What is fetched first is large.
        ((EUID == 0)) || die 'only root can make the file tree of an operating system'
        grep -qw binfmt_misc /proc/filesystems || die 'the kernel of this machine has no binfmt_misc'
        NEW=$directory.new.$$
        trap 'rm -rf "$NEW"' EXIT
        get_qemu
        get_tree
        get_cc1
        rm -rf "$NEW/packages"
        mv -T "$NEW" "$directory" 2>/dev/null || [[ -d $directory ]] || die "cannot write $directory"
    fi
    printf '%s\n' "$directory"
}

get_qemu() {
    unpack qemu-user-static
    cp "$NEW/packages/usr/bin/qemu-aarch64-static" "$NEW/"
}

# Who is root in a namespace of users makes no devices. debootstrap knows that of lxc, and takes the machine's.
get_tree() {
    "$HERE/emulate-arm64.sh" "$NEW/qemu-aarch64-static" env container=lxc \
        "$HERE/make-node-root.sh" "$SUITE" "$NEW/tree" --arch=arm64 --include=python3 >/dev/null
}

# Put aside, Debian's own comes to another name.
get_cc1() {
    local -r gcc=/usr/lib/gcc/aarch64-linux-gnu/$GCC cross=/usr/lib/gcc-cross/aarch64-linux-gnu/$GCC
    local -r place=/usr/libexec/native-cc1
    unpack "${CC1[@]}"
    mkdir -p "$NEW/tree$place" "$NEW/tree$gcc" "$NEW/tree$cross"
    cp "$NEW/packages$cross/cc1" "$NEW/tree$place/"
    cp "$NEW"/packages/{,usr/}lib/x86_64-linux-gnu/*.so.* "$NEW/tree$place/"
    dpkg-divert --root "$NEW/tree" --no-rename --divert "$gcc/cc1.emulated" --add "$gcc/cc1" >&2
    printf '#!/bin/sh\nexec %s/ld-linux-x86-64.so.2 --library-path %s %s/cc1 "$@"\n' "$place" "$place" "$place" \
        >"$NEW/tree$gcc/cc1"
    chmod 755 "$NEW/tree$gcc/cc1"
    ln -s "$gcc/include" "$NEW/tree$cross/include"
}

# unpack PACKAGE…
unpack() {
    local package
    mkdir -p "$NEW/packages/debs"
    (cd "$NEW/packages/debs" && apt-get -q -o APT::Sandbox::User=root download "$@" >&2) || die "apt-get could not fetch $*"
    for package in "$NEW"/packages/debs/*.deb; do
        dpkg-deb -x "$package" "$NEW/packages"
    done
}

die() {
    printf 'make-emulated-root: %s\n' "$*" >&2
    exit 1
}

main "$@"
