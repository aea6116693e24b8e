"""Two people: who asked does not approve, and what is over is over."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import update

from keten.core.errors import Conflict, Corrupt, Denied, Invalid, NotFound
from keten.subjects import holds, requests
from keten.subjects.model import Operator, Request
from keten.subjects.tables import requests as table
from tests.made_ledger import MadeLedger

ANNA, BERT, ROOT = Operator("anna", 1001), Operator("bert", 1002), Operator("root", 0)
NAMED = {ANNA.uid, BERT.uid}
MONTH_US = requests.LAPSE_US


@pytest.fixture
def made(tmp_path: Path) -> MadeLedger:
    return MadeLedger.create(tmp_path / "made")


def ask(made: MadeLedger, target: str = "", who: Operator = ANNA) -> Request:
    with made.writing() as writing:
        return requests.ask(writing, "erase", "person", target or made.id(), who, "a letter", "GDPR 17(1)(b)")


def approve(made: MadeLedger, request: Request, who: Operator, approvers: int = 2) -> Request:
    with made.writing() as writing:
        return requests.approve(writing, request.id, who, approvers, NAMED)


def kinds(made: MadeLedger) -> list[str]:
    from keten.ledger.query import Filter, find

    with made.reading() as connection:
        return [entry.kind for entry in find(connection, Filter(kind="subjects"))]


def test_one_asks_and_another_one_approves(made: MadeLedger) -> None:
    asked = ask(made)
    assert asked.state == "waiting"
    with pytest.raises(Denied, match="another person"):
        approve(made, asked, ANNA)
    approved = approve(made, asked, BERT)
    assert (approved.state, approved.approvers) == ("approved", 2)
    assert (approved.decided_by, approved.decided_uid) == ("bert", 1002)
    assert kinds(made) == ["subjects.erasure.requested", "subjects.erasure.approved"]
    with pytest.raises(Conflict, match="approved already"):
        approve(made, asked, ROOT)


def test_root_twice_is_one_person(made: MadeLedger) -> None:
    with pytest.raises(Denied):
        approve(made, ask(made, who=ROOT), ROOT)


def test_root_is_no_second_person_unless_it_is_named(made: MadeLedger) -> None:
    """Whoever asked may be able to become root: by sudo, say."""
    asked = ask(made)
    with pytest.raises(Denied, match="root is not named"):
        approve(made, asked, ROOT)
    with made.writing() as writing:
        approved = requests.approve(writing, asked.id, ROOT, 2, NAMED | {ROOT.uid})
    assert (approved.state, approved.decided_by) == ("approved", "root")


def test_a_user_of_another_name_and_the_same_number_is_the_same(made: MadeLedger) -> None:
    with pytest.raises(Denied):
        approve(made, ask(made), Operator("anna-too", ANNA.uid))


def test_where_one_is_enough_the_entry_says_so(made: MadeLedger) -> None:
    assert approve(made, ask(made), ANNA, approvers=1).approvers == 1


def test_what_waits_is_not_asked_for_again(made: MadeLedger) -> None:
    target = made.id()
    first = ask(made, target)
    assert ask(made, target, BERT).id == first.id
    assert kinds(made) == ["subjects.erasure.requested"]
    with made.writing() as writing:
        requests.refuse(writing, first.id, BERT, "not now")
    assert ask(made, target).id != first.id


def test_a_refused_one_stays_refused(made: MadeLedger) -> None:
    asked = ask(made)
    with made.writing() as writing:
        refused = requests.refuse(writing, asked.id, ANNA, "a mistake of mine")
    assert (refused.state, refused.remark) == ("refused", "a mistake of mine")
    with pytest.raises(Conflict, match="refused"):
        approve(made, asked, BERT)


def test_it_lapses_after_a_month(made: MadeLedger) -> None:
    asked = ask(made)
    made.time_us += MONTH_US - 2_000_000
    with made.writing(step_us=0) as writing:
        assert requests.lapse(writing) == 0
    made.time_us += 2_000_000
    with pytest.raises(Conflict, match="lapsed"):
        approve(made, asked, BERT)
    with made.writing() as writing:
        assert requests.lapse(writing) == 1
    with made.reading() as connection:
        assert requests.get(connection, asked.id).state == "lapsed"
        assert requests.in_state(connection, "waiting") == []
    assert kinds(made)[-1] == "subjects.erasure.lapsed"


def test_one_that_was_changed_past_keten_is_not_used(made: MadeLedger) -> None:
    """Whoever owns the database makes another one of who asked."""
    asked = ask(made)
    with made.engine.begin() as connection:
        body = connection.execute(table.select()).one().body.replace(b'"asked_uid":1001', b'"asked_uid":1003')
        connection.execute(update(table).values(body=body))
    with pytest.raises(Corrupt):
        approve(made, asked, ANNA)


def test_what_is_not_there_and_what_is_not_said(made: MadeLedger) -> None:
    with pytest.raises(NotFound), made.reading() as connection:
        requests.get(connection, made.id())
    with pytest.raises(Invalid), made.writing() as writing:
        requests.ask(writing, "erase", "person", made.id(), ANNA, "  ", "")
    with pytest.raises(Invalid), made.writing() as writing:
        requests.ask(writing, "erase", "person", made.id(), ANNA, "a letter", "b" * 201)


def test_a_hold_ends_by_itself_and_by_two(made: MadeLedger) -> None:
    target, other = made.id(), made.id()
    with made.writing() as writing:
        ending = holds.put(writing, "person", target, ANNA, "a case", writing.time_us + 60_000_000)
        open_ended = holds.put(writing, "dataset", other, ANNA, "a case", 0)
    with made.reading() as connection:
        assert [one.id for one in holds.on_subject(connection, target, made.time_us)] == [ending.id]
        assert holds.on_subject(connection, target, ending.until_us) == []
        assert set(holds.held_datasets(connection, made.time_us)) == {other}
        with pytest.raises(Conflict, match=open_ended.id):
            holds.require_none(holds.on_datasets(connection, [other], made.time_us + MONTH_US * 100))
    with made.writing() as writing:
        asked = requests.ask(writing, "release", "hold", open_ended.id, ANNA, "closed", "")
    with made.writing() as writing:
        approved = requests.approve(writing, asked.id, BERT, 2, NAMED)
    for _again in range(2):
        with made.writing() as writing:
            assert holds.release(writing, requests.get(writing.connection, approved.id)).state == "released"
    with made.reading() as connection:
        assert holds.held_datasets(connection, made.time_us) == {}
    with pytest.raises(Invalid), made.writing() as writing:
        holds.put(writing, "person", target, ANNA, "a case", writing.time_us)
