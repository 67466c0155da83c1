#!/bin/sh
# Makes a virtual environment with what a lock file lists: scripts/setup.sh VENV LOCK [--editable]
#
# Does nothing, quickly, when that is already there. What it installed is noted in the environment itself, as a copy
# of the lock file, with the environment's place: a new lock is installed on top, a moved checkout starts afresh.
# A machine that cannot do it gets one line that says what to do, and no half-made environment.
set -eu

venv=$1 lock=$2 editable=${3:-}
here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$here"
notes=$venv/.installed

fail() {
    echo "$*" >&2
    exit 1
}

# The first Python that is new enough and can make virtual environments; else why there is none.
choose_python() {
    old='' bare=''
    for name in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        command -v "$name" >/dev/null 2>&1 || continue
        version=$("$name" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
        if ! "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            old=${old:-$version}
        elif ! "$name" -c 'import ensurepip, venv' >/dev/null 2>&1; then
            bare=${bare:-$version}
        else
            python=$name
            return
        fi
    done
    if [ "$bare" ]; then
        fail "Python's venv module is missing: sudo apt install python3-venv (or python$bare-venv), then run make again."
    elif [ "$old" ]; then
        fail "Python $old is too old: install Python 3.11 or later, or name one: make PYTHON=/path/to/python3"
    else
        fail "No Python found${PYTHON:+ as $PYTHON}: install Python 3.11 or later, or name one: make PYTHON=/path/to/python3"
    fi
}

# The environment was made here, for this checkout, and its interpreter still runs.
is_sound() {
    [ "$(cat "$notes/place" 2>/dev/null)" = "$here" ] && "$venv/bin/python" -c 'import pip' 2>/dev/null
}

make_venv() {
    choose_python
    [ ! -L "$venv" ] || rm "$venv" # another checkout's, perhaps: the link goes, not what it leads to
    if ! "$python" -m venv --clear "$venv" >/dev/null; then
        rm -rf "$venv"
        fail "$python -m venv could not make $venv: see above."
    fi
    mkdir "$notes"
    echo "$here" >"$notes/place"
}

note=$notes/$(basename "$lock")
if is_sound; then
    cmp -s "$lock" "$note" && exit 0
else
    make_venv
fi

# Wheels only: a source distribution would run its own code here. --no-deps: the lock is complete, and pip is faster, and less choosy about extras, if it need not resolve.
echo "Installing $lock into $venv (this once) ..."
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary=:all: \
    -r "$lock" ||
    fail "The packages of $lock could not be installed: see above, and check the network or pip's own configuration."
if [ "$editable" ]; then
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . ||
        fail "openresponses itself could not be installed into $venv: see above."
    # Else the first start compiles, and every start where PYTHONDONTWRITEBYTECODE is set.
    "$venv/bin/python" -m compileall -q layers/core/openresponses || true
fi
cp "$lock" "$note"
