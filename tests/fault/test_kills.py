"""A short campaign of kill -9 in the suite; `python -m tests.fault.kills.campaign` is the long one."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from tests.fault.kills.campaign import run


# Connections die here amid a handshake or an answer; what the library then leaves open is no fault of Keten's.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.timeout(400)
def test_nothing_is_lost_and_nothing_served_without_an_entry(tmp_path: Path) -> None:
    result = run(tmp_path, count=6, seed=20261122)
    gc.collect()
    assert result.held, result
    assert result.given > 20
