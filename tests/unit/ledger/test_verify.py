"""Verification: whole ledgers hold, whoever writes meanwhile; what cannot be read is said; others' checks join in.

That every damage is named is the campaign's business: tests/fault/test_damages.py.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from keten.core.errors import Corrupt, Unavailable
from keten.ledger import verify as module
from keten.ledger.bound import bound_tables
from keten.ledger.faults import Check, Fault, Faults
from keten.ledger.model import Draft, Payload
from keten.ledger.publishing import Publishing
from keten.ledger.verify import Report, verify
from tests.made_ledger import OPENED, STARTED, MadeLedger
from tests.statements import run


@pytest.fixture
def made(tmp_path: Path) -> MadeLedger:
    ledger = MadeLedger.create(tmp_path / "made")
    ledger.fill(600, publish_at=(250,))
    ledger.publish()
    ledger.post(570)
    return ledger


def _verify(made: MadeLedger, **options: Any) -> Report:
    return verify(made.place, made.folder, key=made.key, **options)


def _damage(made: MadeLedger, statement: str, *values: object) -> None:
    assert run(made.place, statement, *values) > [(0,)]


def test_a_whole_ledger_holds(made: MadeLedger) -> None:
    seen: list[tuple[int, int]] = []
    report = _verify(made, progress=lambda *at: seen.append(at))
    assert report.ok, report.faults
    assert not report.unreadable
    assert (report.origin, report.size, report.published) == (made.signer.name, 600, 600)
    assert report.root == made.head().root.hex()
    assert report.notes == ("the newest 88 entries are in no posting list yet, as is usual",)
    assert report.checked["entries"] == 600
    assert report.checked["rows"] == 6
    assert report.checked["changes"] == 8
    assert report.checked["postings"] > 2 * 12  # what stands in each of the two spans that are posted
    assert seen[-1] == (600, 600)


@given(
    parts=st.lists(st.sampled_from([1, 2, 40, 255, 256, 257]), min_size=1, max_size=3),
    posted=st.sampled_from([0, 256, 512, 768]),
    published=st.integers(1, 3),
)
@settings(max_examples=15)
def test_ledgers_of_any_size_hold(
    tmp_path_factory: pytest.TempPathFactory, parts: list[int], posted: int, published: int
) -> None:
    made = MadeLedger.create(tmp_path_factory.mktemp("verify"))
    for number, count in enumerate(parts):
        made.record(*(Draft(OPENED, made.id(), (), {"object": made.id()}) for _ in range(count)))
        if number < published:
            made.publish()
    made.post(posted)
    report = _verify(made)
    assert report.ok, report.faults
    assert report.size == sum(parts)
    assert report.published == sum(parts[:published])
    made.close()


def test_an_empty_log_holds_once_it_is_published(tmp_path: Path) -> None:
    made = MadeLedger.create(tmp_path / "made")
    empty = made.sealer.empty()
    with made.engine.begin() as connection:
        from keten.ledger.writing import store_head

        store_head(connection, empty)
    made.publish()
    report = _verify(made)
    assert report.ok, report.faults
    assert report.size == 0


def test_the_published_key_is_believed_when_none_is_trusted(made: MadeLedger) -> None:
    assert verify(made.place, made.folder).ok


def test_ranges_and_processes_make_no_difference(made: MadeLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    made.fill(1500)
    made.publish()
    _damage(made, "UPDATE entries SET payload = ? WHERE idx IN (3, 700, 1499)", b"\0")
    _damage(made, "DELETE FROM entries WHERE idx IN (511, 512, 1030)")
    _damage(made, "UPDATE entries SET time_us = 5 WHERE idx = 1024")
    alone = _verify(made, processes=1)
    monkeypatch.setattr(module, "_SMALLEST", 256)
    ranges = _verify(made, processes=1)
    monkeypatch.setattr(module, "_ALONE", 0)
    monkeypatch.setattr(module, "RANGE", 512)
    shared = _verify(made, processes=2)
    assert set(ranges.faults) == set(shared.faults)
    apart = {fault for fault in shared.faults if fault.where != "entries"}  # two gaps at the border of two ranges
    assert {fault for fault in alone.faults if fault.where != "entries"} == apart
    assert alone.checked == ranges.checked == shared.checked
    named = {fault.index for fault in shared.faults if fault.where in {"payload", "entries", "column"}}
    assert named == {3, 700, 1499, 511, 512, 1030, 1024}


def test_it_verifies_while_the_keeper_writes_and_publishes(made: MadeLedger) -> None:
    stop = threading.Event()
    publishing = Publishing(made.folder, made.verifier, made.reader, pause_seconds=0.0)
    publishing.start(made.head())
    client = made.declare("under way")
    failures: list[BaseException] = []

    def write() -> None:
        try:
            number = 0
            while not stop.is_set():
                number += 1
                batch = made.record(*(Draft(OPENED, "keeper") for _ in range(number % 70 + 1)), step_us=1)
                publishing.offer(batch)
                made.change(client, keys=(f"ssh-ed25519 {number}",))
                made.post()
        except BaseException as error:
            failures.append(error)
            raise

    thread = threading.Thread(target=write)
    thread.start()
    try:
        reports = [_verify(made, processes=1) for _ in range(12)]
    finally:
        stop.set()
        thread.join()
        publishing.stop()
    assert not failures
    assert [report.faults for report in reports] == [()] * 12
    assert reports[-1].size > reports[0].size
    assert _verify(made).ok


def test_quick_looks_at_the_newest_only(made: MadeLedger) -> None:
    report = _verify(made, newest=100)
    assert report.ok
    assert report.quick
    assert report.checked["entries"] == 600 - 256
    _damage(made, "UPDATE entries SET payload = ? WHERE idx IN (5, 590)", b"\0")
    assert {fault.index for fault in _verify(made, newest=100).faults} == {590}
    assert {fault.index for fault in _verify(made, newest=10**9).faults} == {5, 590}


def test_quick_notices_a_forged_entry_and_a_wrong_head(made: MadeLedger) -> None:
    row = "SELECT id, time_us, kind, payload, salt, leaf FROM entries WHERE idx = 500"
    with closing(sqlite3.connect(made.database)) as connection:
        copied = connection.execute(row).fetchone()
        connection.execute(
            "UPDATE entries SET id=?, time_us=?, kind=?, payload=?, salt=?, leaf=? WHERE idx = 501", copied
        )
        connection.execute("UPDATE head SET root = x'00'")
        connection.commit()
    report = _verify(made, newest=200)
    assert {(fault.where, fault.index) for fault in report.faults} >= {("leaf", 501), ("head", None)}


class CountsOpened:
    """A check of another room: as many entries say "allow" as its own table has."""

    name = "opened"
    kinds = frozenset({OPENED.name})
    reads: type[msgspec.Struct] = Payload

    def __init__(self, expected: int) -> None:
        self.expected = expected

    def gather(self, entries: Sequence[tuple[int, Payload]]) -> int:
        assert all(payload.kind == OPENED.name for _, payload in entries)
        allowed = [index for index, payload in entries if payload.details["outcome"] == "allow"]
        return len(allowed)

    def faults(self, connection: Connection, gathered: Sequence[Any]) -> Iterator[Fault]:
        assert not connection.closed
        if sum(gathered) != self.expected:
            yield Fault(self.name, f"{sum(gathered)} were opened")


class CannotRead:
    """A check whose table cannot be read."""

    name = "broken"
    kinds: frozenset[str] = frozenset()
    reads: type[msgspec.Struct] = Payload

    def gather(self, entries: Sequence[tuple[int, Payload]]) -> int:
        return len(entries)

    def faults(self, connection: Connection, gathered: Sequence[Any]) -> Iterator[Fault]:
        assert set(gathered) == {0}
        connection.exec_driver_sql("SELECT * FROM a_table_that_is_not_there")
        yield from ()


class Stumbles:
    """A check that a damaged value trips up, while gathering or later."""

    name = "stumbles"
    kinds = frozenset({OPENED.name})
    reads: type[msgspec.Struct] = Payload

    def __init__(self, *, gathering: bool) -> None:
        self.gathering = gathering

    def gather(self, entries: Sequence[tuple[int, Payload]]) -> int:
        return sum(int("no number") for _ in entries) if self.gathering else 0

    def faults(self, connection: Connection, gathered: Sequence[Any]) -> Iterator[Fault]:
        assert not self.gathering, "there is nothing to go on"
        assert not connection.closed
        yield Fault(self.name, "found before")
        yield Fault(self.name, str(int(f"{len(gathered)} ranges")))  # as a damaged column does it


def test_a_check_that_stumbles_ends_alone(made: MadeLedger) -> None:
    _damage(made, "UPDATE entries SET payload = ? WHERE idx = 590", b"\0")
    report = _verify(made, checks=(Stumbles(gathering=True), Stumbles(gathering=False)))
    assert report.unreadable
    found = {(fault.where, fault.unreadable) for fault in report.faults}
    assert found == {("payload", False), ("stumbles", True), ("stumbles", False), ("database", True)}


class Nothing(msgspec.Struct):
    nothing: int


class ReadsAnother(Stumbles):
    """A check that looks at what none of its entries has."""

    name = "another"

    reads = Nothing


def test_a_check_whose_entries_are_not_what_it_reads_says_so(made: MadeLedger) -> None:
    faults = _verify(made, checks=(ReadsAnother(gathering=False),)).faults
    assert {(fault.where, fault.unreadable) for fault in faults[:1]} == {("another", True)}
    assert "is damaged" in faults[0].what


@pytest.mark.parametrize("processes", [1, 2])
def test_checks_of_other_rooms_see_their_kinds(
    made: MadeLedger, monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    monkeypatch.setattr(module, "_SMALLEST", 256)
    monkeypatch.setattr(module, "_ALONE", 0)
    opened = sqlite3.connect(made.database).execute("SELECT count(*) FROM entries WHERE kind = ?", (OPENED.name,))
    count = opened.fetchone()[0]
    right: Check = CountsOpened(count)
    assert _verify(made, checks=(right,), processes=processes).ok
    report = _verify(made, checks=(CountsOpened(count + 1), CannotRead()), processes=processes)
    assert [(fault.where, fault.unreadable) for fault in report.faults] == [("opened", False), ("database", True)]


def test_a_database_that_is_not_there_is_unavailable(made: MadeLedger, tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        verify(tmp_path / "absent.db", made.folder, key=made.key)


def test_what_is_no_database_is_corrupt(made: MadeLedger, tmp_path: Path) -> None:
    path = tmp_path / "not.db"
    path.write_bytes(b"nothing of the kind" * 1000)
    with pytest.raises(Corrupt):
        verify(path, made.folder, key=made.key)


def _rows(database: Path) -> list[object]:
    """Every row that verification answers for, read from the tables themselves and from no index."""
    tables = ("entries", "head", "changes", "postings", *bound_tables())
    with closing(sqlite3.connect(database)) as connection:
        return [connection.execute(f"SELECT * FROM {name} NOT INDEXED").fetchall() for name in tables]


@pytest.mark.slow
def test_pages_that_cannot_be_read_are_said_to_be_so(made: MadeLedger) -> None:
    """Zeroed pages anywhere: found, or in no page that is used; never an unexpected error."""
    made.close()
    whole = made.database.read_bytes()
    rows = _rows(made.database)
    unreadable = 0
    for page in range(2, len(whole) // 4096, 5):
        made.database.write_bytes(whole[: page * 4096] + bytes(4096) + whole[(page + 1) * 4096 :])
        try:
            report = _verify(made, processes=1)
        except (Corrupt, Unavailable):
            unreadable += 1
        else:
            # An index that only finds rows by name, or a page that nothing uses: every row is still what it was.
            assert not report.ok or _rows(made.database) == rows, f"page {page}"
            unreadable += report.unreadable
    assert unreadable > 5
    made.database.write_bytes(whole)
    assert _verify(made).ok


def test_a_public_folder_that_is_gone_is_named(made: MadeLedger) -> None:
    shutil.rmtree(made.folder)
    found = {(fault.where, fault.file) for fault in _verify(made).faults}
    assert found == {("key", "key.pub"), ("checkpoint", "checkpoint")}
    report = verify(made.place, made.folder)
    assert any("no key" in fault.what for fault in report.faults)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_is_said_to_be_so(made: MadeLedger) -> None:
    (made.folder / "tile" / "0" / "000").chmod(0)
    report = _verify(made)
    assert report.unreadable
    assert [fault.file for fault in report.faults] == ["tile/0/000"]


def test_an_unpublished_tail_is_noted_and_verified(made: MadeLedger) -> None:
    made.record(*(Draft(STARTED, "keeper") for _ in range(5)))
    report = _verify(made)
    assert report.ok
    assert "5 entries are not published yet" in report.notes
    _damage(made, "UPDATE entries SET leaf = (SELECT leaf FROM entries WHERE idx = 600) WHERE idx = 603")
    assert {fault.where for fault in _verify(made).faults} >= {"tree", "column"}


def test_missing_tiles_are_named_without_a_checkpoint_too(made: MadeLedger) -> None:
    (made.folder / "checkpoint").unlink()
    (made.folder / "tile" / "entries" / "001").unlink()
    (made.folder / "tile" / "0" / "002.p" / "88").unlink()
    missing = {fault.file for fault in _verify(made).faults if fault.what == "it is missing"}
    assert missing == {"tile/entries/001", "tile/0/002.p/88"}


def test_a_rolled_back_database_is_named(made: MadeLedger) -> None:
    copy = made.home / "old.db"
    made.close()
    shutil.copy(made.database, copy)
    made.fill(650)
    made.publish()
    made.close()
    shutil.copy(copy, made.database)
    report = _verify(made)
    assert [fault.where for fault in report.faults if "older copy" in fault.what] == ["checkpoint"]


def test_faults_beyond_a_thousand_of_a_kind_are_counted(tmp_path: Path) -> None:
    made = MadeLedger.create(tmp_path / "made")
    made.record(*(Draft(STARTED, "keeper") for _ in range(1300)))
    made.publish()
    _damage(made, "UPDATE entries SET salt = ?", bytes(32))
    report = _verify(made)
    assert len(report.faults) == 1000
    assert report.more == {"payload": 300}


def test_each_fault_is_kept_once() -> None:
    faults = Faults(most=2)
    faults.extend([Fault("a", "x"), Fault("a", "x"), Fault("a", "y"), Fault("b", "x"), Fault("a", "z")])
    assert [str(fault) for fault in faults.found()] == ["a: x", "a: y", "b: x"]
    assert faults.more() == {"a": 1}
    assert "b" in faults
    assert "c" not in faults


def test_a_fault_says_where() -> None:
    fault = Fault("register", "it differs", index=3, table="clients", row="abc", file="tile/0/000")
    assert str(fault) == "register: entry 3, table clients, row abc, tile/0/000: it differs"


def test_a_damaged_tile_above_a_damaged_leaf_is_named_too(made: MadeLedger) -> None:
    """It would have been wrong for the leaf's sake anyhow, but it is not what the tile below it says either."""
    _damage(made, "UPDATE entries SET leaf = (SELECT leaf FROM entries WHERE idx = 8) WHERE idx = 9")
    named = {(fault.where, fault.index, fault.file) for fault in _verify(made).faults}
    assert ("leaf", 9, "") in named
    assert all(file == "" for _, _, file in named)
    tile = made.folder / "tile/1/000.p/2"
    data = bytearray(tile.read_bytes())
    data[5] ^= 1
    tile.write_bytes(data)
    assert {(fault.where, fault.index, fault.file) for fault in _verify(made).faults} - named == {
        ("tile", None, "tile/1/000.p/2")
    }


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("UPDATE sqlite_master SET sql = replace(sql, 'VARCHAR(26)', 'VARCHAR(27)') WHERE name = 'clients'", "columns"),
        ("UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '') WHERE name = 'clients'", "columns"),
        ("DROP INDEX ix_clients_supplier", "indexes"),
        ("CREATE UNIQUE INDEX more ON clients (body)", "indexes"),
    ],
)
def test_a_table_that_is_not_as_it_was_made_is_named(made: MadeLedger, change: str, what: str) -> None:
    made.close()
    with closing(sqlite3.connect(made.database)) as connection:
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute(change)
        connection.commit()
    assert [str(fault) for fault in _verify(made).faults] == [
        f"schema: table clients: its {what} are not as they were made"
    ]
