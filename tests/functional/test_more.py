"""When a budget runs out: it slows down, asks for signing in anew, or stops; and more is asked of its owner."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any

import pytest

from keten.core.errors import Conflict, Invalid
from keten.drills.supplier import Answer, SupplierSystem
from keten.keeper.budget_protocol import AnswerRequest, AskRequests, RequestAnswered, Requests
from keten.keeper.client import KeeperClient
from tests.office import Office, key
from tests.town import CARRIER, PRINTER

# Windows of a month, so that none ends while the tests run.
TWELVE = "budgets: [{records: 10, per: hour}, {records: 40, per: month}]"
FIVE = "budget: {records: 5, per: month}"
TWENTY = "budget: {records: 20, per: day}\n    caseload: {dataset: caseload, column: advisers, outside: refuse}"
SLOWLY = "budget: {records: 3, per: month, then: delay, most: 6, every: 1h}"
ANEW = """
  - id: lookup-with-step-up
    dataset: jobseekers
    contract: vwo-2
    purpose: care-transport
    form: lookup
    label: stepped
    budget: {records: 2, per: month, then: step-up, most: 4}
"""


class Bounded(Office):
    """The office, with budgets that run out."""

    def estate(self) -> str:
        """Its estate."""
        text = super().estate()
        assert TWELVE in text
        assert TWENTY in text
        return text.replace(TWELVE, FIVE).replace(TWENTY, SLOWLY).rstrip("\n") + ANEW


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    made = Bounded(tmp_path_factory.mktemp("office"))
    try:
        made.start()
        yield made
    finally:
        made.keten.down()


def share_of(system: SupplierSystem, label: str) -> str:
    return next(str(one["id"]) for one in system.shares() if one["label"] == label)


def look(system: SupplierSystem, share: str, *numbers: int) -> list[int]:
    """The statuses of lookups, one by one."""
    return [system.get(f"/v1/lookups/{share}?key={key(number)}&case=C").status for number in numbers]


def post(system: SupplierSystem, path: str, content: bytes | dict[str, Any], media: str = "application/json") -> Answer:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    extra = {"Content-Type": media}
    answer = system.ask("POST", path, system.authorised("POST", path, extra), body)
    if answer.status == HTTPStatus.UNAUTHORIZED:
        system.nonce = answer.headers["dpop-nonce"]
        answer = system.ask("POST", path, system.authorised("POST", path, extra), body)
    return answer


def answer(office: Office, request: str, action: str, **more: Any) -> None:
    """What the command does, without its start-up."""
    with KeeperClient(office.keten.paths.operator_socket) as client:
        client.call("budgets.answer", AnswerRequest(request, action, **more), RequestAnswered)


def test_more_is_asked_allowed_taken_and_withdrawn(office: Office) -> None:
    keten, system = office.keten, office.town.printer()
    share = share_of(system, "jobseekers")
    more = f"/v1/shares/{share}/more"
    assert look(system, share, *range(20, 25)) == [HTTPStatus.OK] * 5
    spent = system.get(f"/v1/lookups/{share}?key={key(25)}&case=C")
    told = spent.json()
    assert (spent.status, told["code"], told["left"], told["more"]) == (429, "budget-spent", "0", more)
    assert told["detail"].startswith(f"Of this month's 5 records 0 are left, until {told['until']}. Ask for more here:")
    before = system.get(more).json()
    assert before["request"] is None
    assert [(one["per"], one["spent"], one["left"]) for one in before["budget"]] == [("month", 5, 0)]

    asked = post(system, more, {"records": 3, "why": "Mr Jansen's file is urgent", "case": "INTAKE-9"})
    assert asked.status == HTTPStatus.OK, asked.body
    request = asked.json()["request"]
    assert (request["state"], request["records"], request["per"]) == ("open", 3, "month")
    again = post(system, more, {"records": 3, "why": "again"})
    assert (again.status, again.json()["code"]) == (HTTPStatus.CONFLICT, "request-open")
    with KeeperClient(keten.paths.operator_socket) as client:
        (seen,) = client.call("budgets.requests", AskRequests(), Requests).requests
    assert (seen.client, seen.grant, seen.owner) == (PRINTER, "lookup-for-drukwerk", "dpo")
    assert (seen.why, seen.case) == ("Mr Jansen's file is urgent", "INTAKE-9")

    with pytest.raises(Invalid, match="raise the budget in the estate"):
        answer(office, request["id"], "allow", until_us=2**52)
    answer(office, request["id"], "allow")
    with pytest.raises(Conflict, match="allowed"):
        answer(office, request["id"], "allow")
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda number: look(office.town.printer(), share, number)[0], range(30, 42)))
    assert sorted(taken) == [HTTPStatus.OK] * 3 + [HTTPStatus.TOO_MANY_REQUESTS] * 9
    shown = system.get(more).json()
    assert (shown["request"]["state"], shown["request"]["extra"], shown["budget"][0]["left"]) == ("allowed", 3, 0)
    assert shown["request"]["until"] == before["budget"][0]["until"], "to the end of the window"

    second = post(system, more, {"records": 5, "why": "more of them"}).json()["request"]["id"]
    answer(office, second, "allow", records=2)
    assert look(system, share, 50) == [HTTPStatus.OK]
    answer(office, second, "withdraw")
    assert look(system, share, 51, 50) == [HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.OK], "what is known costs nothing"
    for number in (3, 4, 5):
        last = post(system, more, {"records": 1, "why": f"once more, {number}"})
        answer(office, last.json()["request"]["id"], "refuse", why="ask the team of March")
    refused = system.get(more).json()["request"]
    assert (refused["state"], refused["why"]) == ("refused", "ask the team of March")
    often = post(system, more, {"records": 1, "why": "a sixth time"})
    assert (often.status, often.json()["code"]) == (429, "asked-often")
    assert often.json()["until"]

    kept = [one for one in office.entries() if one["kind"].startswith("budgets.more.")]
    kinds = {one["kind"].rpartition(".")[2] for one in kept}
    assert kinds == {"asked", "told", "read", "allowed", "withdrawn", "refused"}
    first = next(one for one in kept if one["kind"] == "budgets.more.asked")
    assert first["id"] == asked.headers["keten-entry"]
    assert "Jansen" not in json.dumps(kept), "why is the client's own, under its key (law 7)"


def test_the_owners_and_the_suppliers_commands(office: Office) -> None:
    keten = office.keten
    (line,) = keten.run("budget", "show", "lookup-for-drukwerk")["budgets"]
    (month,) = line["budget"]
    assert (line["client"], month["spent"], month["extra"], month["left"]) == (PRINTER, 9, 3, 0)
    who = ("--client", keten.ids["client"][CARRIER], "--key", str(office.town.carrier_key.path))
    keten.run("login", keten.ready["gateway"], *who, "--ca", str(keten.paths.ca), home=False)
    told = keten.run("ask", "stepped", "--records", "2", "--why", "holidays", home=False)
    assert told["request"]["state"] == "open"
    with pytest.raises(Invalid, match="ceiling"):  # which the estate sets
        answer(office, told["request"]["id"], "allow", records=3)
    (waiting,) = keten.run("budget", "requests")["requests"]
    assert (waiting["id"], waiting["why"]) == (told["request"]["id"], "holidays")
    keten.run("budget", "refuse", waiting["id"], "--why", "sign in again instead")
    shown = keten.command("ask", "stepped", home=False).stdout
    assert "was refused: sign in again instead" in shown
    assert "2 of 2 records are left" in shown


def test_past_the_budget_slowly_or_signed_in_anew_and_never_past_the_ceiling(office: Office) -> None:
    system = office.town.carrier()
    slow, stepped = share_of(system, "own-cases"), share_of(system, "stepped")
    assert look(system, slow, 60, 61, 62) == [HTTPStatus.OK] * 3
    told = system.get(f"/v1/lookups/{slow}?key={key(63)}&case=C")
    assert (told.status, told.json()["code"], told.json()["left"]) == (429, "budget-slow", "3")
    assert 0 < int(told.headers["retry-after"]) <= 3600
    system.sign_in()
    assert look(system, slow, 63, 60) == [HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.OK], "signing in shortens no wait"

    system.sign_in()
    assert look(system, stepped, 70, 71) == [HTTPStatus.OK] * 2
    anew = system.get(f"/v1/lookups/{stepped}?key={key(72)}&case=C")
    assert (anew.status, anew.json()["code"]) == (HTTPStatus.UNAUTHORIZED, "budget-step-up")
    assert 'error="insufficient_user_authentication"' in anew.headers["www-authenticate"]
    system.sign_in()
    assert look(system, stepped, 72, 73) == [HTTPStatus.OK] * 2
    system.sign_in()
    past = system.get(f"/v1/lookups/{stepped}?key={key(74)}&case=C")
    assert (past.status, past.json()["code"], past.json()["budget"]) == (429, "budget-spent", "4")
    assert office.keten.command("ledger", "verify").returncode == 0


def test_who_may_not_ask_hears_nothing_and_what_is_malformed_changes_nothing(office: Office) -> None:
    printer, carrier = office.town.printer(), office.town.carrier()
    share = share_of(printer, "jobseekers")
    good = {"records": 1, "why": "x"}
    answers = [
        post(carrier, f"/v1/shares/{share}/more", good),
        post(carrier, f"/v1/shares/{'a' * 26}/more", good),
        carrier.get(f"/v1/shares/{share}/more"),
        carrier.get("/v1/shares/no-id/more"),
    ]
    assert {one.status for one in answers} == {HTTPStatus.NOT_FOUND}
    assert len({one.json()["detail"] for one in answers}) == 1
    size = len(office.entries("--kind", "budgets.more.asked"))
    own = f"/v1/shares/{share_of(carrier, 'own-cases')}/more"
    for body in (
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"[" * 5000,
        b'{"records": 1}',
        b'{"records": 1e3, "why": "x"}',
        b'{"records": 1.5, "why": "x"}',
        b'{"records": true, "why": "x"}',
        b'{"records": 99999999999999999999, "why": "x"}',
        {"records": 0, "why": "x"},
        {"records": -1, "why": "x"},
        {"records": 10**12, "why": "x"},
        {"records": 1, "why": ""},
        {"records": 1, "why": " "},
        {"records": 1, "why": "x" * 501},
        {"records": 1, "why": "two\nlines"},
        {"records": 1, "why": "x", "case": "y" * 201},
        {"records": 1, "why": "x", "grant": "y"},
    ):
        assert post(carrier, own, body).status == HTTPStatus.BAD_REQUEST, body
    assert post(carrier, own, b"records=1", "text/plain").status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    assert post(carrier, own, b" " * 70_000).status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert len(office.entries("--kind", "budgets.more.asked")) == size
    with ThreadPoolExecutor(6) as pool:
        at_once = list(pool.map(lambda _each: post(office.town.carrier(), own, good).status, range(6)))
    assert sorted(at_once) == [HTTPStatus.OK] + [HTTPStatus.CONFLICT] * 5, "one at a time"
    free = f"/v1/shares/{share_of(carrier, 'care-transport')}/more"
    none = post(carrier, free, good)
    assert (none.status, none.json()["code"]) == (HTTPStatus.CONFLICT, "no-budget")
