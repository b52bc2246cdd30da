#!/usr/bin/env bash
# Fetch the jars of Apache Hadoop that the sandbox's Hadoop engine runs, and print their directory.
#
#     fetch-hadoop.sh [DIRECTORY]
#
# DIRECTORY is where the sandbox looks for them, unless given: ~/.cache/mrjob-pybundle/hadoop-<version>.
# Maven fetches them, with this machine's own settings and mirrors: what hadoop/pom.xml names, and what that
# needs in turn. Every jar must have the digest in hadoop/sha256sums. What is there already is not fetched again.
#
# After a change of hadoop/pom.xml, `fetch-hadoop.sh --pin` writes new digests instead.
set -Eeuo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly HERE
WORK=''

main() {
    local pin=no version directory
    if [[ ${1:-} == --pin ]]; then
        pin=yes
        shift
    fi
    (($# <= 1)) || die 'usage: fetch-hadoop.sh [--pin] [DIRECTORY]'
    version=$(sed -n 's|.*<hadoop.version>\(.*\)</hadoop.version>.*|\1|p' "$HERE/hadoop/pom.xml")
    directory=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/mrjob-pybundle/hadoop-$version}

    if [[ $pin == no ]] && is_complete "$directory/jars"; then
        printf '%s\n' "$directory"
        return
    fi
    command -v mvn >/dev/null || die 'needs Maven: apt-get install maven openjdk-17-jre-headless'
    WORK=$(mktemp -d "${TMPDIR:-/tmp}/hadoop-jars.XXXXXXXX")
    trap 'rm -rf "$WORK"' EXIT
    mvn --batch-mode --quiet --file "$HERE/hadoop/pom.xml" -Dmaven.repo.local="$WORK/repository" \
        -DoutputDirectory="$WORK/jars" -DincludeScope=runtime \
        org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies >"$WORK/log" 2>&1 \
        || die "Maven could not fetch Hadoop $version: $(cause "$WORK/log")"
    if [[ $pin == yes ]]; then
        (cd "$WORK/jars" && sha256sum -- *.jar) >"$HERE/hadoop/sha256sums"
    fi
    is_complete "$WORK/jars" || die "these are not the jars in $HERE/hadoop/sha256sums"

    # The directory may be on another file system: only a rename within it is atomic.
    mkdir -p "${directory%/*}"
    rm -rf "$directory.$$"
    mkdir "$directory.$$"
    cp -R "$WORK/jars" "$directory.$$/"
    rm -rf "$directory"
    mv -T "$directory.$$" "$directory"
    printf '%s\n' "$directory"
}

# Whether a directory holds every jar with its digest, and no other file.
is_complete() {
    [[ -d $1 && $(find "$1" -type f | wc -l) == $(wc -l <"$HERE/hadoop/sha256sums") ]] \
        && (cd "$1" && sha256sum --check --quiet --strict "$HERE/hadoop/sha256sums" >&2)
}

# The first error that Maven has logged, or its last words.
cause() {
    grep --only-matching --max-count=1 '\[ERROR\].*' "$1" || tail -n 1 "$1"
}

die() {
    printf 'fetch-hadoop: %s\n' "$*" >&2
    exit 1
}

main "$@"
