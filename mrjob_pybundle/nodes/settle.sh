# shellcheck shell=sh
# settle NEW PLACE: tells the environment of the bundle in NEW that the bundle will be at PLACE. An archive knows of no place.
# There, Python and what makes other environments from this one find what `python -m venv` would have left them in one
# that was made there; and scripts begin as pip wrote them, with one line that is no part of their text.
set -eu
new=$1 place=$2
printf 'home = %s/py/bin\n' "$place" >>"$new/venv/pyvenv.cfg"

# What scripts say of the bundle's place: an interpreter of theirs that is not Python, for one. (master/programs/relocate.py)
safe=$(printf '%s' "$place" | sed 's/[&|\\]/\\&/g')
find "$new/venv/bin" -type f -exec env LC_ALL=C grep -lIZF /nonexistent/mrjob-pybundle-root/ {} + \
    | LC_ALL=C xargs -0 -r sed -i "s|/nonexistent/mrjob-pybundle-root/|$safe/|g"

# Older kernels read 127 bytes of such a line, and all end the path at a space. pip leaves the way to Python to sh then, as
# the archive does.
case $place in *[!A-Za-z0-9/._-]*) exit 0 ;; esac
[ "${#place}" -le 96 ] || exit 0
find "$new/venv/bin" -type f -exec grep -lZF -- '"$(dirname -- "$(readlink -f -- "$0")")/python"' {} + \
    | LC_ALL=C xargs -0 -r sed -i '1{N;N;s|^#!/bin/sh\n...exec. .*/python"\(.*\) "$0" "$@"\n. ...$|#!'"$place"'/venv/bin/python\1|}'
