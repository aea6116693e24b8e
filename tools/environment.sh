#!/bin/sh
# Finds (on Debian as root: installs) a Python that can make an environment, and lets it make .venv.
# Use: tools/environment.sh runtime|dev
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)

# Python 3.11 or newer, with venv and ensurepip (Debian ships those two apart, in python3-venv).
find_python() {
    for candidate in python3 python3.13 python3.12 python3.11; do
        if "$candidate" -I -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            printf '%s\n' "$candidate"
            return 0
        fi
    done
    return 1
}

if ! python=$(find_python); then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        sh "$here/tools/apt-install.sh" python3 python3-venv >&2 || true
    fi
    if ! python=$(find_python); then
        echo 'keten: Python 3.11 or newer with venv is needed and was not found.' >&2
        echo 'keten: on Debian 12 and later: apt-get install python3 python3-venv' >&2
        exit 3
    fi
fi
exec "$python" -I "$here/tools/environment.py" "$1"
