#!/usr/bin/env bash
# Fetch the Apache Spark that the sandbox's Hadoop engine runs, and print its directory.
#
#     fetch-spark.sh [DIRECTORY]
#
# DIRECTORY is where the sandbox looks for it, unless given: ~/.cache/mrjob-pybundle/spark-<version>.
# pip fetches it, with this machine's own settings and mirrors: the package that spark/requirements.txt names, which must
# have the digest there. It is installed for the sandbox alone, into no environment of anybody's, and without the Hadoop
# that comes with it: as on EMR, Spark uses the cluster's. What is there already is not fetched again.
set -Eeuo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly HERE
WORK=''

main() {
    local version directory
    (($# <= 1)) || die 'usage: fetch-spark.sh [DIRECTORY]'
    version=$(sed -n 's/^pyspark==\([^ ]*\) .*/\1/p' "$HERE/spark/requirements.txt")
    directory=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/mrjob-pybundle/spark-$version}
    if [[ -d $directory ]]; then
        printf '%s\n' "$directory"
        return
    fi

    # The directory may be on another file system: only a rename within it is atomic.
    mkdir -p "$directory.$$"
    WORK=$directory.$$
    trap 'rm -rf "$WORK"' EXIT
    python3 -m venv "$WORK/venv" >&2 || die 'needs Python with venv: apt-get install python3-venv'
    "$WORK/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --no-compile --require-hashes \
        --requirement "$HERE/spark/requirements.txt" --target "$WORK/site" >&2 \
        || die "pip could not fetch Spark $version"
    rm "$WORK"/site/pyspark/jars/hadoop-*.jar
    mv -T "$WORK/site/pyspark" "$directory"
    printf '%s\n' "$directory"
}

die() {
    printf 'fetch-spark: %s\n' "$*" >&2
    exit 1
}

main "$@"
