#!/bin/sh
# Linters, types, import contracts, then tests. All run also when an early one fails, pytest last, so that the
# last line is its summary; the exit code is 0 only when every step succeeded. Use: tools/test.sh all|quick
set -u
cd -- "$(dirname -- "$0")/.." || exit 1

failed=''
step() {
    name=$1
    shift
    echo "== $name" >&2
    "$@" || failed="$failed $name"
}

sources='keten-verify.py'
for folder in src tests tools bench; do
    if [ -d "$folder" ]; then sources="$sources $folder"; fi
done

# shellcheck disable=SC2086  # a list of folders, split on purpose
step ruff .venv/bin/ruff check -q $sources
# shellcheck disable=SC2086
step mypy .venv/bin/mypy $sources
step import-linter .venv/bin/lint-imports --no-logo

tests='tests'
if [ "$1" = quick ]; then
    tests=''
    for folder in tests/unit tests/architecture; do
        if [ -d "$folder" ]; then tests="$tests $folder"; fi
    done
fi

# The tests start some thousand processes: what changed since the environment was made is compiled once, here.
.venv/bin/python -I -m compileall -q src tests || failed="$failed compileall"

[ -z "$failed" ] || echo "FAILED before the tests:$failed (the exit code will say so too)" >&2
echo '== pytest' >&2
# Tests of one file stay together, for they share what a fixture started. Many wait for other processes, so two more
# of them run than there are cores. Files begin in the order of tests/conftest.py, the longest first.
workers=$(($(nproc) + 2))
# shellcheck disable=SC2086
if [ "$1" = quick ]; then
    .venv/bin/python -m pytest --color=no -n "$workers" --dist loadfile --no-loadscope-reorder -m 'not slow and not long' --hypothesis-profile=quick $tests
else
    .venv/bin/python -m pytest --color=no -n "$workers" --dist loadfile --no-loadscope-reorder $tests
fi
status=$?
[ -z "$failed" ] || [ "$status" != 0 ] || status=1
exit "$status"
