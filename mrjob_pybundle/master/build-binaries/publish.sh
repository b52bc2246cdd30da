# The archives, into the cache. Part of no recipe.
# shellcheck shell=bash

stage_publish() {
    publish venv
}

# publish KIND: the archive, then its manifest.
publish() {
    local kind=$1 key=$PYTHON_KEY directory=$PYTHON_DIRECTORY
    [[ $kind == python ]] || { key=$VENV_KEY; directory=$VENV_DIRECTORY; }
    say_what_is_new_for_some_nodes "$kind"
    write_down_what_is_inside "$kind"
    make_tools
    as_tool "$INPUTS/master/publish.py" --kind "$kind" --key "$key" --directory "$directory" \
        --archive "$ARCHIVES/$kind.tar.gz" --description "$WORK/$kind-archive.json" --inputs "$WORK/$kind-inputs.json" \
        --python-key "$PYTHON_KEY" --python-directory "$PYTHON_DIRECTORY" \
        --python-description "$WORK/python-archive.json" --freeze "$WORK/freeze.txt" \
        --contents "$WORK/$kind-contents.json" --python-contents "$WORK/python-contents.json" \
        --source-name "${SOURCE_URI##*/}" --source-sha256 "$SOURCE_SHA256" --python-version "$PYTHON_VERSION" \
        --build-id "$BUILD_ID" --owner "$OWNER" --cluster-id "$(cluster_id)" --os "$(os_release PRETTY_NAME)" \
        --arch "$ARCH" --pybundle-version "$PYBUNDLE_VERSION" --seconds "$STATE/stages" --rebuild "$REBUILD" \
        --bucket-owner "$BUCKET_OWNER" --region "$CACHE_REGION" \
        || die "could not publish the $kind archive: $(tail -n 1 "$LOG")"
}

# Releases of an operating system share bundles, and the C library gains symbols in the course of them.
say_what_is_new_for_some_nodes() {
    local kind=$1 newer
    [[ -n $OLDEST_GLIBC ]] || return 0
    newer=$(helper needs.py --description "$WORK/$kind-archive.json" --oldest-glibc "$OLDEST_GLIBC")
    [[ -z $newer ]] || note "the $kind archive needs $newer: nodes of older releases may have only glibc $OLDEST_GLIBC"
}

# Nothing depends on it: a bundle of which it is not known is as good as any.
write_down_what_is_inside() {
    local kind=$1 top=py said
    [[ $kind == python ]] || top=venv
    said=$("$PYTHON" -B -S "$INPUTS/master/contents.py" --root "$ROOT" --kind "$top" --given "$INPUTS" \
        --copied "$WORK/$kind-copied.json" --contents "$WORK/$kind-contents.json") \
        || said="not all that is inside of the $kind archive was written down: $(tail -n 1 "$LOG")"
    [[ -z $said ]] || note "$(tr '\n' ' ' <<<"$said")"
}

# What publish.py runs with, apart from everything that goes into an archive: the submitter's own, which came along, or
# for older Pythons what tools.txt names.
make_tools() {
    local -a pip
    [[ ! -e $INPUTS/tools ]] || return 0
    if [[ $PYTHON_VERSION == 2.* ]]; then
        pip=(env "PYTHONUSERBASE=$WORK/pip" "$PYTHON" -m pip)
        env "PYTHONUSERBASE=$WORK/pip" "$PYTHON" -m ensurepip --user
    else
        pip=("$WORK/pip/bin/python" -m pip)
        "$PYTHON" -m venv --symlinks "$WORK/pip"
    fi
    "${pip[@]}" install -q --disable-pip-version-check --no-input --only-binary :all: --require-hashes --no-deps \
        --requirement "$INPUTS/tools.txt" --target "$INPUTS/tools" </dev/null \
        || die "pip could not install botocore, with which the build publishes: does this machine reach a package index?" \
            'Bundles with Python 3.10 and newer need none.'
}

as_tool() {
    PYTHONPATH=$INPUTS/tools "$PYTHON" -B -s "$@"
}

# "" where this is no EMR cluster.
cluster_id() {
    sed -n 's/.*"jobFlowId"[[:space:]]*:[[:space:]]*"\([^"]*\)".*/\1/p' /mnt/var/lib/info/job-flow.json 2>/dev/null || true
}
