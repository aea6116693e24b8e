#!/bin/sh
# Writes requirements/*.lock: the newest versions that fit pyproject.toml, with hashes, for every platform and
# Python from 3.11 on. No address of an index is written. Use: tools/lock.sh [further options of uv pip compile]
set -eu
cd -- "$(dirname -- "$0")/.."
if [ ! -x .venv/bin/uv ]; then sh tools/environment.sh runtime; fi

compile() {
    .venv/bin/uv pip compile -q --upgrade --generate-hashes --universal --python-version 3.11 \
        --no-header --no-emit-index-url "$@"
}

compile pyproject.toml --group build -o requirements/keten.lock "$@"
compile pyproject.toml --group build --group dev -c requirements/keten.lock -o requirements/dev.lock "$@"
compile --group provider -c requirements/dev.lock -o requirements/provider.lock "$@"
echo uv | compile --no-annotate -c requirements/keten.lock -o requirements/installer.lock - "$@"
