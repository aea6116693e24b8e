"""The drill, as a newcomer runs it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


@pytest.mark.timeout(300)
def test_contract_end() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "keten", "drill", "contract-end", "--json"], capture_output=True, text=True, check=False
    )
    board = json.loads(done.stdout)
    missed = [line for line in board["lines"] if not line["held"]]
    # How many milliseconds and bytes is measured in bench/, on a quiet machine; what else happened must hold anywhere.
    assert [line for line in missed if "milliseconds" not in line["figures"]] == []
    assert len(board["lines"]) >= 11
    assert done.returncode == (1 if missed else 0), done.stderr
