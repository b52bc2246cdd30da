#!/usr/bin/env bash
# The demo, run inside the sandbox by "make demo": the same job twice, and an independent count of its words.
#
# usage: demo.sh CPYTHON_VERSION CPYTHON_SOURCE_TARBALL
set -euo pipefail
readonly version=$1 tarball=$2
here=$(cd "$(dirname "$0")" && pwd)
readonly here
python=$here/../.venv/bin/python
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { printf '\n=== %s\n' "$*" >&2; }

# Real text: the documents that come with mrjob, and the history file of the CPython that is being compiled.
texts=$("$python" -c 'import mrjob, os; print(os.path.dirname(mrjob.__file__))')/examples/docs-to-classify
cp "$texts"/*.txt "$work/"
tar -xOf "$tarball" --wildcards '*/Misc/HISTORY' >"$work/HISTORY"

run_job() {
  "$python" "$here/wordcount.py" -r pybundle-emr \
    --pybundle-venv-build "$here/venv-build.sh" \
    --pybundle-python-version "$version" --pybundle-python-source "$tarball" --no-pybundle-optimize \
    "$work"/*.txt "$work/HISTORY"
}

clusters() { aws emr list-clusters --query 'length(Clusters)'; }

say "First run: compiles CPython $version and builds the virtual environment, unless an earlier demo has"
SECONDS=0
before=$(clusters)
run_job >"$work/first"
say "First run: $SECONDS seconds, $(($(clusters) - before)) clusters launched"

say "Second run: everything is in the cache"
SECONDS=0
before=$(clusters)
run_job >"$work/second"
say "Second run: $SECONDS seconds, $(($(clusters) - before)) cluster launched: the job's own"

say "Counting again, without Hadoop, mrjob or Python"
cat "$work"/*.txt "$work/HISTORY" |
  perl -CSD -ne '$_ = lc; print "$1\n" while /(\p{L}+)/g' | sort | uniq -c | awk '{ print $2 "\t" $1 }' | sort >"$work/independent"
for run in first second; do
  "$python" -c 'import json, sys
for line in sys.stdin:
    word, count = line.rstrip("\n").split("\t")
    print(json.loads(word), count, sep="\t")' <"$work/$run" | LC_ALL=C sort >"$work/$run.plain"
  LC_ALL=C sort "$work/independent" | cmp - "$work/$run.plain"
done
say "Equal: $(wc -l <"$work/independent") different words. The most frequent:"
sort -t "$(printf '\t')" -k2,2nr "$work/second.plain" | sed -n 1,10p
