"""Queries answer exactly what matches, whatever is posted already, against a reading of every entry."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keten.core.errors import Corrupt
from keten.ledger import query
from keten.ledger.cursors import store_cursor
from keten.ledger.model import Draft, Entry
from keten.ledger.query import Filter, find
from keten.ledger.reading import read_range
from tests.made_ledger import DELIVERED, OPENED, START_US, MadeLedger

TOTAL = 600


class Known:
    """A ledger with what can be asked for in it."""

    def __init__(self, home: Path) -> None:
        self.made = MadeLedger.create(home, seed=3)
        self.made.fill(TOTAL)
        with self.made.reading() as connection:
            self.entries = list(read_range(connection, 0, TOTAL))
        payloads = [entry.payload for entry in self.entries if entry.payload is not None]
        self.actors = sorted({payload.actor for payload in payloads} | {"nobody"})
        self.subjects = sorted({each for payload in payloads for each in payload.subjects})
        self.refs = {
            word: sorted({payload.refs[word] for payload in payloads if word in payload.refs})
            for word in ("dataset", "object", "supplier")
        }
        self.times = [entry.time_us for entry in self.entries]

    def expected(self, wanted: Filter) -> list[int]:
        """By reading everything."""
        found = [entry.index for entry in self.entries if _matches(entry, wanted)]
        if wanted.newest_first:
            found = [index for index in reversed(found) if wanted.after is None or index < wanted.after]
        else:
            found = [index for index in found if wanted.after is None or index > wanted.after]
        return found[: wanted.limit] if wanted.limit else found

    def answered(self, wanted: Filter, posted: int) -> list[int]:
        """By query, with so many entries in the lists."""
        with self.made.engine.begin() as connection:
            store_cursor(connection, "postings", posted)
            return [entry.index for entry in find(connection, wanted)]


def _matches(entry: Entry, wanted: Filter) -> bool:
    payload = entry.payload
    assert payload is not None
    words = ("dataset", "object", "supplier", "contract", "grant")
    asked = {word: getattr(wanted, word) for word in words if getattr(wanted, word)}
    about = (payload.actor, *payload.subjects, payload.refs.get("client"), payload.refs.get("person"))
    return (
        all(payload.refs.get(word) == value for word, value in asked.items())
        and (not wanted.principal or wanted.principal in about)
        and (not wanted.subject or wanted.subject in payload.subjects)
        and (not wanted.kind or f"{entry.kind}.".startswith(wanted.kind + "."))
        and (wanted.since_us is None or entry.time_us >= wanted.since_us)
        and (wanted.until_us is None or entry.time_us < wanted.until_us)
        and (not wanted.outcome or payload.details.get("outcome") == wanted.outcome)
    )


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Known:
    found = Known(tmp_path_factory.mktemp("query"))
    found.made.post()
    return found


@given(data=st.data())
def test_a_query_answers_what_reading_everything_would(known: Known, data: st.DataObject) -> None:
    def maybe(values: list[str]) -> str:
        return data.draw(st.one_of(st.just(""), st.sampled_from(values)))

    moments = st.one_of(st.none(), st.sampled_from(known.times), st.integers(START_US - 5, known.times[-1] + 5))
    kinds = ["exchange", "exchange.object", "exchange.object.opened", "identity", "identity.client", "nothing", "ex"]
    wanted = Filter(
        principal=maybe(known.actors),
        subject=maybe(known.subjects),
        dataset=maybe(known.refs["dataset"]),
        object=maybe(known.refs["object"]),
        supplier=maybe(known.refs["supplier"]),
        contract=maybe(["absent"]),
        kind=maybe(kinds),
        since_us=data.draw(moments),
        until_us=data.draw(moments),
        outcome=maybe(["allow", "deny", "other"]),
        limit=data.draw(st.integers(0, 30)),
        after=data.draw(st.one_of(st.none(), st.integers(-2, TOTAL + 2))),
        newest_first=data.draw(st.booleans()),
    )
    posted = data.draw(st.sampled_from([0, 1, 133, 256, 511, 512]))
    assert known.answered(wanted, posted) == known.expected(wanted)


def test_long_lists_are_read_in_steps(known: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "_FIRST_BATCH", 2)
    monkeypatch.setattr(query, "_LARGEST_BATCH", 3)
    monkeypatch.setattr(query, "_TAIL_STEP", 7)
    monkeypatch.setattr(query, "_COUNTED", 1)
    monkeypatch.setattr(query, "_FIRST_ROWS", 1)
    monkeypatch.setattr(query, "_MOST_ROWS", 1)
    for supplier in known.refs["supplier"]:
        for newest_first in (False, True):
            for posted in (0, 200, 512):
                wanted = Filter(supplier=supplier, kind="exchange", newest_first=newest_first)
                assert known.answered(wanted, posted) == known.expected(wanted)
                assert known.answered(Filter(newest_first=newest_first), posted) == known.expected(
                    Filter(newest_first=newest_first)
                )


def test_pages_join_without_gap_or_overlap(known: Known) -> None:
    whole = Filter(kind="exchange.object", outcome="allow")
    for newest_first in (False, True):
        asked = msgspec.structs.replace(whole, newest_first=newest_first)
        pages: list[int] = []
        while page := known.answered(
            msgspec.structs.replace(asked, limit=7, after=pages[-1] if pages else None), 200
        ):
            pages += page
        assert pages == known.expected(asked)


def test_a_forged_posting_shows_nothing_that_is_not_so(known: Known) -> None:
    client, other = known.subjects[:2]
    mine = known.expected(Filter(principal=client))
    foreign = next(index for index in known.expected(Filter(principal=other)) if index not in mine)
    assert foreign < 256
    with closing(sqlite3.connect(known.made.database)) as connection:
        (places,) = connection.execute("SELECT places FROM postings WHERE ref = ? AND span = 0", (client,)).fetchone()
        forge = "UPDATE postings SET places = ? WHERE ref = ? AND span = 0"
        connection.execute(forge, (bytes(sorted({*places, foreign})), client))
        connection.commit()
        try:
            assert known.answered(Filter(principal=client), 512) == mine
            connection.execute(forge, (b"\5\4", client))
            connection.commit()
            with pytest.raises(Corrupt, match="list of"):
                known.answered(Filter(principal=client), 512)
        finally:
            connection.execute(forge, (places, client))
            connection.commit()


def test_entries_recorded_while_an_answer_is_read_are_not_in_it(tmp_path: Path) -> None:
    made = MadeLedger.create(tmp_path / "made")
    made.record(*(Draft(OPENED, "keeper") for _ in range(600)))
    made.post(300)
    with made.reading() as connection:
        answer = find(connection, Filter(principal="keeper"))
        first = next(answer)
        made.record(Draft(DELIVERED, "keeper"))
        made.post()
        rest = [entry.index for entry in answer]
        assert [first.index, *rest] == list(range(600))
    with made.reading() as connection:
        assert len(list(find(connection, Filter(principal="keeper")))) == 601


def test_erased_entries_are_answered_by_kind_and_time_only(tmp_path: Path) -> None:
    made = MadeLedger.create(tmp_path / "made")
    made.record(*(Draft(OPENED, "keeper", details={"outcome": "allow"}) for _ in range(260)))
    assert made.post() == 256
    with closing(sqlite3.connect(made.database)) as connection:
        connection.execute("UPDATE entries SET payload = NULL, salt = NULL WHERE idx IN (1, 257)")
        connection.commit()
    left = [index for index in range(260) if index not in (1, 257)]
    with made.reading() as connection:
        assert [entry.index for entry in find(connection, Filter(kind="exchange"))] == list(range(260))
        assert [entry.index for entry in find(connection, Filter(principal="keeper"))] == left
        assert [entry.index for entry in find(connection, Filter(outcome="allow"))] == left


def test_a_damaged_entry_ends_the_answer_with_its_name(tmp_path: Path) -> None:
    made = MadeLedger.create(tmp_path / "made")
    made.record(*(Draft(OPENED, "keeper") for _ in range(256)))
    assert made.post() == 256
    with closing(sqlite3.connect(made.database)) as connection:
        connection.execute("DELETE FROM entries WHERE idx = 2")
        connection.commit()
    with made.reading() as connection, pytest.raises(Corrupt, match="Entry 2 of"):
        list(find(connection, Filter(principal="keeper")))


def test_an_empty_ledger_answers_nothing(tmp_path: Path) -> None:
    made = MadeLedger.create(tmp_path / "made")
    with made.reading() as connection:
        assert list(find(connection, Filter())) == []
        assert list(find(connection, Filter(principal="x", since_us=1, until_us=2, newest_first=True))) == []
