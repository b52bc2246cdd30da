#!/bin/bash
# own_machine.sh DIRECTORY COMMAND…: runs COMMAND in a mount namespace that stands in for a machine of its own. /mnt is
# DIRECTORY/mnt; what COMMAND writes to /opt, /usr, /var and /etc lands in DIRECTORY/written. To be run by `unshare --mount`.
set -Eeuo pipefail

readonly DIRECTORY=$1
shift

mkdir -p "$DIRECTORY/mnt" "$DIRECTORY/overlay"
mount --bind "$DIRECTORY/mnt" /mnt
# Overlay's options know only a colon and a comma as special, of which DIRECTORY has none.
for place in opt usr var etc; do
    mkdir -p "$DIRECTORY/written/$place" "$DIRECTORY/overlay/$place"
    mount -t overlay -o "lowerdir=/$place,upperdir=$DIRECTORY/written/$place,workdir=$DIRECTORY/overlay/$place" overlay "/$place"
done
exec "$@"
