# What the python archive's bytes come from, and what both archives need. Part of PYTHON_RECIPE.
# shellcheck shell=bash disable=SC2164,SC2034

readonly PYTHON_STAGES=(source configure compile install check python-archive)

# Compiled into Python as the place to look when it cannot tell from its own: a directory that no machine has.
readonly PREFIX=/nonexistent/mrjob-pybundle

CORES=$(getconf _NPROCESSORS_ONLN)
readonly CORES

# Flags and search paths of whoever started this are not among the bundle's inputs.
unset CC CXX CFLAGS CPPFLAGS CXXFLAGS LDFLAGS LIBS MAKEFLAGS PYTHONHOME PYTHONPATH PYTHONSTARTUP PYTHONDONTWRITEBYTECODE \
    PROFILE_TASK PKG_CONFIG_PATH

stage_packages() {
    case $(os_release ID):$(os_release VERSION_ID) in
        amzn:2) amazon_linux_2_packages ;;
        amzn:*) amazon_linux_packages ;;
        *) debian_packages ;;
    esac
}

# Names of packages, and where they are from. None of them was tried on Amazon Linux; tests/scripts/test_amazon_linux.py
# has recorded commands in place of rpm, yum and dnf.
# - Amazon Linux 2: AWS's sample of a newer Python on EMR 6 (aws-samples/aws-emr-utilities, emr-ec2-custom-python3,
#   install-python.sh) removes openssl-devel* and installs gcc openssl11-devel bzip2-devel libffi-devel tar gzip make
#   expat-devel. The other names are those of Amazon Linux 2023.
# - Amazon Linux 2023: what the Python Developer's Guide ("Install dependencies", dnf) names for Fedora, from which Amazon
#   Linux 2023 descends: gcc gcc-c++ pkg-config openssl-devel zlib-devel bzip2-devel xz-devel libffi-devel readline-devel
#   sqlite-devel libuuid-devel expat-devel. (AWS's list, "Amazon Linux 2023 RPM packages", was not compared.)
# - Believed: ncurses-devel (for curses), binutils, diffutils, findutils, make, tar, gzip and xz go by the names that they
#   have in Fedora; pkgconfig is a package of Amazon Linux 2, and what pkgconf-pkg-config provides in Fedora.
amazon_linux_2_packages() {
    # Plain openssl is 1.0.2 there, too old for CPython 3.10+; the development files of the two exclude each other.
    local wanted=openssl11-devel other=openssl-devel
    if [[ $PYTHON_VERSION == 2.* ]]; then
        # It looks for OpenSSL's headers where the system's own are (detect_modules in setup.py), and cannot be told.
        wanted=openssl-devel other=openssl11-devel
    fi
    if rpm -q --quiet "$other"; then
        # yum would remove all that depends on it as well, and a master has Hadoop installed by now.
        as_root rpm -e --nodeps "$other" || die "rpm could not remove $other, which excludes $wanted"
    fi
    install_missing_rpms yum "$wanted"
}

amazon_linux_packages() {
    install_missing_rpms dnf openssl-devel
}

# install_missing_rpms TOOL OPENSSL_DEVEL
install_missing_rpms() {
    local package
    local -a missing=()
    for package in gcc gcc-c++ make binutils findutils diffutils tar gzip xz pkgconfig "$2" zlib-devel bzip2-devel \
        xz-devel libffi-devel readline-devel sqlite-devel ncurses-devel libuuid-devel expat-devel; do
        # By what it provides: names of packages change, what depends on them keeps working.
        rpm -q --quiet --whatprovides "$package" || missing+=("$package")
    done
    install_packages "$1" "${missing[@]+"${missing[@]}"}"
}

