# What a node has against a bundle: better told here than in every task. A part of bootstrap.sh.tmpl and unpack.sh.tmpl.
# shellcheck shell=bash disable=SC2154

# Libraries of another architecture may have the same names, and versions of the same names.
check_architecture() {
    local here
    here=$(uname -m)
    [[ $here == "$ARCH" ]] \
        || die "the bundle is for $ARCH, and this node is $here: all instances of a cluster must have one architecture."
}

# Files of the bundle need these version names of libraries that are not in it: "libc.so.6:GLIBC_2.34". A name is there
# or not; its number says nothing, for distributions add some to a release that came without them.
check_libraries() {
    local need name known before='' missing=''
    local -a names versions=()
    ((${#NEEDS[@]} > 0)) || return 0
    names=("${NEEDS[@]%%:*}")
    # A node knows a thousand libraries, and line by line bash takes long to read that.
    known=$(/sbin/ldconfig -p 2>/dev/null | grep -F "${names[@]/#/-e}") || known=''
    # Those of a library follow each other.
    for need in "${NEEDS[@]}" ''; do
        name=${need%%:*}
        if [[ $name != "$before" ]]; then
            ((${#versions[@]} == 0)) || missing+=$(lacking "$(library_of_node "$before")" "${versions[@]}")
            before=$name versions=()
        fi
        versions+=("${need#*:}")
    done
    [[ -z $missing ]] \
        || die "the bundle was built on a newer system than this node's, which lacks ${missing%, }. $REMEDY"
}

# lacking FILE VERSION…: which of these names the library does not have.
lacking() {
    local file=$1 version found
    # Where a library is missing, not all that needs it need be in use: its loader says so where it is.
    [[ -n $file ]] || return 0
    shift
    # In the file, each name ends with NUL.
    found=$(LC_ALL=C grep -azxF "${@/#/-e}" -- "$file" | tr '\0' '\n') || found=''
    for version in "$@"; do
        [[ $'\n'$found$'\n' == *$'\n'"$version"$'\n'* ]] || printf '%s in %s, ' "$version" "$file"
    done
}

# library_of_node NAME: its path, "" if there is none.
library_of_node() {
    local found kind place
    while read -r found kind place; do
        if [[ $found == "$1" && $kind == *64* ]]; then
            printf '%s' "${place##*=> }"
            return
        fi
    done <<<"$known"
    for place in {,/usr}/lib64 {,/usr}/lib/*-linux-gnu {,/usr}/lib; do
        if [[ -e $place/$1 ]]; then
            printf '%s' "$place/$1"
            return
        fi
    done
}

# check_python PYTHON: it starts, and what depends on the node works: its loader, its C library, and how OpenSSL is to
# work, which is configured for the whole machine.
check_python() {
    local said status=0 mode=''
    said=$(try_python "$1" 2>&1) || status=$?
    ((status != 0)) || return 0
    # Of a traceback, the last line says it all.
    said=${said##*$'\n'}
    [[ $(cat /proc/sys/crypto/fips_enabled 2>/dev/null) != 1 ]] || mode=' (the node is in FIPS mode)'
    if OPENSSL_CONF=/dev/null try_python "$1" >/dev/null 2>&1; then
        die "the bundle's OpenSSL cannot work as this node's openssl.cnf wants it to: $said$mode. $REMEDY"
    fi
    die "the bundle's Python does not work on this node: ${said:-exit status $status}$mode"
}

# Python 2.7 takes an empty PYTHONHOME for one.
try_python() (
    unset PYTHONHOME PYTHONPATH
    "$1" -c 'import ctypes, sqlite3, ssl; ssl.create_default_context()'
)
