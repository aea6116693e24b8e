"""Entries read back are checked, and shown in the outer contract's form."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from keten.core.clock import rfc3339
from keten.core.errors import Corrupt
from keten.ledger.model import Draft, Entry, Payload
from keten.ledger.reading import CHUNK, flatten, index_at, last_time, read_entries, read_indexes, read_range, size
from tests.made_ledger import OPENED, START_US, MadeLedger


@pytest.fixture
def made(tmp_path: Path) -> MadeLedger:
    ledger = MadeLedger.create(tmp_path / "made")
    ledger.fill(60)
    return ledger


def _damage(made: MadeLedger, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(made.database)) as connection:
        assert connection.execute(statement, values).rowcount
        connection.commit()


def test_a_range_is_read_in_order_and_never_beyond_the_head(made: MadeLedger) -> None:
    with made.reading() as connection:
        assert size(connection) == 60
        assert [entry.index for entry in read_range(connection, 0, 60)] == list(range(60))
        assert [entry.index for entry in read_range(connection, 57, 1000)] == [57, 58, 59]
        assert list(read_range(connection, 60, 70)) == []
        assert list(read_range(connection, 9, 3)) == []
        assert [entry.index for entry in read_range(connection, -5, 2)] == [0, 1]


def test_a_range_longer_than_a_chunk_is_whole(tmp_path: Path) -> None:
    made = MadeLedger.create(tmp_path / "long")
    made.record(*(Draft(OPENED, "keeper") for _ in range(2 * CHUNK + 3)))
    with made.reading() as connection:
        assert [entry.index for entry in read_range(connection, 1, 10**9)] == list(range(1, 2 * CHUNK + 3))


def test_indexes_are_read_in_the_order_given(made: MadeLedger) -> None:
    with made.reading() as connection:
        assert [entry.index for entry in read_indexes(connection, [7, 3, 59])] == [7, 3, 59]
        assert [entry.index for entry in read_entries(connection, [2, 1])] == [2, 1]
        assert [entry.index for entry in read_entries(connection, range(4, 6))] == [4, 5]
        assert [entry.index for entry in read_entries(connection, range(4, 9, 2))] == [4, 6, 8]
        assert list(read_indexes(connection, [])) == []


def test_an_empty_database_has_no_entries(tmp_path: Path) -> None:
    made = MadeLedger.create(tmp_path / "empty")
    with made.reading() as connection:
        assert size(connection) == 0
        assert last_time(connection) == 0
        assert list(read_range(connection, 0, 5)) == []
        assert index_at(connection, START_US, stop=0) == 0


def test_a_missing_entry_is_named(made: MadeLedger) -> None:
    _damage(made, "DELETE FROM entries WHERE idx IN (17, 59)")
    with made.reading() as connection:
        with pytest.raises(Corrupt, match="Entry 17 of") as missing:
            list(read_range(connection, 0, 60))
        assert missing.value.code == "entry-missing"
        with pytest.raises(Corrupt, match="Entry 59 of"):
            list(read_range(connection, 40, 60))
        with pytest.raises(Corrupt, match="Entry 17 of"):
            list(read_indexes(connection, [3, 17]))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET payload = replace(payload, 'client', 'klient') WHERE idx = 5",
        "UPDATE entries SET payload = NULL WHERE idx = 5",
        "UPDATE entries SET salt = NULL WHERE idx = 5",
        "UPDATE entries SET salt = x'00' WHERE idx = 5",
        "UPDATE entries SET payload = x'ff' WHERE idx = 5",
        "UPDATE entries SET leaf = x'7b7d' WHERE idx = 5",
        "UPDATE entries SET id = 'aaaaaaaaaaaaaaaaaaaaaaaaaa' WHERE idx = 5",
        "UPDATE entries SET kind = 'keeper.process.started' WHERE idx = 5",
        "UPDATE entries SET time_us = time_us + 1 WHERE idx = 5",
        "UPDATE entries SET time_us = 'x' WHERE idx = 5",
        "UPDATE entries SET time_us = 9223372036854775807 WHERE idx = 5",
        "UPDATE entries SET payload = CAST(payload AS TEXT) WHERE idx = 5",
        "UPDATE entries SET salt = 7 WHERE idx = 5",
        "UPDATE entries SET leaf = 'text' WHERE idx = 5",
        "UPDATE entries SET id = x'ff' WHERE idx = 5",
    ],
)
def test_a_damaged_entry_is_never_shown(made: MadeLedger, statement: str) -> None:
    _damage(made, statement)
    with made.reading() as connection:
        with pytest.raises(Corrupt, match="Entry 5 of") as damaged:
            list(read_range(connection, 0, 60))
        assert damaged.value.code == "entry-damaged"
        assert len(list(read_range(connection, 6, 60))) == 54  # the others still are


def test_an_erased_entry_is_shown_as_erased(made: MadeLedger) -> None:
    _damage(made, "UPDATE entries SET payload = NULL, salt = NULL WHERE idx = 5")
    with made.reading() as connection:
        entry = next(read_range(connection, 5, 6))
    assert entry.payload is None
    shown = flatten(entry)
    assert shown == {
        "id": entry.id,
        "index": 5,
        "time": rfc3339(entry.time_us),
        "kind": entry.kind,
        "state": "erased",
    }


def test_time_is_searched_for(made: MadeLedger) -> None:
    with made.reading() as connection:
        times = [entry.time_us for entry in read_range(connection, 0, 60)]
        assert last_time(connection) == times[-1]
        for moment in {START_US, *times, times[0] + 1, times[-1] + 1, 0}:
            expected = sum(time < moment for time in times)
            assert index_at(connection, moment, stop=60) == expected


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        (Payload("t", "k", "keeper"), {"actor": "keeper"}),
        (
            Payload("t", "k", "a", ("s",), {"dataset": "d", "object": "o", "grant": "g", "opening": "x"}),
            {"actor": "a", "subjects": ["s"], "dataset": "d", "object": "o", "grant": "g", "refs": {"opening": "x"}},
        ),
        (
            Payload(
                "t",
                "k",
                "a",
                refs={"supplier": "v", "contract": "c", "client": "a"},
                details={"outcome": "deny", "reasons": ["no-grant"], "bytes": 0, "channel": "sftp"},
                personal={"a": "sealed"},
            ),
            {
                "actor": "a",
                "supplier": "v",
                "contract": "c",
                "client": "a",
                "outcome": "deny",
                "reasons": ["no-grant"],
                "bytes": 0,
                "details": {"channel": "sftp"},
                "personal": {"a": "sealed"},
            },
        ),
    ],
)
def test_the_outer_form_leaves_out_what_is_absent(payload: Payload, shown: dict[str, Any]) -> None:
    entry = Entry(3, "i" * 26, START_US, "room.noun.verb", payload)
    fixed = {"id": "i" * 26, "index": 3, "time": rfc3339(START_US), "kind": "room.noun.verb"}
    assert flatten(entry) == fixed | shown
    assert payload.details.get("outcome") == shown.get("outcome")  # the entry itself is not changed by showing it
