"""People of a supplier look records up at the portal: decided, charged and recorded as for a system."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from keten.keeper.budget_protocol import AnswerRequest, RequestAnswered
from keten.keeper.client import KeeperClient
from tests.functional.test_portal import asked, share_of, words
from tests.house import House
from tests.office import TABLES, key
from tests.town import estate
from tests.visitor import Answer, Visitor

GRANT = """
  - id: lookup-for-people
    dataset: jobseekers
    contract: vwo-1
    purpose: election-cards
    form: lookup
    label: jobseekers
    columns: [name, phone]
    budget: {records: 3, per: month}
"""
PEOPLE = (
    "people: [{id: drukwerk-ops, email: ops@drukwerk.example}]",
    "people: [{id: drukwerk-ops, email: ops@drukwerk.example}, {id: drukwerk-two, email: two@drukwerk.example}]",
)


class Registry(House):
    """The printing house's people, who may look up jobseekers."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.register = folder / "jobseekers.csv"
        lines = [f"{key(n)};Naam {n};06{n:08d};{n * 10}" for n in range(20)]
        self.register.write_text("nir;name;phone;debt\n" + "\n".join(lines) + "\n", encoding="utf-8")

    def start(self) -> None:
        """Run, apply, put."""
        self.keten.up("--portal", "127.0.0.1:0")
        text = estate(self._keys[0].line, self._keys[1].line)
        head, _, rest = text.partition("datasets:\n")
        text = head + TABLES.lstrip("\n") + rest.rstrip("\n") + "\n" + GRANT.lstrip("\n")
        assert text.count(PEOPLE[0]) == 1
        self.keten.apply(text.replace(*PEOPLE))
        self.keten.run("put", "jobseekers", str(self.register))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    made = Registry(tmp_path_factory.mktemp("lookups"))
    try:
        made.start()
        yield made
    finally:
        made.keten.down()


@pytest.fixture(scope="module")
def member(house: Registry) -> Visitor:
    return house.person("drukwerk-ops")


def look(visitor: Visitor, share: str, wanted: str, case: str = "C-7") -> Answer:
    page = asked(visitor, f"/en/shares/{share}")
    assert page.status == 200
    column = re.search(r'name="column" value="([^"]*)"', page.text)
    assert column is not None
    fields = {"label": "jobseekers", "column": column[1], "key": wanted, "case": case}
    return visitor.send(f"/en/shares/{share}/lookup", token=page.token, **fields)


def test_a_record_its_columns_and_its_entry(house: Registry, member: Visitor) -> None:
    share = share_of(member, "jobseekers")
    page = asked(member, f"/en/shares/{share}")
    assert "Which record: its nir" in words(page)
    found = look(member, share, key(3))
    assert found.status == 200
    said = words(found)
    assert "Naam 3" in said
    assert "0600000003" in said
    assert "debt" not in said, "not granted"
    (answered,) = house.entries("exchange.lookup.answered")
    assert answered["id"] in found.text
    assert answered["actor"] == house.keten.ids["person"]["drukwerk-ops"]
    assert key(3) not in str(answered), "the key is sealed"


def test_what_there_is_not(member: Visitor) -> None:
    found = look(member, share_of(member, "jobseekers"), "no-such-key")
    assert "There is no such record" in words(found)
    assert "Nothing has this nir" in words(found)


@pytest.mark.parametrize(("wanted", "case"), [("1", ""), ("1" * 201, "C-7")])
def test_what_is_no_question_is_said_and_recorded_nowhere(
    house: Registry, member: Visitor, wanted: str, case: str
) -> None:
    share, before = share_of(member, "jobseekers"), len(house.entries("exchange.lookup.answered"))
    answer = look(member, share, wanted, case)
    assert answer.status == 400
    assert "Say which record, and for which case" in words(answer)
    assert len(house.entries("exchange.lookup.answered")) == before


def test_a_form_from_elsewhere_looks_nothing_up(house: Registry, member: Visitor) -> None:
    share, before = share_of(member, "jobseekers"), house.entries("exchange.lookup")
    answer = member.send(f"/en/shares/{share}/lookup", token="f" * 22, key=key(1), case="C-7")
    assert answer.status == 403
    assert house.entries("exchange.lookup") == before


def test_the_budget_runs_out_more_is_asked_for_and_the_owner_allows_it(house: Registry) -> None:
    person = house.person("drukwerk-two")
    share = share_of(person, "jobseekers")
    for number in range(3):
        assert look(person, share, key(number)).status == 200
    stopped = look(person, share, key(9))
    assert stopped.status == 429
    assert "Naam 9" not in stopped.text
    assert "Ask for more, or wait until it is renewed." in words(stopped)
    path = f"/en/shares/{share}/more"
    page = asked(person, path)
    assert "0 of 3 records left this month" in words(page)
    wrong = person.send(path, token=page.token, records="many", why="x")
    assert wrong.status == 400
    assert "a whole number" in words(wrong)
    assert person.send(path, token=page.token, records="2", why="a second round", case="C-8").status == 303
    waits = asked(person, path)
    assert "not answered yet" in words(waits)
    assert "Ask for it" not in words(waits), "one at a time"
    (request,) = house.keten.run("budget", "requests")["requests"]
    assert (request["client"], request["records"], request["why"]) == ("drukwerk-two", 2, "a second round")
    with KeeperClient(house.keten.paths.operator_socket) as client:
        client.call("budgets.answer", AnswerRequest(request["id"], "allow"), RequestAnswered)
    assert "allowed 2 records" in words(asked(person, path))
    assert "Naam 9" in look(person, share, key(9)).text


def test_another_suppliers_person_has_nothing_here(house: Registry, member: Visitor) -> None:
    share = share_of(member, "jobseekers")
    stranger = Visitor(house.portal)
    assert stranger.get(f"/en/shares/{share}/more").status == 303
    token = asked(member, f"/en/shares/{share}").token
    assert stranger.send(f"/en/shares/{share}/lookup", token=token, key=key(1), case="C").status in (303, 403)
    absent = member.send(f"/en/shares/{'a' * 26}/lookup", token=token, key=key(1), case="C-7")
    assert absent.status == 404
