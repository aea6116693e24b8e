"""Posting lists: what is in them, in batches, again, and behind the newest entries."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from keten.ledger import postings
from keten.ledger.cursors import load_cursor, store_cursor
from keten.ledger.model import Draft
from keten.ledger.postings import clear, concerns, extend, kind_matches, kinds_below, posted, posting_ref
from keten.ledger.reading import read_range
from keten.ledger.tables import postings as lists
from tests.made_ledger import OPENED, STARTED, MadeLedger


@pytest.fixture
def made(tmp_path: Path) -> MadeLedger:
    ledger = MadeLedger.create(tmp_path / "made")
    ledger.fill(90)
    return ledger


def _rows(made: MadeLedger) -> set[tuple[str, int]]:
    with made.reading() as connection:
        return {(row.ref, row.idx) for row in connection.execute(select(lists))}


def _expected(made: MadeLedger, upto: int) -> set[tuple[str, int]]:
    """By the words of the design: actor, subjects, references and kind of each entry."""
    found = set()
    with made.reading() as connection:
        for entry in read_range(connection, 0, upto):
            assert entry.payload is not None
            refs = {entry.payload.actor, *entry.payload.subjects, *entry.payload.refs.values()}
            found |= {(ref, entry.index) for ref in (*refs, f"kind:{entry.kind}")}
    return found


def test_every_entry_is_in_the_lists_of_what_it_concerns(made: MadeLedger) -> None:
    assert made.post() == 90
    assert _rows(made) == _expected(made, 90)


@given(steps=st.lists(st.tuples(st.integers(0, 100), st.integers(0, 40)), max_size=12))
@settings(max_examples=25)
def test_however_it_is_called_the_lists_are_those_up_to_the_cursor(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int]]
) -> None:
    made = MadeLedger.create(tmp_path_factory.mktemp("steps"))
    made.fill(90)
    at = 0
    for upto, most in steps:
        with made.engine.begin() as connection:
            now = extend(connection, upto, most)
        assert now == max(at, min(upto, at + most, 90))
        at = now
    assert _rows(made) == _expected(made, at)
    made.close()


def test_a_lost_cursor_does_no_harm(made: MadeLedger) -> None:
    made.post()
    before = _rows(made)
    with made.engine.begin() as connection:
        store_cursor(connection, postings.CURSOR, 10)
    assert made.post() == 90
    assert _rows(made) == before


def test_a_batch_of_which_a_part_is_there_is_completed(made: MadeLedger) -> None:
    made.post()
    before = _rows(made)
    with closing(sqlite3.connect(made.database)) as connection:
        connection.execute("DELETE FROM postings WHERE idx % 3 = 0")
        connection.execute("UPDATE cursors SET idx = 0")
        connection.commit()
    made.post()
    assert _rows(made) == before


def test_the_lists_can_be_made_anew(made: MadeLedger) -> None:
    made.post()
    before = _rows(made)
    with made.engine.begin() as connection:
        clear(connection)
        assert posted(connection) == 0
    assert _rows(made) == set()
    made.post()
    assert _rows(made) == before


def test_unreadable_and_missing_entries_are_passed_over(made: MadeLedger) -> None:
    whole = _expected(made, 90)
    with closing(sqlite3.connect(made.database)) as connection:
        connection.execute("UPDATE entries SET payload = x'ff00' WHERE idx = 20")
        connection.execute("UPDATE entries SET payload = NULL, salt = NULL WHERE idx = 21")
        connection.execute("DELETE FROM entries WHERE idx = 22")
        kind = connection.execute("SELECT kind FROM entries WHERE idx = 21").fetchone()[0]
        connection.commit()
    assert made.post() == 90
    kept = {row for row in whole if row[1] not in (20, 21, 22)}
    assert _rows(made) == kept | {(f"kind:{kind}", 21)}  # an erased entry still has its kind


def test_the_cursor_never_passes_the_head(made: MadeLedger) -> None:
    with made.engine.begin() as connection:
        assert extend(connection, 10**9, 10**6) == 90
        assert extend(connection, 10**9) == 90
    made.record(Draft(STARTED, "keeper"))
    assert made.post() == 91
    assert ("keeper", 90) in _rows(made)


def test_long_names_have_a_list_of_their_own(made: MadeLedger) -> None:
    name = "operator:" + "x" * 300
    made.record(Draft(OPENED, name, (), {"object": ""}))
    made.post()
    rows = {ref for ref, index in _rows(made) if index == 90}
    assert rows == {posting_ref(name), "kind:exchange.object.opened"}
    assert len(posting_ref(name)) <= 86
    assert posting_ref(name) != posting_ref(name + "x")
    assert posting_ref("keeper") == "keeper"
    assert concerns("a.b.c", "x", ("x", "y"), {"z": "y"}) == {"x", "y", "kind:a.b.c"}


def test_kinds_are_found_by_their_beginning(made: MadeLedger) -> None:
    made.post()
    with made.reading() as connection:
        assert kinds_below(connection, "identity.client") == ["identity.client.changed", "identity.client.declared"]
        assert kinds_below(connection, "exchange.object.opened") == ["exchange.object.opened"]
        assert kinds_below(connection, "exchange.obj") == []
        assert kinds_below(connection, "vault") == []


@pytest.mark.parametrize(
    ("kind", "prefix", "matches"),
    [
        ("a.b.c", "a", True),
        ("a.b.c", "a.b", True),
        ("a.b.c", "a.b.c", True),
        ("a.b.c", "a.b.c.d", False),
        ("ab.b.c", "a", False),
        ("a.bc.c", "a.b", False),
    ],
)
def test_a_beginning_ends_at_a_dot(kind: str, prefix: str, matches: bool) -> None:
    assert kind_matches(kind, prefix) is matches


def test_cursors_are_kept_by_name(made: MadeLedger) -> None:
    with made.engine.begin() as connection:
        assert load_cursor(connection, "watch") == 0
        store_cursor(connection, "watch", 5)
        store_cursor(connection, "other", 6)
        store_cursor(connection, "watch", 7)
        assert load_cursor(connection, "watch") == 7
        assert load_cursor(connection, "other") == 6
