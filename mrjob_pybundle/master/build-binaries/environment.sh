# What the venv archive's bytes come from, besides python.sh. Part of VENV_RECIPE.
# shellcheck shell=bash disable=SC2164,SC2034

readonly ENVIRONMENT_STAGES=(venv venv-build finish-venv venv-archive)

stage_venv() {
    if [[ $PYTHON_VERSION == 2.* ]]; then
        helper python27_venv.py create "$ROOT"
        "$VENV/bin/python" -m ensurepip
        # The bundled pip does not know of the newest wheels for Linux that 2.7 got.
        as_venv python -m pip install -q --upgrade 'pip<21' 'setuptools<45'
        ln -s python "$VENV/bin/python2"
        ln -s python "$VENV/bin/python$SHORT_VERSION"
    else
        "$PYTHON" -m venv --symlinks "$VENV"
    fi
}

stage_venv_build() {
    local script=$INPUTS/files/venv-build.sh status=0
    if [[ ! -e $INPUTS/venv-build.sh ]]; then
        echo 'no venv-build.sh: a bundle of Python and mrjob alone'
        return
    fi
    mv "$INPUTS/venv-build.sh" "$script"
    cd "$INPUTS/files"
    # Any interpreter will do; a script that names none is one for bash.
    if [[ $(head -c 2 "$script") == '#!' ]]; then
        chmod u+x "$script"
        as_venv "$script" </dev/null || status=$?
    else
        as_venv bash "$script" </dev/null || status=$?
    fi
    if ((status != 0)); then
        EXIT_STATUS=$status
        die "venv-build.sh ended with exit status $status"
    fi
}

stage_finish_venv() {
    local site_packages wheel version
    site_packages=$VENV/lib/python$SHORT_VERSION/site-packages
    wheel=$(echo "$INPUTS"/mrjob-*.whl)
    if as_venv python -c 'import mrjob' 2>/dev/null; then
        echo 'mrjob: the one that venv-build.sh installed'
    elif [[ -e $wheel ]]; then
        version=${wheel##*/mrjob-}
        pip_of_python install -q --no-deps --no-index --find-links "$INPUTS" "mrjob==${version%%-*}"
    fi
    if [[ $PYTHON_VERSION != 2.* && -e $INPUTS/mrjob_pybundle_hook.pth ]]; then
        cp "$INPUTS"/mrjob_pybundle_{hook.py,hook.pth,imports.py,tasks.py} "$site_packages/"
    fi
    pip_of_python list --format=freeze >"$WORK/freeze.txt"
    cat "$WORK/freeze.txt"
    # Until here it has been an environment like any other, and tools make others from it. From here on it does not know
    # where it is.
    helper relocate.py --root "$ROOT"
    rm -f "$VENV"/bin/[Aa]ctivate*
    helper shared_libraries.py --tree "$VENV" --into "$VENV/lib" --also "$ROOT/py/lib" --copied "$WORK/venv-copied.json"
    compile_modules "$VENV/lib/python$SHORT_VERSION"
}

stage_venv_archive() {
    helper archive.py --tree "$VENV" --archive "$ARCHIVES/venv.tar.gz" --description "$WORK/venv-archive.json"
}

# pip for the environment, from the copy inside the standard library: venv-build.sh may have taken the environment's own
# away, and its settings are for what venv-build.sh installs.
pip_of_python() {
    PIP_CONFIG_FILE=/dev/null as_venv python "$(echo "$ROOT"/py/lib/python*/ensurepip/_bundled/pip-*.whl)/pip" "$@"
}

# Runs a command with the virtual environment active.
as_venv() {
    # setuptools looks for Python.h where Python was configured to lie. A release that is newer than the machine's C library
    # has no wheel for it, and rarely compiles there either: prefer the one before, that has.
    env -u PYTHONHOME VIRTUAL_ENV="$VENV" PATH="$VENV/bin:$PATH" CPATH="$(echo "$ROOT"/py/include/python*)" \
        PIP_PREFER_BINARY=1 PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_PYTHON_VERSION_WARNING=1 PIP_ROOT_USER_ACTION=ignore "$@"
}
