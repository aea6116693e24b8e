"""Publishing in the background: coalesced, from memory or from the database, and nothing is lost."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from keten.core.errors import Busy, Corrupt, FsyncFailed, Unavailable
from keten.ledger import publishing as module
from keten.ledger.model import Draft
from keten.ledger.notes import checkpoint_text, parse_checkpoint
from keten.ledger.publish import Publisher
from keten.ledger.publishing import Publishing
from keten.ledger.treefiles import TreeFiles
from keten.ledger.verify import verify
from tests.made_ledger import OPENED, MadeLedger

LONG = 60.0  # seconds to wait for what comes at once; only a failing test waits so long


class Disk(TreeFiles):
    """A disk that can be full, or whose fsync can fail."""

    def __init__(self, staging: Path) -> None:
        super().__init__(staging)
        self.error: Exception | None = None
        self.writes = 0

    def write_all(self, files: Iterable[tuple[Path, bytes]]) -> None:
        self.writes += 1
        if self.error is not None:
            raise self.error
        super().write_all(files)


class Set:
    """A ledger and a publishing of it."""

    def __init__(self, made: MadeLedger) -> None:
        self.made = made
        self.stopped: list[str] = []
        self.publishing = self.fresh()

    def fresh(self) -> Publishing:
        """Another one over the same folder, as after a restart."""
        self.disk = Disk(self.made.folder / ".staging")
        publisher = Publisher(self.made.folder, self.disk, self.made.verifier)
        return Publishing(
            self.made.folder,
            self.made.verifier,
            self.made.reader,
            publisher=publisher,
            pause_seconds=0.0,
            stop_process=self.stopped.append,
        )

    def record(self, count: int = 1) -> None:
        """Record entries and hand them over."""
        self.publishing.offer(self.made.record(*(Draft(OPENED, "keeper") for _ in range(count))))

    def whole(self) -> bool:
        """Whether everything is published and holds."""
        report = verify(self.made.place, self.made.folder, key=self.made.key)
        assert report.ok, report.faults
        return report.published == report.size

    def published_size(self) -> int:
        """By what is in the folder."""
        return parse_checkpoint((self.made.folder / "checkpoint").read_bytes(), self.made.verifier).size


@pytest.fixture
def made(tmp_path: Path) -> MadeLedger:
    ledger = MadeLedger.create(tmp_path / "made")
    ledger.fill(40)
    return ledger


@pytest.fixture
def parts(made: MadeLedger, monkeypatch: pytest.MonkeyPatch) -> Iterator[Set]:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    found = Set(made)
    yield found
    found.disk.error = None
    found.publishing.stop()


def test_starting_catches_up_before_it_returns(parts: Set) -> None:
    parts.publishing.start(parts.made.head())
    assert parts.publishing.published_size == 40
    assert parts.whole()


def test_what_is_handed_over_is_published(parts: Set) -> None:
    parts.publishing.start(parts.made.head())
    for count in (1, 5, 300, 2):
        parts.record(count)
    assert parts.publishing.wait_for(348, LONG)
    assert parts.published_size() == 348
    assert parts.whole()


def test_waiting_gives_up(parts: Set) -> None:
    parts.publishing.start(parts.made.head())
    assert parts.publishing.wait_for(40, 0.0)
    assert not parts.publishing.wait_for(41, 0.01)


def test_batches_that_arrive_meanwhile_share_a_checkpoint(parts: Set) -> None:
    parts.publishing.start(parts.made.head())
    going, hold = threading.Event(), threading.Event()
    real = parts.disk.write_all

    def held(files: Iterable[tuple[Path, bytes]]) -> None:
        going.set()
        assert hold.wait(LONG)
        real(files)

    parts.disk.write_all = held  # type: ignore[method-assign]  # a disk that is slow at the right moment
    parts.record()
    assert going.wait(LONG)
    for _ in range(20):
        parts.record()
    before = parts.disk.writes
    hold.set()
    assert parts.publishing.wait_for(61, LONG)
    assert parts.disk.writes - before <= 4  # two rounds of tiles and checkpoint, not twenty
    assert parts.whole()


def test_stopping_publishes_what_was_handed_over(parts: Set) -> None:
    parts.publishing.start(parts.made.head())
    parts.record(7)
    parts.publishing.stop()
    assert parts.published_size() == 47
    assert parts.whole()


def test_what_is_too_much_for_memory_comes_from_the_database(parts: Set, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PENDING", 3)
    parts.publishing.start(parts.made.head())
    parts.disk.error = Unavailable("disk-full", "The disk is full.")
    for _ in range(30):
        parts.record(2)
    assert not parts.publishing.wait_for(41, 0.05)
    assert "disk is full" in parts.publishing.failed
    parts.disk.error = None
    assert parts.publishing.wait_for(100, LONG)
    assert parts.whole()


def test_a_full_disk_is_tried_again(parts: Set) -> None:
    parts.publishing.start(parts.made.head())
    parts.disk.error = Unavailable("disk-full", "The disk is full.")
    parts.record()
    while not parts.publishing.failed:
        pass
    assert parts.published_size() == 40
    parts.disk.error = None
    assert parts.publishing.wait_for(41, LONG)
    parts.record()
    assert parts.publishing.wait_for(42, LONG)
    assert parts.whole()


def test_a_disk_that_is_full_at_the_start_does_not_keep_the_keeper_from_starting(parts: Set) -> None:
    parts.disk.error = Unavailable("disk-full", "The disk is full.")
    parts.publishing.start(parts.made.head())
    assert parts.publishing.published_size == 0
    parts.disk.error = None
    assert parts.publishing.wait_for(40, LONG)
    assert parts.whole()


def test_a_failed_fsync_stops_the_process(parts: Set) -> None:
    parts.publishing.start(parts.made.head())
    parts.disk.error = FsyncFailed("fsync-failed", "The disk failed.")
    parts.record()
    parts.publishing.stop()
    assert len(parts.stopped) == 1
    assert "fsync-failed" in parts.stopped[0]


def test_an_unexpected_error_is_survived(parts: Set) -> None:
    parts.publishing.start(parts.made.head())
    parts.disk.error = ZeroDivisionError("never thought of")
    parts.record()
    while not parts.publishing.failed:
        pass
    parts.disk.error = None
    assert parts.publishing.wait_for(41, LONG)


def test_entries_that_were_never_handed_over_are_published(parts: Set) -> None:
    parts.publishing.start(parts.made.head())
    parts.made.record(Draft(OPENED, "keeper"))  # committed by somebody else
    parts.record()
    assert parts.publishing.wait_for(42, LONG)
    assert parts.whole()


def test_a_restart_goes_on(parts: Set) -> None:
    parts.publishing.start(parts.made.head())
    parts.publishing.stop()
    parts.made.fill(600)
    parts.publishing = parts.fresh()
    parts.publishing.start(parts.made.head())
    assert parts.publishing.published_size == 600
    assert parts.whole()


def test_catching_up_gives_up_the_folder(parts: Set) -> None:
    assert parts.publishing.catch_up() == 40
    assert parts.whole()
    assert parts.fresh().catch_up() == 40


def test_only_one_publishes(parts: Set) -> None:
    first = parts.publishing
    first.start(parts.made.head())
    with pytest.raises(Busy):
        parts.fresh().start(parts.made.head())
    first.stop()
    parts.publishing = parts.fresh()
    parts.publishing.start(parts.made.head())


def test_much_to_catch_up_with_is_written_anew(parts: Set, monkeypatch: pytest.MonkeyPatch) -> None:
    parts.publishing.catch_up()
    parts.made.fill(700)
    monkeypatch.setattr(module, "MOST_AT_ONCE", 100)
    monkeypatch.setattr(module, "_REBUILD_LEAVES", 7)
    parts.publishing.start(parts.made.head())
    assert parts.whole()


@pytest.mark.parametrize("damage", ["tile", "bundle", "checkpoint", "checkpoint-gone", "everything"])
def test_a_damaged_tree_is_written_anew(parts: Set, damage: str) -> None:
    parts.made.fill(300)
    parts.publishing.catch_up()
    folder = parts.made.folder
    if damage == "tile":
        (folder / "tile/0/001.p/44").write_bytes(b"x")
        (folder / "tile/entries/001.p/44").write_bytes(b"x")
    elif damage == "bundle":
        (folder / "tile/entries/001.p/44").unlink()
    elif damage == "checkpoint":
        (folder / "checkpoint").write_bytes(b"garbage")
    elif damage == "checkpoint-gone":
        (folder / "checkpoint").unlink()
    else:
        shutil.rmtree(folder / "tile")
    parts.made.fill(310)
    parts.publishing = parts.fresh()
    parts.publishing.start(parts.made.head())
    assert parts.whole()


def test_an_older_database_is_refused(parts: Set) -> None:
    old = parts.made.head()
    copy = parts.made.home / "old.db"
    parts.made.close()
    shutil.copy(parts.made.database, copy)
    parts.made.fill(60)
    parts.publishing.catch_up()
    parts.made.close()
    shutil.copy(copy, parts.made.database)
    parts.publishing = parts.fresh()
    with pytest.raises(Corrupt) as refused:
        parts.publishing.start(old)
    assert refused.value.code == "ledger-rolled-back"
    assert parts.published_size() == 60  # the evidence stays


@pytest.mark.parametrize("at_once", [1, 10**6])
def test_another_history_is_refused(
    parts: Set, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(module, "MOST_AT_ONCE", at_once)
    other = MadeLedger.create(tmp_path / "other", seed=9)  # the same key, other entries
    other.fill(30)
    other.publish()
    shutil.copytree(other.folder, parts.made.folder, dirs_exist_ok=True)
    with pytest.raises(Corrupt) as refused:
        parts.publishing.start(parts.made.head())
    assert refused.value.code == "checkpoint-split"
    assert parts.published_size() == 30


def test_another_root_of_the_same_size_is_refused(parts: Set) -> None:
    parts.publishing.catch_up()
    name = parts.made.signer.name
    forked = parts.made.signer.sign(checkpoint_text(name, 40, b"\x01" * 32))
    (parts.made.folder / "checkpoint").write_text(forked, encoding="utf-8")
    parts.publishing = parts.fresh()
    with pytest.raises(Corrupt) as refused:
        parts.publishing.start(parts.made.head())
    assert refused.value.code == "checkpoint-split"


def test_entries_that_are_not_those_that_were_signed_are_not_published(parts: Set) -> None:
    with closing(sqlite3.connect(parts.made.database)) as connection:
        connection.execute("UPDATE entries SET leaf = x'7b7d' WHERE idx = 5")
        connection.commit()
    with pytest.raises(Corrupt) as refused:
        parts.publishing.start(parts.made.head())
    assert refused.value.code == "root-wrong"
    assert not (parts.made.folder / "checkpoint").exists()


def test_missing_entries_are_named(parts: Set) -> None:
    with closing(sqlite3.connect(parts.made.database)) as connection:
        connection.execute("DELETE FROM entries WHERE idx = 5")
        connection.commit()
    with pytest.raises(Corrupt) as refused:
        parts.publishing.start(parts.made.head())
    assert refused.value.code == "entry-missing"


def test_a_database_without_a_head_is_refused(tmp_path: Path) -> None:
    parts = Set(MadeLedger.create(tmp_path / "empty"))
    with pytest.raises(Corrupt) as refused:
        parts.publishing.catch_up()
    assert refused.value.code == "head-missing"
