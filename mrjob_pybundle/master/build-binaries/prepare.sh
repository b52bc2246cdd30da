# What a build begins with: the machine that it is for, what it was given, and a Python that is cached.
# Part of no recipe.
# shellcheck shell=bash

stage_prepare() {
    local os_id os_version machine
    os_id=$(os_release ID) os_version=$(os_release VERSION_ID) machine=$(uname -m)
    printf 'mrjob-pybundle %s, build %s for %s, on %s (%s), %s cores\n' \
        "$PYBUNDLE_VERSION" "$BUILD_ID" "$OWNER" "$(os_release PRETTY_NAME)" "$machine" "$CORES"
    [[ $machine == "$ARCH" ]] || die "this machine is $machine, but the bundle is for $ARCH"
    case $OS_FAMILY in
        amzn2) [[ $os_id == amzn && $os_version == 2 ]] ;;
        amzn2023) [[ $os_id == amzn && $os_version == 2023* ]] ;;
        *) ;; # A custom AMI: its id says nothing about what is inside.
    esac || die "this machine runs $(os_release PRETTY_NAME), but the bundle is for $OS_FAMILY"
    check_keys

    mkdir -p "$ROOT" "$INPUTS" "$ARCHIVES"
    fetch_verified "$BUILD_URI/inputs.tar.gz" "$WORK/inputs.tar.gz" "$INPUTS_SHA256" ''
    tar -xzf "$WORK/inputs.tar.gz" --no-same-owner -C "$INPUTS"
    mkdir -p "$INPUTS/files"
    printf '%s' "$PYTHON_INPUTS" >"$WORK/python-inputs.json"
    printf '%s' "$VENV_INPUTS" >"$WORK/venv-inputs.json"
}

# The team will trust what lies under these keys, so they must be what they say they are: digests of these inputs.
check_keys() {
    [[ $(printf '%s' "$PYTHON_INPUTS" | sha256sum) == "$PYTHON_KEY "* ]] || die "the python key is not that of its inputs"
    [[ $(printf '%s' "$VENV_INPUTS" | sha256sum) == "$VENV_KEY "* ]] || die "the venv key is not that of its inputs"
    [[ $VENV_INPUTS == *"\"python\":\"$PYTHON_KEY\""* ]] || die 'the venv key is for another Python'
    # Of a release, the version says it all.
    [[ -z $SOURCE_URI || $PYTHON_INPUTS == *'"source_sha256":null'* ]] \
        || [[ $PYTHON_INPUTS == *"\"source_sha256\":\"$SOURCE_SHA256\""* ]] \
        || die "$SOURCE_URI is not the source that the python key was made of"
}

# Compared as soon as there is a Python to do it: files, the submitter's mrjob, the hook.
stage_inputs() {
    "$PYTHON" -B -S "$INPUTS/master/check_inputs.py" --given "$INPUTS" --inputs "$WORK/venv-inputs.json" \
        || die "this build was given other inputs than its key was made of: $(tail -n 1 "$LOG")"
}

stage_fetch_python() {
    fetch_verified "$PYTHON_ARCHIVE_URI" "$ARCHIVES/python.tar.gz" "$PYTHON_ARCHIVE_SHA256" "$PYTHON_ARCHIVE_SIZE"
    tar -xzf "$ARCHIVES/python.tar.gz" --no-same-owner -C "$ROOT"
    helper archive.py --describe "$ARCHIVES/python.tar.gz" --description "$WORK/python-archive.json"
}

# fetch_verified URI FILE SHA256 SIZE: digest and size "" where none is known.
fetch_verified() {
    local uri=$1 file=$2 sha256=$3 size=$4 found
    aws s3 cp --only-show-errors "$uri" "$file" || die "cannot fetch $uri: $(tail -n 1 "$LOG")"
    found=$(stat -c %s "$file")
    [[ -z $size || $found == "$size" ]] || die "$uri is damaged: wanted $size bytes, found $found"
    found=$(sha256sum <"$file")
    found=${found%% *}
    [[ -z $sha256 || $found == "$sha256" ]] || die "$uri is damaged: wanted sha256 $sha256, found $found"
}

# os_release NAME: one value of /etc/os-release, "" if it has none.
os_release() {
    (
        set +u
        # shellcheck source=/dev/null
        . /etc/os-release
        printf '%s' "${!1}"
    )
}

as_root() {
    if ((EUID == 0)); then
        "$@"
    else
        sudo "$@"
    fi
}
