#!/usr/bin/env bash
# Whether this machine can run `make test-engines`. Fails with one line that says why not.
#
#     can-test-engines.sh
#
# It needs namespaces, Java, and Hadoop: fetched before (see fetch-hadoop.sh), or to be had by Maven.
set -Eeuo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly HERE
WORK=''

main() {
    has_namespaces || die "it needs namespaces, which this machine refuses. To allow them: $(how_to_allow_namespaces)"
    command -v java >/dev/null || die 'it needs Java: apt-get install openjdk-17-jre-headless'
    is_fetched || maven_reaches_hadoop
}

# As the sandbox has them: as root, or in a namespace of users, in which some systems allow no mounts.
has_namespaces() {
    mounts || mounts --user --map-root-user
}

# mounts [OPTION]…
mounts() {
    unshare "$@" --mount --pid --fork --propagation private mount -t tmpfs none /mnt 2>/dev/null
}

how_to_allow_namespaces() {
    PYTHONPATH=$HERE/.. python3 -c 'from mrjob_pybundle.sandbox.machines import needs; print(needs.how_to_allow_namespaces())'
}

is_fetched() {
    local version
    version=$(sed -n 's|.*<hadoop.version>\(.*\)</hadoop.version>.*|\1|p' "$HERE/hadoop/pom.xml")
    [[ -d ${XDG_CACHE_HOME:-$HOME/.cache}/mrjob-pybundle/hadoop-$version/jars ]]
}

# By way of one small file of all that it needs.
maven_reaches_hadoop() {
    command -v mvn >/dev/null || die 'it needs Maven: apt-get install maven'
    WORK=$(mktemp -d "${TMPDIR:-/tmp}/can-test-engines.XXXXXXXX")
    trap 'rm -rf "$WORK"' EXIT
    mvn --batch-mode --quiet --file "$HERE/hadoop/pom.xml" -Dmaven.repo.local="$WORK/repository" \
        org.apache.maven.plugins:maven-dependency-plugin:3.6.1:get -Dtransitive=false \
        -Dartifact=org.apache.hadoop:hadoop-streaming:3.4.2:pom >"$WORK/log" 2>&1 \
        || die "Maven cannot reach Maven Central: $(cause "$WORK/log")"
}

# The first error that Maven has logged, or its last words.
cause() {
    grep --only-matching --max-count=1 '\[ERROR\].*' "$1" || tail -n 1 "$1"
}

die() {
    printf '%s\n' "$*" >&2
    exit 1
}

main "$@"
