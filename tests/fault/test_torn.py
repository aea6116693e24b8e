"""Some states of a disk after a crash in the suite; `python -m tests.fault.campaigns torn` tries very many."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fault.campaigns.keeping import Asked, NotHereError
from tests.fault.torn.campaign import cases
from tests.fault.torn.recorded import Event, What
from tests.fault.torn.states import History


def written(history: History, folder: Path) -> set[tuple[tuple[str, bytes], ...]]:
    """Every state, as names and contents."""
    found = set()
    for number, state in enumerate(history.states(1)):
        target = folder / str(number)
        history.write(state, target)
        found.add(tuple(sorted((path.name, path.read_bytes()) for path in target.iterdir())))
    return found


def event(what: What, path: str = "", other: str = "", inode: int = 0, offset: int = 0, data: bytes = b"") -> Event:
    return Event(what, path, other, inode, offset, data)


def replaced(*, synced: bool) -> list[Event]:
    """A file is replaced by way of another, with or without the fsync of its content."""
    fsync = [event(What.BEGIN, ".new", inode=5, offset=1), event(What.END, ".new", inode=5, offset=1)]
    return [
        event(What.CREATE, ".new", inode=5),
        event(What.WRITE, ".new", inode=5, data=b"n" * 1024),
        *(fsync if synced else []),
        event(What.RENAME, ".new", "file"),
        event(What.BEGIN, offset=2),
        event(What.END, offset=2),
        event(What.MARK, data=b"done"),
    ]


@pytest.mark.parametrize("synced", [True, False])
def test_a_file_that_is_replaced_is_the_old_or_the_new_when_it_was_synced(tmp_path: Path, *, synced: bool) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (base / "file").write_bytes(b"old")
    history = History(base, replaced(synced=synced))
    contents = {dict(names)["file"] for names in written(history, tmp_path)}
    torn = {b"", b"n" * 512}
    assert contents == {b"old", b"n" * 1024} | (set() if synced else torn)
    last = [state for state in history.states(1) if state.marks]
    assert len(last) == (1 if synced else 3), "acknowledged: nothing is open any more, when all was synced"


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("count", "seed"), [(10, 1), pytest.param(200, 2, marks=pytest.mark.slow)])
def test_nothing_acknowledged_is_lost(count: int, seed: int) -> None:
    try:
        found = list(cases(Asked(count, seed)))
    except NotHereError as reason:
        pytest.skip(str(reason))
    assert len(found) == count
    assert [case for case in found if case.faults] == []
    assert sum(case.counts["acknowledged"] for case in found) > 0
