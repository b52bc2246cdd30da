#!/bin/bash
# emulated.sh DIRECTORY MNT COMMAND…: runs COMMAND, a program of arm64, in the tree of scripts/make-emulated-root.sh, with the
# directory MNT as its /mnt. To be run by `unshare --user --map-root-user --mount`: the kernel (Linux 6.7 and newer) keeps
# what is registered with binfmt_misc there apart from the machine's own.
set -Eeuo pipefail

readonly DIRECTORY=$1 MNT=$2
shift 2

mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
# Programs that are ELF, of 64 bits, for AArch64. F: the kernel has the emulator open, whatever their root is.
printf ':qemu-aarch64:M::%s:%s:%s:F' \
    '\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00' \
    '\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff' \
    "$DIRECTORY/qemu-aarch64-static" >/proc/sys/fs/binfmt_misc/register
mount --rbind /proc "$DIRECTORY/tree/proc"
mount --rbind /dev "$DIRECTORY/tree/dev"
mount --bind "$MNT" "$DIRECTORY/tree/mnt"
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$DIRECTORY/tree" "$@"