debian_packages() {
    local package
    local -a missing=()
    for package in gcc g++ make binutils libc6-dev tar gzip xz-utils pkg-config libssl-dev zlib1g-dev libbz2-dev \
        liblzma-dev libffi-dev libreadline-dev libsqlite3-dev libncurses-dev uuid-dev libexpat1-dev; do
        [[ $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true) == 'install ok installed' ]] || missing+=("$package")
    done
    ((${#missing[@]} == 0)) || as_root apt-get -q update
    install_packages apt-get "${missing[@]+"${missing[@]}"}"
}

# install_packages TOOL [PACKAGE]…
install_packages() {
    local tool=$1
    local -a options=()
    shift
    if (($# == 0)); then
        echo 'all that the build needs is installed'
        return
    fi
    if [[ $tool == apt-get ]]; then
        # Manuals and fonts are recommended by some of them.
        options=(--no-install-recommends)
    fi
    as_root env DEBIAN_FRONTEND=noninteractive "$tool" -q -y install "${options[@]+"${options[@]}"}" "$@" \
        || die "$tool could not install: $*"
}

stage_source() {
    local tarball=$WORK/${SOURCE_URI##*/} version
    fetch_verified "$SOURCE_URI" "$tarball" "$SOURCE_SHA256" ''
    mkdir "$SOURCE"
    tar -xf "$tarball" --no-same-owner --strip-components=1 -C "$SOURCE" || die "$SOURCE_URI is no tarball that tar can read"
    version=$(sed -n 's/^#define[[:space:]]*PY_VERSION[[:space:]]*"\(.*\)".*/\1/p' "$SOURCE/Include/patchlevel.h")
    [[ ${version%+} == "$PYTHON_VERSION" ]] \
        || die "$SOURCE_URI is the source of CPython ${version:-(unknown)}, but the bundle is to have $PYTHON_VERSION"
    if ! python_is_at_least 3 10; then
        allow_openssl_3
    fi
}

# What is older than OpenSSL 3 does not know it. What these edits change counts only there. A tarball of somebody's own may
# have been changed for it already: then a line is not there.
allow_openssl_3() {
    if [[ $PYTHON_VERSION == 2.* ]]; then
        # It looks for the version in a header that has had an expression there since 3.0, finds no number, and takes 0.
        edit_line setup.py '        openssl_ver = 0' '        openssl_ver = 0x30000000' \
            || [[ $PYTHON_INPUTS != *'"source_sha256":null'* ]] \
            || die "setup.py of $SOURCE_URI has not the line that is to be changed for OpenSSL 3: it is not that of CPython $PYTHON_VERSION"
    fi
    # A server that closes a connection without a word was no error before 3.0. Python 3.10 and newer ask for the same.
    edit_line Modules/_ssl.c '    options = SSL_OP_ALL & ~SSL_OP_DONT_INSERT_EMPTY_FRAGMENTS;' \
        '&\n#ifdef SSL_OP_IGNORE_UNEXPECTED_EOF\n    options |= SSL_OP_IGNORE_UNEXPECTED_EOF;\n#endif' \
        || echo 'Modules/_ssl.c stays as it is'
}

# edit_line FILE LINE REPLACEMENT: in the sources, by sed's s. Fails if there is not one such line.
edit_line() {
    [[ $(grep -cxF -e "$2" "$SOURCE/$1") == 1 ]] && sed -i "s/^$2\$/$3/" "$SOURCE/$1"
}

stage_configure() {
    # pip comes into the virtual environment only, from the copy inside the standard library.
    local -a arguments=("--prefix=$PREFIX" --with-ensurepip=no)
    if [[ $PYTHON_VERSION == 2.* ]]; then
        # As every Linux distribution had it: wheels for 2.7 are made for four-byte Unicode.
        arguments+=(--enable-unicode=ucs4)
    fi
    if python_is_at_least 3 10; then
        arguments+=(--without-static-libpython)
    fi
    if [[ $OPTIMIZE == yes ]]; then
        # The profiling run is made of CPython's tests: some skip themselves without the test modules.
        arguments+=(--enable-optimizations --with-lto)
    elif python_is_at_least 3 10; then
        arguments+=(--disable-test-modules)
    fi
    find_openssl11
    cd "$SOURCE"
    # CPython asks for debug symbols, which would be stripped in the end: link-time optimisation spends more on writing
    # them than on the rest.
    CFLAGS=-g0 ./configure "${arguments[@]}" "${OPENSSL_ARGS[@]+"${OPENSSL_ARGS[@]}"}" "${CONFIGURE_ARGS[@]+"${CONFIGURE_ARGS[@]}"}"
    # As configure has it, each link is the work of one core. (gcc 7 does not know -flto=auto.)
    sed -i "s/-flto \(.*\) -flto-partition=none/-flto=$CORES \1/" Makefile
}

# Amazon Linux 2's OpenSSL 1.1 goes by the name of openssl11, under which configure does not look for it. What it takes
# is a directory that has include/ and lib/. Sets OPENSSL_ARGS.
find_openssl11() {
    OPENSSL_ARGS=()
    if pkg-config --exists openssl11 && ! pkg-config --exists openssl; then
        mkdir "$WORK/openssl"
        ln -s "$(pkg-config --variable=includedir openssl11)" "$WORK/openssl/include"
        ln -s "$(pkg-config --variable=libdir openssl11)" "$WORK/openssl/lib"
        OPENSSL_ARGS=("--with-openssl=$WORK/openssl")
    fi
}

stage_compile() {
    cd "$SOURCE"
    make_python || make_python_again "$?"
    # An interpreter without it works here, where the libraries are, and on no node.
    [[ $(readelf -d python) == *'(RPATH)'*"[\$ORIGIN/../lib:\$ORIGIN/../../venv/lib]"* ]] \
        || die 'the interpreter was linked without its library path'
}

make_python() {
    local profile_task
    # Nobody runs the program that tests embedding, and linking it takes as long as linking Python.
    local -a without=(-o Programs/_testembed)
    # The profiling run takes most of an optimised build, and one core unless told otherwise. A test that fails in it has
    # been profiled all the same: some depend on the machine's leisure, and on which signals are ignored. They do little
    # of what tasks do all the time.
    profile_task=$(makefile_value PROFILE_TASK)
    profile_task="${profile_task/--pgo/--pgo -j$CORES} || echo 'The profile is of tests that did not all pass'"
    profile_task+="; ./python -B -S '$INPUTS/master/profile_tasks.py' Lib || echo 'The profile lacks what tasks do'"
    # With counters, link-time optimization is for nothing: what is linked runs the profiling task, and is compiled again.
    # Modules loaded later look for their libraries along the executable's DT_RPATH (not along a DT_RUNPATH, hence the
    # old tags). make reads $$ as $, its shell takes the quotes off.
    make -j "$CORES" "${without[@]}" "$@" "MAKE=make ${without[*]}" \
        "PGO_PROF_GEN_FLAG=$(makefile_value PGO_PROF_GEN_FLAG) -fno-lto${ATOMIC_COUNTS:+ $ATOMIC_COUNTS}" \
        "LINKFORSHARED=$(makefile_value LINKFORSHARED) -g0 -Wl,--disable-new-dtags -Wl,-rpath,'\$\$ORIGIN/../lib:\$\$ORIGIN/../../venv/lib'" \
        "PROFILE_TASK=$profile_task"
}

# make_python_again STATUS: after make has ended with that. What processes that run at the same time write of a profile
# can be inconsistent, which gcc may not bear when it compiles by it. With atomic counts it is not; they take their time.
make_python_again() {
    if [[ $OPTIMIZE != yes ]] || ! grep -q '^Rebuilding with profile guided optimizations' "$LOG" \
        || ! gcc -fprofile-update=atomic -E -x c /dev/null >/dev/null 2>&1; then
        EXIT_STATUS=$1
        die "make ended with exit status $1"
    fi
    echo 'make failed with the profile that the tests have written: once more, with atomic counts'
    make clean
    ATOMIC_COUNTS=-fprofile-update=atomic make_python
}

makefile_value() {
    sed -n "s/^$1=[[:space:]]*//p" Makefile
}

stage_install() {
    cd "$SOURCE"
    make_python install "DESTDIR=$WORK/destdir"
    mv "$WORK/destdir$PREFIX" "$ROOT/py"
    rm -rf "$WORK/destdir"
    leave_out_what_jobs_do_not_need
    forget_build_directory
    if [[ $PYTHON_VERSION == 2.* ]]; then
        helper python27_venv.py prepare "$ROOT/py"
    fi
    # libssl and all the others come along: nodes install no packages.
    helper shared_libraries.py --tree "$ROOT/py" --into "$ROOT/py/lib" --copied "$WORK/python-copied.json" --strict
    compile_modules "$ROOT/py/lib/python$SHORT_VERSION"
}

leave_out_what_jobs_do_not_need() {
    local library=$ROOT/py/lib/python$SHORT_VERSION
    (cd "$library" && rm -rf test tests idlelib tkinter lib-tk turtledemo turtle.py lib2to3/tests ctypes/test \
        sqlite3/test distutils/tests unittest/test email/test json/tests bsddb/test \
        lib-dynload/_test*.so lib-dynload/_ctypes_test*.so lib-dynload/xx*.so \
        lib-dynload/_tkinter*.so)
    (cd "$ROOT/py" && rm -rf share lib/pkgconfig bin/idle* bin/2to3* bin/pydoc* bin/smtpd.py bin/python*-config)
    find "$ROOT/py" -name '*.a' -delete
    find "$ROOT/py" \( -name '*.so' -o -name '*.so.*' \) -type f -exec chmod u+w {} + -exec strip --strip-unneeded {} +
    strip "$ROOT/py/bin/python$SHORT_VERSION"
    ln -sfn "python$SHORT_VERSION" "$ROOT/py/bin/python"
}

# Python notes down how and where it was compiled. The how is for packages with C code; the where is of no use. Where it was
# configured to lie, headers and libraries above all, becomes where it is.
forget_build_directory() {
    local file
    find "$ROOT/py" \( -name '_sysconfigdata*.py' -o -name Makefile \) -exec sed -i "s|$SOURCE|$PREFIX/source|g" {} +
    for file in "$ROOT/py/lib/python$SHORT_VERSION"/_sysconfigdata*.py; do
        printf '%s\n' 'import os as _os' \
            '_here = _os.path.dirname(_os.path.dirname(_os.path.dirname(_os.path.abspath(__file__))))' \
            'for _name, _value in list(build_time_vars.items()):' \
            '    if isinstance(_value, str):' \
            "        build_time_vars[_name] = _value.replace('$PREFIX', _here)" >>"$file"
    done
}

stage_check() {
    # Without an environment: nothing but its own place may tell it where its modules and libraries are.
    env -i "$PYTHON" "$INPUTS/master/check_modules.py" "$ROOT/py" \
        || die "CPython was compiled without modules that every bundle must have: $(tail -n 1 "$LOG")"
}

stage_python_archive() {
    helper archive.py --tree "$ROOT/py" --archive "$ARCHIVES/python.tar.gz" --description "$WORK/python-archive.json"
    publish python
}

# One of our programs, in what must not notice it: no .pyc, no packages.
helper() {
    local program=$1
    shift
    "$PYTHON" -B -S "$INPUTS/master/$program" "$@" || die "$program failed: $(tail -n 1 "$LOG")"
}

# Unchecked: nodes need not look at the sources, and a copied file's modification time means nothing. 2.7 knows only
# modification times, which its archives keep.
compile_modules() {
    # Tracebacks show where a module really was; a build's own directory inside would make each build's bytes differ.
    local named=$PREFIX${1#"$ROOT"} status=0
    find "$1" -name __pycache__ -prune -exec rm -rf {} +
    if python_is_at_least 3 7; then
        "$PYTHON" -B -m compileall -q -f -j "$CORES" --invalidation-mode unchecked-hash -d "$named" "$1" || status=$?
    else
        "$PYTHON" -B -m compileall -q -f -d "$named" "$1" || status=$?
    fi
    # Packages do hold modules for other versions of Python (in test data and templates, mostly). They never ran here.
    ((status == 0)) || echo 'some modules could not be compiled; a task that imports one of them fails'
}

python_is_at_least() {
    local major=${PYTHON_VERSION%%.*} minor=${SHORT_VERSION#*.}
    ((major > $1 || (major == $1 && minor >= $2)))
}
