#!/usr/bin/env bash
# Run on a node: jobrunner beside the interpreter that it starts. Prints one line per case: what each of the two did.
#
# usage: jobrunner_on_node.sh BUNDLE_ROOT
set -u
root=$1
cd "$(mktemp -d)" || exit 1
mkdir pkg
touch pkg/__init__.py
echo 'import sys; print(__name__, sys.argv[1:], sys.stdin.read())' >pkg/mod.py
echo 'import sys; print(sys.argv, sys.path[0] != ""); sys.exit(7)' >'a script.py'

both() {
    local name=$1 program
    shift
    printf '%s' "$name"
    for program in "$root/jobrunner" "$root/venv/bin/python"; do
        printf '\t%s' "$(
            printf 'line 1\nline 2\n' | env -u HOME "$program" "$@" 2>/dev/null | tr '\n\t' '  '
            printf '%s' "${PIPESTATUS[1]}"
        )"
    done
    printf '\n'
}

both module -m pkg.mod a 'b c'
both script 'a script.py' '$(x)' "it's" é
both command -c 'import sys; print(sys.version, sys.prefix, sys.argv)' x
both stdin -
both failure -c 'raise ValueError'
both signal -c 'import os, signal; os.kill(os.getpid(), signal.SIGTERM)'
both interrupted -c 'import os, signal; os.kill(os.getpid(), signal.SIGINT)'
both options -u -X utf8 -W error -c 'import sys; print(sys.flags.utf8_mode, sys.warnoptions)'
both environment -c 'import os, shutil; print(os.path.samefile(shutil.which("python") or "/", os.sys.executable))'
"$root/venv-exec" python -c 'import os; print("venv-exec", os.environ["VIRTUAL_ENV"], sep="\t")'
