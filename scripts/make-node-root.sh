#!/usr/bin/env bash
# Make the file tree of a Debian with next to nothing in it, for nodes of the sandbox, and print its directory.
#
#     make-node-root.sh SUITE [DIRECTORY [OPTION…]]
#
# SUITE is a release of Debian's by name: bullseye, bookworm, trixie. DIRECTORY is where the tests look for it, unless given:
# ~/.cache/mrjob-pybundle/roots/<suite>. debootstrap makes it (variant minbase: what dpkg and apt need, and no Python,
# compiler or OpenSSL), from the mirror that this machine's own apt sources name. Takes root. What is there already is
# not made again: delete it for a newer one. Packages are kept beside it, so that the next one takes less time. OPTIONs are
# debootstrap's.
set -Eeuo pipefail

readonly CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/mrjob-pybundle
NEW=''

main() {
    (($# >= 1)) || die 'usage: make-node-root.sh SUITE [DIRECTORY [OPTION…]]'
    local suite=$1 directory=${2:-$CACHE/roots/$1} mirror
    shift $(($# > 1 ? 2 : 1))
    if [[ ! -d $directory ]]; then
        ((EUID == 0)) || die 'only root can make the file tree of an operating system'
        command -v apt-get >/dev/null || die 'this machine has no apt, whose mirror could be asked'
        have_debootstrap
        mkdir -p "${directory%/*}" "$CACHE/debs/$suite"
        NEW=$directory.new.$$
        trap 'rm -rf "$NEW"' EXIT
        for mirror in $(mirrors) ''; do
            [[ -n $mirror ]] || die "no mirror in this machine's apt sources gave Debian $suite: see above"
            if make_root "$suite" "$mirror" "$@"; then
                break
            fi
        done
        finish_root
        # Somebody else may have made it meanwhile.
        mv -T "$NEW" "$directory" 2>/dev/null || [[ -d $directory ]] || die "cannot write $directory"
    fi
    printf '%s\n' "$directory"
}

have_debootstrap() {
    command -v debootstrap >/dev/null && return
    say 'debootstrap is not installed: apt-get installs it'
    # Other tests may be installing something, too.
    DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=600 install --no-install-recommends debootstrap >&2 \
        || die 'apt-get could not install debootstrap'
}

# The addresses of this machine's apt sources, Debian's own first.
mirrors() {
    {
        apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian'
        apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages'
    } | awk '!seen[$0]++'
}

# make_root SUITE MIRROR OPTION…: in mount namespaces of their own, since what debootstrap mounts must not outlive it.
make_root() {
    rm -rf "$NEW"
    mkdir "$NEW"
    chmod 755 "$NEW"
    with_apts_proxies unshare --mount --propagation private \
        debootstrap --variant=minbase --cache-dir="$CACHE/debs/$1" "${@:3}" "$1" "$NEW" "$2" >&2
}

# debootstrap fetches with wget, which knows of no proxy that only apt's settings name.
with_apts_proxies() {
    local proxy
    proxy=$(apt_proxy http)
    [[ -z $proxy ]] || local -x http_proxy=$proxy
    proxy=$(apt_proxy https)
    [[ -z $proxy ]] || local -x https_proxy=$proxy
    "$@"
}

# apt_proxy SCHEME
apt_proxy() {
    local value
    value=$(apt-config --format '%v%n' dump "Acquire::$1::Proxy")
    [[ $value == DIRECT ]] || printf '%s' "$value"
}

finish_root() {
    local scheme proxy
    # Nodes are thrown away: what a package brings need not reach the disk before the next one is unpacked.
    echo force-unsafe-io >"$NEW/etc/dpkg/dpkg.cfg.d/90unsafe-io"
    rm -rf "$NEW"/var/cache/apt/archives/*.deb "$NEW"/var/cache/apt/*.bin "$NEW"/var/lib/apt/lists/*
    # For the build on a node, which installs packages.
    for scheme in http https; do
        proxy=$(apt_proxy "$scheme")
        [[ -z $proxy ]] || printf 'Acquire::%s::Proxy "%s";\n' "$scheme" "$proxy"
    done >"$NEW/etc/apt/apt.conf.d/90proxy"
}

say() {
    printf 'make-node-root: %s\n' "$*" >&2
}

die() {
    say "$*"
    exit 1
}

main "$@"
