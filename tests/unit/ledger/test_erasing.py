"""Payloads go, every proof stays; and what is gone without an entry that says so is damage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import update

from keten.core.errors import Corrupt
from keten.ledger import erasing, postings
from keten.ledger.erasures import UNJUSTIFIED, Gone
from keten.ledger.faults import Report
from keten.ledger.postings import Newest
from keten.ledger.query import Filter, find
from keten.ledger.tables import entries
from keten.ledger.verify import verify
from tests.made_ledger import OPENED, MadeLedger

WHY = "request 1"


@pytest.fixture
def made(tmp_path: Path) -> MadeLedger:
    made = MadeLedger.create(tmp_path / "made")
    made.fill(700)
    made.post()
    return made


def erase(made: MadeLedger, *indexes: int) -> tuple[Gone, ...]:
    with made.writing() as writing:
        return erasing.erase(writing, indexes, "operator:anna", {"request": made.id()}, WHY)


def checked(made: MadeLedger, newest: int | None = None) -> Report:
    made.publish()
    return verify(made.database, made.folder, key=made.key, processes=1, newest=newest)


def of_kind(made: MadeLedger, kind: str) -> list[int]:
    with made.reading() as connection:
        return [entry.index for entry in find(connection, Filter(kind=kind))]


def said(report: Report) -> set[tuple[str, int | None]]:
    return {(fault.where, fault.index) for fault in report.faults}


def test_everything_still_holds_and_the_tree_is_the_same(made: MadeLedger) -> None:
    before = made.head()
    some = of_kind(made, OPENED.name)[:30]
    gone = erase(made, *some)
    assert [one.index for one in gone] == some
    made.publish()
    with made.reading() as connection:
        assert [one.payload for one in find(connection, Filter(kind=OPENED.name))][:30] == [None] * 30
        assert erasing.salts(connection, some) == []
    report = checked(made)
    assert report.faults == ()
    assert report.checked["erased"] == 30
    assert (made.head().size, made.head().root != before.root) == (before.size + 1, True)
    assert checked(made, newest=300).faults == ()
    assert erase(made, *some) == (), "again is nothing"


def test_they_leave_every_list_but_that_of_their_kind(made: MadeLedger) -> None:
    with made.reading() as connection:
        victim = next(entry for entry in find(connection, Filter(kind=OPENED.name)) if entry.payload)
        assert victim.payload is not None
        client = victim.payload.actor
        before = [entry.index for entry in find(connection, Filter(principal=client))]
    erase(made, victim.index)
    with made.reading() as connection:
        after = [entry.index for entry in find(connection, Filter(principal=client))]
    assert set(before) - set(after) == {victim.index}
    assert victim.index in of_kind(made, OPENED.name)
    assert checked(made).faults == ()


def test_what_came_back_without_its_payload_leaves_the_lists_too(made: MadeLedger) -> None:
    """As after a restore: the lists are of before the erasure, the payloads are gone."""
    some = of_kind(made, OPENED.name)[10:40]
    with made.writing() as writing:
        gone = update(entries).where(entries.c.idx.in_(some)).values(payload=None, salt=None)
        writing.connection.execute(gone)
        erasing.acknowledge(writing, some, "operator:anna", WHY)
    assert {fault.where for fault in checked(made).faults} == set()
    with made.reading() as connection:
        assert [one.index for one in find(connection, Filter(kind=OPENED.name)) if one.payload is None] == some


def test_lists_that_were_made_anew_are_the_same(made: MadeLedger) -> None:
    erase(made, *of_kind(made, OPENED.name)[:10])
    with made.engine.begin() as connection:
        postings.clear(connection)
    made.post()
    assert checked(made).faults == ()


def test_what_is_still_in_memory_is_not_posted(made: MadeLedger) -> None:
    """Entries are sealed, erased before their span is whole, and posted afterwards, as the keeper does."""
    newest = Newest(made.head().size)
    client = made.declare("one-more")
    for _ in range(6):
        drafts = [made.access(client, made.id(), made.id())[0] for _ in range(100)]
        sealed = made.record(*drafts)
        newest.add(sealed.first, sealed.drafts)
    last = made.head().size
    with made.writing() as writing:
        erasing.erase(writing, range(last - 250, last - 50), "keeper", {}, WHY)
    assert made.batch is not None
    newest.add(made.batch.first, made.batch.drafts)
    newest.erased(writing.erased)
    while True:
        with made.engine.begin() as connection:
            before = postings.posted(connection)
            posted = newest.write(connection)
        newest.forget(posted)
        if posted == before:
            break
    batch = made.record(*[made.access(client, made.id(), made.id())[0] for _ in range(300)])
    newest.add(batch.first, batch.drafts)
    with made.engine.begin() as connection:
        newest.forget(newest.write(connection))
    assert checked(made).faults == ()


def test_what_the_register_stands_on_is_not_erased(made: MadeLedger) -> None:
    client = made.declare("needed")
    with made.reading() as connection:
        (declared,) = erasing.changed(connection, client.id)
    with pytest.raises(Corrupt, match="stands on"):
        erase(made, declared)
    made.change(client, keys=("ssh-ed25519 other",))
    assert [one.index for one in erase(made, declared)] == [declared]
    assert checked(made).faults == ()


def _gone_by_hand(made: MadeLedger, index: int) -> None:
    _set(made, index, payload=None, salt=None)


def _set(made: MadeLedger, index: int, **values: object) -> None:
    with made.engine.begin() as connection:
        connection.execute(update(entries).where(entries.c.idx == index).values(**values))


def test_what_is_gone_without_an_entry_is_damage(made: MadeLedger) -> None:
    first, second = of_kind(made, OPENED.name)[:2]
    erase(made, first)
    _gone_by_hand(made, second)
    report = checked(made)
    assert [fault.index for fault in report.faults if fault.what == UNJUSTIFIED] == [second]


@pytest.mark.parametrize(
    "meddle",
    [
        lambda made, index: _set(made, index, kind="exchange.object.refused"),
        lambda made, index: _set(made, index, time_us=made.time_us - 700_000_000),
    ],
)
def test_what_is_left_of_an_erased_entry_is_proven_by_the_one_that_erased_it(
    made: MadeLedger, meddle: Callable[[MadeLedger, int], None]
) -> None:
    index = of_kind(made, OPENED.name)[3]
    erase(made, index)
    meddle(made, index)
    assert ("column", index) in said(checked(made))


def test_a_payload_that_was_put_back_is_noticed(made: MadeLedger) -> None:
    index = of_kind(made, OPENED.name)[0]
    with made.engine.begin() as connection:
        kept = connection.execute(entries.select().where(entries.c.idx == index)).one()
    erase(made, index)
    _set(made, index, payload=kept.payload, salt=kept.salt)
    report = checked(made)
    assert ("payload", index) in said(report)
    assert any("and it was not" in fault.what for fault in report.faults)


def test_an_entry_cannot_say_so_of_a_later_one(made: MadeLedger) -> None:
    """Nobody erases beforehand what is recorded later."""
    index = of_kind(made, OPENED.name)[0]
    erase(made, index)
    later = made.head().size
    client = made.declare("later")
    made.open(client, made.id(), made.id())
    _gone_by_hand(made, later + 1)
    assert ("payload", later + 1) in said(checked(made))
