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
    # For every pip from here on, venv-build.sh's and ours: without it, none may reach an index.
    [[ ! -f $INPUTS/files/pip.conf ]] || export PIP_CONFIG_FILE=$INPUTS/files/pip.conf
    printf '%s' "$PYTHON_INPUTS" >"$WORK/python-inputs.json"
    printf '%s' "$VENV_INPUTS" >"$WORK/venv-inputs.json"

    check_interpreter
    check_that_it_may_write
    look_for_package_index
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

# Whoever is to run venv-build.sh is here, or will be by then. What the script itself says against it, the submitter has
# been told: bundle/venv_build.py.
check_interpreter() {
    local script=$INPUTS/venv-build.sh line interpreter argument program
    [[ -e $script && $(head -c 2 "$script") == '#!' ]] || return 0
    line=$(head -n 1 "$script" | tr -d '\0')
    read -r interpreter argument <<<"${line#\#!}"
    program=$interpreter
    # A relative one may be among the build files.
    if (cd "$INPUTS/files" && [[ -f $interpreter && -x $interpreter ]]); then
        [[ ${interpreter##*/} == env ]] || return 0
        if [[ $argument == -*S* ]] && ! env -S true 2>/dev/null; then
            die "venv-build.sh begins with $line, but env on this machine does not know -S"
        fi
        program=$(program_of_env "$argument")
        [[ -n $program ]] || return 0
        case $program in
            # In the environment by then.
            python | python"${PYTHON_VERSION%%.*}" | python"$SHORT_VERSION") return 0 ;;
            pip | pip"${PYTHON_VERSION%%.*}" | pip"$SHORT_VERSION") return 0 ;;
        esac
        if type -P "$program" >/dev/null; then
            return 0
        fi
    fi
    # The next stage installs make.
    [[ -z $program || ${program##*/} == make ]] || die "venv-build.sh begins with $line, but this machine has no $program"
}

# program_of_env ARGUMENT: what env is to run, "" if that cannot be told.
program_of_env() {
    local word
    local -a words
    read -r -a words <<<"$1"
    for word in "${words[@]+"${words[@]}"}"; do
        if [[ $word != -* && $word != *=* ]]; then
            printf '%s' "$word"
            return
        fi
    done
}

# What will have to be written in the end is written now, in small: nothing is as cheap to find out later. The role need
# not be allowed to delete these objects. There is one for each key, and gc takes it.
check_that_it_may_write() {
    local uri
    local -a probes=("$BUILD_URI/probe" "$VENV_DIRECTORY/probe")
    [[ -n $PYTHON_ARCHIVE_URI ]] || probes+=("$PYTHON_DIRECTORY/probe")
    printf '%s\n' "$BUILD_ID" >"$WORK/probe"
    for uri in "${probes[@]}"; do
        timeout 120 aws s3 cp --only-show-errors ${CACHE_REGION:+--region "$CACHE_REGION"} "$WORK/probe" "$uri" \
            || die "cannot write $uri, and so could publish nothing: $(tail -n 1 "$LOG")." \
                "docs/security.md lists what the build master's role must be allowed."
    done
}

# A build can do without one, so that none can be reached is only said. Whether it can be, pip alone knows.
look_for_package_index() {
    local said status=0
    if python_is_at_least 3 10 && ! grep -q pip "$INPUTS/venv-build.sh" 2>/dev/null; then
        return 0
    fi
    python3 -m pip --version >/dev/null 2>&1 || return 0
    # A small package that boto3 needs. One that an index does not have is an answer, too.
    said=$(timeout 20 python3 -m pip download --no-deps --no-cache-dir --no-input --disable-pip-version-check --retries 1 \
        --timeout 5 --dest "$WORK/index" six 2>&1 </dev/null) || status=$?
    rm -rf "$WORK/index"
    if ((status == 124)) || { ((status != 0)) && [[ $said == *'after connection broken by'* ]]; }; then
        note 'pip reaches no package index from here: what it is to install from one cannot be installed'
    fi
}

# note TEXT: something that whoever waits should know; for the log and the report.
note() {
    printf 'note: %s\n' "$1"
    printf '%s\n' "$1" >>"$STATE/notes"
}

# Compared as soon as there is a Python to do it: files, the submitter's mrjob, the hook.
stage_inputs() {
    "$PYTHON" -B -S "$INPUTS/master/check_inputs.py" --given "$INPUTS" --inputs "$WORK/venv-inputs.json" \
        || die "this build was given other inputs than its key was made of: $(tail -n 1 "$LOG")"
}

stage_fetch_python() {
    fetch_verified "$PYTHON_ARCHIVE_URI" "$ARCHIVES/python.tar.gz" "$PYTHON_ARCHIVE_SHA256" "$PYTHON_ARCHIVE_SIZE" \
        '. Run the job with --pybundle-rebuild to have it built anew.'
    tar -xzf "$ARCHIVES/python.tar.gz" --no-same-owner -C "$ROOT"
    helper archive.py --describe "$ARCHIVES/python.tar.gz" --description "$WORK/python-archive.json"
}

# fetch_verified URI FILE SHA256 SIZE [REMEDY]: digest and size "" where none is known.
fetch_verified() {
    local uri=$1 file=$2 sha256=$3 size=$4 remedy=${5:-} found
    aws s3 cp --only-show-errors ${CACHE_REGION:+--region "$CACHE_REGION"} "$uri" "$file" \
        || die "cannot fetch $uri: $(tail -n 1 "$LOG")"
    found=$(stat -c %s "$file")
    [[ -z $size || $found == "$size" ]] || die "$uri is damaged: wanted $size bytes, found $found$remedy"
    found=$(sha256sum <"$file")
    found=${found%% *}
    [[ -z $sha256 || $found == "$sha256" ]] || die "$uri is damaged: wanted sha256 $sha256, found $found$remedy"
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
