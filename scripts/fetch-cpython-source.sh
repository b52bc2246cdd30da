#!/usr/bin/env bash
# Fetch the upstream source tarball of a CPython release into a directory, and print its path.
#
#     fetch-cpython-source.sh [--apt-only] VERSION DIRECTORY
#
# For the demo and the tests, which compile a real CPython wherever they run. python.org comes first.
# Where it cannot be reached, the same tarball comes out of Debian's source archive, by way of the
# machine's own apt sources: Debian ships CPython's release tarballs unchanged. Whatever the way, the
# file must have the digest below. What is there already is not fetched again.
#
# PYBUNDLE_PYTHON_SOURCE, when set, is the path of a tarball to take instead.
set -Eeuo pipefail

WORK=''

main() {
    local apt_only=no
    if [[ ${1:-} == --apt-only ]]; then
        apt_only=yes
        shift
    fi
    (($# == 2)) || die 'usage: fetch-cpython-source.sh [--apt-only] VERSION DIRECTORY'
    local version=$1 directory=$2 name sha256 suite
    know "$version"

    if [[ -n ${PYBUNDLE_PYTHON_SOURCE:-} ]]; then
        has_digest "$PYBUNDLE_PYTHON_SOURCE" \
            || die "PYBUNDLE_PYTHON_SOURCE is $PYBUNDLE_PYTHON_SOURCE, which is not CPython $version's $name (sha256 $sha256)"
        printf '%s\n' "$PYBUNDLE_PYTHON_SOURCE"
        return
    fi

    mkdir -p "$directory"
    if ! has_digest "$directory/$name"; then
        WORK=$(mktemp -d "${TMPDIR:-/tmp}/cpython-source.XXXXXXXX")
        trap 'rm -rf "$WORK"' EXIT
        if { [[ $apt_only == no ]] && from_python_org; } || from_apt; then
            # The directory may be on another file system: only a rename within it is atomic.
            cp "$WORK/tarball" "$directory/.$name.$$"
            mv -f "$directory/.$name.$$" "$directory/$name"
        else
            die "no source of CPython $version: neither python.org nor this machine's apt sources have it ($name," \
                "sha256 $sha256); set PYBUNDLE_PYTHON_SOURCE to a copy (for jobs: the option pybundle_python_source)"
        fi
    fi
    printf '%s\n' "$directory/$name"
}

# Sets the caller's name, sha256 (as python.org's) and suite (the Debian release that has it).
know() {
    case $1 in
        3.13.5)
            name=Python-3.13.5.tar.xz suite=trixie
            sha256=93e583f243454e6e9e4588ca2c2662206ad961659863277afcdb96801647d640
            ;;
        3.11.2)
            name=Python-3.11.2.tgz suite=bookworm
            sha256=2411c74bda5bbcfcddaf4531f66d1adc73f247f529aee981b029513aefdbf849
            ;;
        3.9.2)
            name=Python-3.9.2.tar.xz suite=bullseye
            sha256=3c2034c54f811448f516668dce09d24008a0716c3a794dd8639b5388cbde247d
            ;;
        2.7.18)
            name=Python-2.7.18.tgz suite=bullseye
            sha256=da3080e3b488f648a3d7a4560ddee895284c3380b11d6de75edb986526b9a814
            ;;
        *) die "don't know the digest of CPython $1's tarball: known are 3.13.5, 3.11.2, 3.9.2 and 2.7.18" ;;
    esac
}

from_python_org() {
    curl --fail --silent --show-error --location --connect-timeout 5 --max-time 600 \
        --output "$WORK/tarball" "https://www.python.org/ftp/python/$version/$name" >&2 || return 1
    has_digest "$WORK/tarball" || {
        say "python.org's $name does not have the digest $sha256"
        return 1
    }
}

