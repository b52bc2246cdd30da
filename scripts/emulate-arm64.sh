#!/usr/bin/env bash
# Run a command where this machine's kernel runs programs of arm64, too.
#
#     emulate-arm64.sh QEMU COMMAND…
#
# QEMU is a qemu-aarch64 that is linked statically; make-emulated-root.sh fetches one. The command has namespaces of its own,
# of users and of mounts, with the same users as outside: the kernel (Linux 6.7 and newer) keeps what is registered with
# binfmt_misc there apart from the machine's own. Takes root.
set -Eeuo pipefail

main() {
    [[ ${1-} != --mapped ]] || with_emulator "${@:2}"
    (($# >= 2)) || die 'usage: emulate-arm64.sh QEMU COMMAND…'
    [[ -x $1 ]] || die "$1 is no program"
    ((EUID == 0)) || die 'only root can have all users in a namespace of its own'
    grep -qw binfmt_misc /proc/filesystems || die 'the kernel of this machine has no binfmt_misc'
    # Users are mapped from outside. Without them, a program that is started has no capabilities; so there is one more.
    coproc map_users
    # Opened anew: bash keeps its own from programs.
    exec 8>"/proc/self/fd/${COPROC[1]}" 9<"/proc/self/fd/${COPROC[0]}"
    # shellcheck disable=SC2016 # the inner shell's
    exec unshare --user --mount --propagation private -- \
        bash -c 'echo unshared >&8; read -r _ <&9 && exec "$0" --mapped "$@" 8>&- 9<&-' "$0" "$@"
}

map_users() {
    read -r _
    echo '0 0 4294967295' >"/proc/$$/gid_map"
    echo '0 0 4294967295' >"/proc/$$/uid_map"
    echo mapped
}

# with_emulator QEMU COMMAND…
with_emulator() {
    mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc || die 'the kernel of this machine shares its binfmt_misc'
    # Programs that are ELF, of 64 bits, for AArch64. F: the kernel has the emulator open, whatever their root is.
    printf ':qemu-aarch64:M::%s:%s:%s:F' \
        '\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00' \
        '\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff' \
        "$1" >/proc/sys/fs/binfmt_misc/register || die "the kernel of this machine does not take $1 as an emulator"
    exec "${@:2}"
}

die() {
    printf 'emulate-arm64: %s\n' "$*" >&2
    exit 1
}

main "$@"
