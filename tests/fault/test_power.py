"""A few power cuts in the suite; `python -m tests.fault.campaigns power` is the long campaign."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fault.campaigns.keeping import Asked, Case, NotHereError
from tests.fault.power.campaign import cases
from tests.fault.power.disk import Disk, disk


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Disk]:
    try:
        with disk(tmp_path, tmp_path / "disk", 64) as made:
            yield made
    except NotHereError as reason:
        pytest.skip(str(reason))


def test_the_disk_forgets_what_was_not_synced_and_keeps_what_was(small: Disk) -> None:
    kept, forgotten = small.path / "kept", small.path / "forgotten"
    for path in (kept, forgotten):
        path.write_bytes(b"x" * 10_000)
    descriptor = os.open(kept, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    forgotten.write_bytes(b"y" * 10_000)
    small.cut()
    small.release()
    small.mount()
    assert kept.read_bytes() == b"x" * 10_000
    assert not forgotten.exists() or forgotten.read_bytes() != b"y" * 10_000


def _cut(count: int, seed: int) -> list[Case]:
    try:
        return list(cases(Asked(count, seed)))
    except NotHereError as reason:
        pytest.skip(str(reason))


# Connections die here amid a handshake or an answer; what the library then leaves open is no fault of Keten's.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("count", "seed"), [(1, 20261128), pytest.param(12, 3, marks=pytest.mark.slow)])
def test_nothing_acknowledged_is_lost(count: int, seed: int) -> None:
    found = _cut(count, seed)
    assert [case for case in found if case.faults] == []
    assert found[-1].counts["given"] > 0
    assert found[-1].counts["shown"] > 0
