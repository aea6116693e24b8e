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
from keten.ledger.postings import (
    SPAN,
    Newest,
    clear,
    concerns,
    extend,
    indexes,
    kind_matches,
    kinds_below,
    posted,
    posting_ref,
    whole,
)
from keten.ledger.reading import read_range
from keten.ledger.tables import postings as lists
from tests.made_ledger import OPENED, STARTED, MadeLedger

TOTAL = 600
WHOLE = 512  # two spans


@pytest.fixture
def made(tmp_path: Path) -> MadeLedger:
    ledger = MadeLedger.create(tmp_path / "made")
    ledger.fill(TOTAL)
    return ledger


def _rows(made: MadeLedger) -> set[tuple[str, int]]:
    found = []
    with made.reading() as connection:
        for row in connection.execute(select(lists)):
            named = indexes(row.span, row.places)
            assert named is not None
            assert {index // SPAN for index in named} == {row.span}
            found += [(row.ref, index) for index in named]
    assert len(found) == len(set(found))
    return set(found)


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
    assert made.post() == WHOLE
    assert _rows(made) == _expected(made, WHOLE)


@given(steps=st.lists(st.tuples(st.integers(0, TOTAL + 50), st.integers(0, 600)), max_size=8))
@settings(max_examples=25)
def test_however_it_is_called_the_lists_are_those_up_to_the_cursor(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int]]
) -> None:
    made = MadeLedger.create(tmp_path_factory.mktemp("steps"))
    made.fill(TOTAL)
    at = 0
    for upto, most in steps:
        with made.engine.begin() as connection:
            now = extend(connection, upto, most)
        spans = min(upto, TOTAL) // SPAN, at // SPAN + max(1, most // SPAN)
        assert now == max(at, min(spans) * SPAN)
        at = now
    assert _rows(made) == _expected(made, at)
    made.close()


def test_a_lost_cursor_does_no_harm(made: MadeLedger) -> None:
    made.post()
    before = _rows(made)
    with made.engine.begin() as connection:
        store_cursor(connection, postings.CURSOR, 10)
    assert made.post() == WHOLE
    assert _rows(made) == before


def test_a_batch_of_which_a_part_is_there_is_completed(made: MadeLedger) -> None:
    made.post()
    before = _rows(made)
    with closing(sqlite3.connect(made.database)) as connection:
        connection.execute("DELETE FROM postings WHERE span % 2 = 0 AND length(ref) % 2 = 0")
        connection.execute("UPDATE postings SET places = x'00' WHERE span = 1")
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
    whole = _expected(made, WHOLE)
    with closing(sqlite3.connect(made.database)) as connection:
        connection.execute("UPDATE entries SET payload = x'ff00' WHERE idx = 20")
        connection.execute("UPDATE entries SET payload = NULL, salt = NULL WHERE idx = 21")
        connection.execute("DELETE FROM entries WHERE idx = 22")
        kind = connection.execute("SELECT kind FROM entries WHERE idx = 21").fetchone()[0]
        connection.commit()
    assert made.post() == WHOLE
    kept = {row for row in whole if row[1] not in (20, 21, 22)}
    assert _rows(made) == kept | {(f"kind:{kind}", 21)}  # an erased entry still has its kind


def test_the_cursor_never_passes_the_head(made: MadeLedger) -> None:
    with made.engine.begin() as connection:
        assert extend(connection, 10**9, 10**6) == WHOLE
        assert extend(connection, 10**9) == WHOLE
    made.record(*(Draft(STARTED, "keeper") for _ in range(SPAN)))
    assert made.post() == WHOLE + SPAN
    assert ("keeper", TOTAL) in _rows(made)


def test_long_names_have_a_list_of_their_own(made: MadeLedger) -> None:
    name = "operator:" + "x" * 300
    made.record(*(Draft(OPENED, name, (), {"object": ""}) for _ in range(SPAN)))
    made.post()
    rows = {ref for ref, index in _rows(made) if index == TOTAL}
    assert rows == {posting_ref(name), "kind:exchange.object.opened"}
    assert len(posting_ref(name)) <= 86
    assert posting_ref(name) != posting_ref(name + "x")
    assert posting_ref("keeper") == "keeper"
    assert concerns("a.b.c", "x", ("x", "y"), {"z": "y"}) == {"x", "y", "kind:a.b.c"}


@given(
    before=st.integers(0, 600),
    commits=st.lists(st.tuples(st.integers(1, 400), st.booleans(), st.integers(0, 600)), max_size=8),
    kept=st.integers(1, 4),
)
@settings(max_examples=40, deadline=None)
def test_from_memory_they_are_what_reading_the_entries_gives(
    tmp_path_factory: pytest.TempPathFactory, before: int, commits: list[tuple[int, bool, int]], kept: int
) -> None:
    made = MadeLedger.create(tmp_path_factory.mktemp("newest"))
    if before:
        made.fill(before)
    newest = Newest(before)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postings, "_KEPT", kept)
        for count, write, most in commits:
            batch = made.record(*(Draft(OPENED, made.id(), (), {"object": made.id()}) for _ in range(count)))
            newest.add(batch.first, batch.drafts)
            if write:
                with made.engine.begin() as connection:
                    now = newest.write(connection, most)
                newest.forget(now)
        at = -1
        while True:
            with made.engine.begin() as connection:
                now = newest.write(connection)
            newest.forget(now)
            if now == at:
                break
            at = now
    assert now == whole(made.head().size)
    assert _rows(made) == _expected(made, now)
    made.close()


def test_what_was_not_committed_is_written_again(made: MadeLedger) -> None:
    made.post()
    newest = Newest(TOTAL)
    batch = made.record(*(Draft(STARTED, "keeper") for _ in range(2 * SPAN)))
    newest.add(batch.first, batch.drafts)
    for _ in range(2):
        connection = made.engine.connect()
        transaction = connection.begin()
        assert newest.write(connection) > WHOLE
        transaction.rollback()
        connection.close()
    for expected in (WHOLE + SPAN, WHOLE + 2 * SPAN):
        with made.engine.begin() as connection:
            assert newest.write(connection) == expected
        newest.forget(expected)
    assert _rows(made) == _expected(made, WHOLE + 2 * SPAN)


@pytest.mark.parametrize("places", [b"", b"\1\1", b"\2\1", None, "text", 5])
def test_a_row_that_nobody_here_wrote_names_nothing(places: object) -> None:
    assert indexes(3, places) is None
    assert indexes(3, b"\0\xff") == [768, 1023]


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
