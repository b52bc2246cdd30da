#!/bin/bash
# The life of one node: process 1 of its own PID and mount namespace.
#
# usage: node.sh DIRECTORY TREE [SOURCE PLACE]...
#
# Makes a root directory from the operating system in TREE (/ is the machine's own) with everything that a cluster
# may write to replaced: /opt, /mnt, /home, /tmp, /root, /run and /srv by directories below DIRECTORY, and /usr,
# /etc and /var by overlays, so that not even `apt-get install` touches TREE. Each SOURCE, a path of the machine,
# is visible at its PLACE, read-only. Prints its PID as the machine sees it once the node is up, and ends, and
# with it every process of the node and every mount, when standard input ends or on SIGTERM.
set -euo pipefail

readonly directory=$1
readonly tree=${2%/}
shift 2
# /proc is still the machine's: in it, we have the PID that others know us by.
read -r pid _ </proc/self/stat
readonly pid
readonly root=$directory/root

own() {
    mkdir -p "$directory/own/$1" "$root/$1"
    mount --bind "$directory/own/$1" "$root/$1"
}

overlay() {
    local upper=$directory/overlay$1
    mkdir -p "$root$1" "$upper/upper" "$upper/work"
    # No overlay can have its upper layer in its own lower layer, nor, in a container, on another overlay.
    if [[ $directory/ == "$tree$1"/* ]] || ! try_overlay "$1" "$upper"; then
        upper=$root/.overlay$1
        mkdir -p "$upper/upper" "$upper/work"
        try_overlay "$1" "$upper"
    fi
}

# userxattr, which Linux knows since 5.11: without, who is root in a user namespace can remove none of TREE's directories.
try_overlay() {
    local layers="lowerdir=$tree$1,upperdir=$2/upper,workdir=$2/work"
    mount -t overlay -o "userxattr,$layers" overlay "$root$1" 2>/dev/null \
        || mount -t overlay -o "$layers" overlay "$root$1" 2>/dev/null
}

# An overlay doesn't show what is mounted below its lower layer, such as a container's /etc/resolv.conf.
overlay_with_mounts() {
    local target type
    overlay "$1"
    while read -r _ target type _; do
        [[ $target == "$tree$1"/* ]] || continue
        if [[ -f $target ]]; then
            cat "$target" >"$root${target#"$tree"}" || mount --bind "$target" "$root${target#"$tree"}"
        elif [[ $type =~ ^(ext[234]|xfs|btrfs|zfs|virtiofs|9p)$ ]]; then
            overlay "${target#"$tree"}"
        fi
    done </proc/self/mounts
}

# show SOURCE PLACE
show() {
    local source=$1 place=$root$2
    mkdir -p "${place%/*}"
    if [[ $2 == /etc/* ]]; then
        # A copy: packages may replace what is in there, which they could not do with a mount.
        cp -RHT --remove-destination "$source" "$place"
        return
    fi
    if [[ -d $source ]]; then
        mkdir -p "$place"
    elif [[ ! -e $place ]]; then
        : >"$place"
    fi
    mount --bind "$source" "$place"
    mount -o remount,bind,ro "$place"
}

mkdir -p "$root"
mount -t tmpfs -o mode=755 node "$root"
for entry in bin sbin lib lib32 lib64 libx32; do
    if [[ -L $tree/$entry ]]; then
        ln -s "$(readlink "$tree/$entry")" "$root/$entry"
    elif [[ -d $tree/$entry ]]; then
        overlay "/$entry"
    fi
done
for entry in usr etc var; do
    overlay_with_mounts "/$entry"
done
for entry in opt mnt home tmp root run srv; do
    own "$entry"
done
chmod 1777 "$root/tmp"
for entry in dev sys; do
    mkdir "$root/$entry"
    mount --rbind "/$entry" "$root/$entry"
done
mkdir "$root/proc"
mount -t proc proc "$root/proc"

while (($# > 0)); do
    show "$1" "$2"
    shift 2
done

# Scripts chown to this user. It is the node's root under another name. (Who is root only in a user
# namespace may not write to /etc, overlay or not.)
if [[ -w $root/etc/passwd ]] && ! grep -q '^hadoop:' "$root/etc/passwd"; then
    echo 'hadoop:x:0:0::/home/hadoop:/bin/bash' >>"$root/etc/passwd"
    echo 'hadoop:x:0:' >>"$root/etc/group"
fi

cd "$root"
pivot_root . .
umount -l .
cd /

trap 'exit 0' TERM
echo "$pid"
exec >&-
# `wait`, unlike `read`, lets the trap act at once.
exec 3<&0
cat <&3 >/dev/null &
wait "$!"
