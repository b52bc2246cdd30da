#!/bin/bash
# Configures and compiles CPython as a build cluster does: SOURCE_DIRECTORY VERSION. A part of compiling.py.
# shellcheck disable=SC2034
set -Eeuo pipefail
umask 022

readonly SOURCE=$1 PYTHON_VERSION=$2 OPTIMIZE=yes
readonly SHORT_VERSION=${PYTHON_VERSION%.*} WORK=$SOURCE LOG=/dev/null INPUTS=$SOURCE/inputs
readonly -a CONFIGURE_ARGS=()

die() {
    printf '%s\n' "$*" >&2
    exit 1
}

# On a master, the programs lie there.
mkdir "$INPUTS"
cp -r "$(cd "${BASH_SOURCE[0]%/*}" && pwd)/../mrjob_pybundle/master/programs" "$INPUTS/master"
# shellcheck source=/dev/null
. "${BASH_SOURCE[0]%/*}/../mrjob_pybundle/master/build-binaries/python.sh"

stage_configure
stage_compile