from_apt() {
    command -v apt-get >/dev/null || {
        say 'this machine has no apt-get'
        return 1
    }
    mkdir -p "$WORK/candidates"
    list_candidates
    local candidate
    for candidate in "$WORK"/candidates/*; do
        [[ -e $candidate ]] || continue
        if from_apt_source "$candidate"; then
            return 0
        fi
    done
    return 1
}

# One file per apt source of this machine, each rewritten to ask for the sources of $suite. Not all can
# have it (a vendor's own repository, say): the right one is found by trying.
list_candidates() {
    local etc file
    eval "$(apt-config shell etc Dir::Etc/d)"
    for file in "${etc%/}"/sources.list "${etc%/}"/sources.list.d/*.list; do
        [[ -f $file ]] || continue
        awk -v suite="$suite" -v out="$WORK/candidates/${file##*/}" '
            $1 == "deb" || $1 == "deb-src" {
                options = ""; rest = $0
                sub(/^[ \t]*deb(-src)?[ \t]+/, "", rest)
                if (match(rest, /^\[[^]]*\][ \t]*/)) {
                    options = substr(rest, 1, RLENGTH); rest = substr(rest, RLENGTH + 1)
                }
                split(rest, field, /[ \t]+/)
                if (seen[field[1]]++) next
                name = out "-" ++count ".list"
                print "deb-src " options field[1] " " suite " main" >name
                close(name)
            }' "$file"
    done
    for file in "${etc%/}"/sources.list.d/*.sources; do
        [[ -f $file ]] || continue
        awk -v suite="$suite" -v out="$WORK/candidates/${file##*/}" '
            function flush() {
                if (stanza ~ /(^|\n)URIs:/ && !disabled) {
                    name = out "-" ++count ".sources"
                    printf "Types: deb-src\nSuites: %s\nComponents: main\n%s", suite, stanza >name
                    close(name)
                }
                stanza = ""; disabled = 0; dropping = 0
            }
            /^#/ { next }
            /^[ \t]*$/ { flush(); next }
            /^[ \t]/ { if (!dropping) stanza = stanza $0 "\n"; next }
            {
                key = tolower($0); sub(/:.*/, "", key)
                dropping = key ~ /^(types|suites|components|architectures|enabled)$/
                if (key == "enabled" && tolower($2) ~ /^(no|false|0)$/) disabled = 1
                if (!dropping) stanza = stanza $0 "\n"
            }
            END { flush() }' "$file"
    done
}

from_apt_source() {
    local candidate=$1 apt=$WORK/apt package=python${version%.*} found
    rm -rf "$apt"
    mkdir -p "$apt"/{state/lists/partial,cache/archives/partial,sources,download}
    cp "$candidate" "$apt/sources/"
    # All of apt's state in a place of our own: the machine's lists and settings stay as they are, and no
    # root is needed. The machine's proxies, credentials and keys apply. Hooks are for its own state: off.
    # A release that gets no more updates has an index past its date; the digest is what we go by.
    cat >"$apt/apt.conf" <<END
Dir::State "$apt/state";
Dir::State::status "/dev/null";
Dir::Cache "$apt/cache";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$apt/sources";
APT::Sandbox::User "";
APT::Get::List-Cleanup "false";
Acquire::Check-Valid-Until "false";
Acquire::Languages "none";
Acquire::Retries "2";
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
END
    # apt's own words matter only if nothing works out in the end: they go to stderr.
    apt-get -q -c "$apt/apt.conf" update >&2 || return 1
    (cd "$apt/download" && apt-get -q -c "$apt/apt.conf" source --download-only --tar-only "$package" >&2) || return 1
    found=("$apt/download/${package}_$version".orig.tar.*)
    if ! has_digest "${found[0]}"; then
        say "$suite has no $name with the digest $sha256, but: $(cd "$apt/download" && echo ./*)"
        return 1
    fi
    mv "${found[0]}" "$WORK/tarball"
}

has_digest() {
    [[ -f $1 ]] && [[ $(sha256sum <"$1") == "$sha256 "* ]]
}

say() {
    printf 'fetch-cpython-source: %s\n' "$*" >&2
}

die() {
    say "$*"
    exit 1
}

main "$@"
