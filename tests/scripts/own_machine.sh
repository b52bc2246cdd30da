#!/bin/bash
# own_machine.sh DIRECTORY COMMAND…: runs COMMAND in a mount namespace that stands in for a machine of its own. /mnt and
# /var/tmp are DIRECTORY/mnt and DIRECTORY/var/tmp; what COMMAND writes to /opt, /usr, /var and /etc lands in
# DIRECTORY/written. To be run by `unshare --mount`.
set -Eeuo pipefail

readonly DIRECTORY=$1
shift

mkdir -p "$DIRECTORY/mnt" "$DIRECTORY/var/tmp" "$DIRECTORY/overlay"
chmod 1777 "$DIRECTORY/var/tmp"
mount --bind "$DIRECTORY/mnt" /mnt
# Overlay's options know only a colon and a comma as special, of which DIRECTORY has none.
for place in opt usr var etc; do
    mkdir -p "$DIRECTORY/written/$place" "$DIRECTORY/overlay/$place"
    mount -t overlay -o "lowerdir=/$place,upperdir=$DIRECTORY/written/$place,workdir=$DIRECTORY/overlay/$place" overlay "/$place"
done
# Root of a user namespace may write to no directory of real root's, overlay or not.
mount --bind "$DIRECTORY/var/tmp" /var/tmp
exec "$@"
