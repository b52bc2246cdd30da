# The archives, into the cache. Part of no recipe.
# shellcheck shell=bash

stage_publish() {
    publish venv
}

# publish KIND: the archive, then its manifest.
publish() {
    local kind=$1 key=$PYTHON_KEY directory=$PYTHON_DIRECTORY
    [[ $kind == python ]] || { key=$VENV_KEY; directory=$VENV_DIRECTORY; }
    make_tools
    as_tool "$INPUTS/master/publish.py" --kind "$kind" --key "$key" --directory "$directory" \
        --archive "$ARCHIVES/$kind.tar.gz" --description "$WORK/$kind-archive.json" --inputs "$WORK/$kind-inputs.json" \
        --python-key "$PYTHON_KEY" --python-directory "$PYTHON_DIRECTORY" \
        --python-description "$WORK/python-archive.json" --freeze "$WORK/freeze.txt" \
        --source-name "${SOURCE_URI##*/}" --source-sha256 "$SOURCE_SHA256" --python-version "$PYTHON_VERSION" \
        --build-id "$BUILD_ID" --owner "$OWNER" --cluster-id "$(cluster_id)" --os "$(os_release PRETTY_NAME)" \
        --arch "$ARCH" --pybundle-version "$PYBUNDLE_VERSION" --seconds "$STATE/stages" --rebuild "$REBUILD" \
        --bucket-owner "$BUCKET_OWNER" || die "could not publish the $kind archive: $(tail -n 1 "$LOG")"
}

# boto3 for publishing, apart from everything that goes into an archive.
make_tools() {
    [[ ! -e $WORK/tools ]] || return 0
    if [[ $PYTHON_VERSION == 2.* ]]; then
        PYTHONUSERBASE=$WORK/tools "$PYTHON" -m ensurepip --user >/dev/null
        PYTHONUSERBASE=$WORK/tools "$PYTHON" -m pip install -q --user boto3
    else
        "$PYTHON" -m venv --symlinks "$WORK/tools"
        "$WORK/tools/bin/python" -m pip install -q --disable-pip-version-check --no-input boto3
    fi </dev/null || die 'pip could not install boto3, with which the build publishes: does this machine reach a package index?'
}

as_tool() {
    if [[ $PYTHON_VERSION == 2.* ]]; then
        PYTHONUSERBASE=$WORK/tools "$PYTHON" "$@"
    else
        "$WORK/tools/bin/python" "$@"
    fi
}

# "" where this is no EMR cluster.
cluster_id() {
    sed -n 's/.*"jobFlowId"[[:space:]]*:[[:space:]]*"\([^"]*\)".*/\1/p' /mnt/var/lib/info/job-flow.json 2>/dev/null || true
}
