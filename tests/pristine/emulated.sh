#!/bin/bash
# emulated.sh TREE MNT COMMAND…: runs COMMAND, a program of arm64, in the tree of scripts/make-emulated-root.sh, with the
# directory MNT as its /mnt. To be run by scripts/emulate-arm64.sh, in whose namespace its mounts are.
set -Eeuo pipefail

readonly TREE=$1 MNT=$2
shift 2

mount --rbind /proc "$TREE/proc"
mount --rbind /dev "$TREE/dev"
mount --bind "$MNT" "$TREE/mnt"
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$TREE" "$@"
