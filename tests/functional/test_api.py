"""`/api`: every verb of the console for programs, for whoever may, and for nobody else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from keten.api.document import document
from keten.api.table import BY_VERB, DOING, OPERATIONS, SIGNING, Operation
from keten.identity.roles import STAFF, may
from keten.keeper.acting import CONSOLE
from keten.suppliers.reading import parse
from tests.functional.api_client import Program, program
from tests.functional.staff import House

JSON = "application/json"
NOWHERE = "a" * 26
ACTS: dict[str, tuple[str, dict[str, Any]]] = {
    "budgets.answer": ("answer-requests", {"request": NOWHERE, "action": "refuse", "why": "no"}),
    "budgets.requests": ("answer-requests", {"request": "ASKED"}),
    "budgets.show": ("see-alerts", {"owner": "OWNER"}),
    "keeper.status": ("see-settings", {}),
    "ledger.locate": ("prove-entry", {"entry": NOWHERE}),
    "people.invite": ("invite-staff", {"person": NOWHERE}),
    "people.sessions": ("end-sessions", {"person": NOWHERE}),
    "people.sign_out_all": ("end-sessions", {"person": NOWHERE}),
    "policy.decide": ("explain-decision", {"principal": "drukwerk-batch", "action": "open", "resource": "voters"}),
    "policy.replay": ("explain-decision", {"entry": NOWHERE}),
    "recovery.approve": ("approve-recovery", {"case": NOWHERE, "person": NOWHERE, "act": "a" * 64}),
    "recovery.cases": ("see-recoveries", {}),
    "recovery.open": ("open-recovery", {"person": NOWHERE}),
    "rights.confirm_grants": ("confirm-grants", {"grants": [NOWHERE]}),
    "rights.confirm_roles": ("confirm-roles", {"people": [NOWHERE]}),
    "rights.end": ("confirm-grants", {"grant": NOWHERE, "reason": "over"}),
    "rights.unconfirmed": ("see-unconfirmed", {"owner": "OWNER"}),
    "revocation.destroy": ("ask-destruction", {"target": "voters", "reason": "look", "plan_only": True}),
    "revocation.revoke": ("end-access", {"kind": "supplier", "target": NOWHERE, "reason": "a test"}),
    "subjects.approve": ("see-proposals", {"request": "PROPOSED", "plan_only": True}),
    "subjects.erase": ("ask-erasure", {"subject": "drukster", "reason": "look", "plan_only": True}),
    "subjects.refuse": ("approve-erasure", {"request": NOWHERE, "reason": "no", "what": "erase"}),
    "subjects.requests": ("see-proposals", {}),
    "suppliers.apply": ("apply-estate", {"estate": "ESTATE", "plan_only": True}),
    "watch.alerts": ("see-alerts", {"alert": "SEEN"}),
    "watch.handle": ("handle-alerts", {"alert": NOWHERE, "action": "acknowledge"}),
}
"""Verb → the act that it takes with this content."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("api"))
    yield made
    made.instance.run("ledger", "verify")
    made.close()


def content(house: House, verb: str) -> dict[str, Any]:
    """The content of `ACTS`, about what is there."""
    act = dict(ACTS[verb][1])
    if act.get("request") == "PROPOSED":
        act["request"] = house.proposed
    if act.get("request") == "ASKED":
        act["request"] = house.asked
    if act.get("alert") == "SEEN":
        act["alert"] = house.seen
    if act.get("owner") == "OWNER":
        act["owner"] = house.id("person", "data-owner")
    if act.get("estate") == "ESTATE":
        act["estate"] = msgspec.to_builtins(parse(house.estate().encode(), "estate"))
    return act


def same(answer: Any) -> dict[str, Any]:
    """A problem without what names one answer."""
    return {name: value for name, value in answer.body.items() if name != "request_id"}


def test_no_verb_of_the_console_is_missing() -> None:
    assert {one.verb for one in DOING} == set(CONSOLE)
    assert set(ACTS) == set(CONSOLE), "each is walked below"
    paths = document()["paths"]
    served = {(f"/api{one.path}", one.method.lower()) for one in OPERATIONS} | {("/api/openapi.json", "get")}
    assert {(path, method) for path, methods in paths.items() for method in methods} == served
    for one in OPERATIONS:
        assert one.summary


@pytest.mark.parametrize("role", STAFF)
def test_a_role_does_what_the_table_says_and_nothing_else(house: House, role: str) -> None:
    who = program(house, role)
    absent = who.ask("POST", "/there/is/nothing", {"act": {}})
    assert absent.status == 404
    for verb, (act, _example) in ACTS.items():
        answer = who.do(verb, content(house, verb))
        assert (answer.status == 404 and same(answer) == same(absent)) == (
            not may((role,), act) or _is_absent(verb, answer.status)
        ), (role, verb, answer)
        if may((role,), act):
            assert answer.status in (200, 400, 403, 404, 409), (role, verb, answer)


def _is_absent(verb: str, status: int) -> bool:
    """What this content is about is not there, which looks the same."""
    return status == 404 and NOWHERE in str(ACTS[verb][1])


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if not one.public], ids=lambda one: one.name)
def test_nobody_does_anything_without_signing_in(house: House, operation: Operation) -> None:
    stranger = Program(house.site)
    wanted = {"act": content(house, operation.verb)} if operation.verb else {}
    cookies = "; ".join(f"{name}={value}" for name, value in house.browser("administrator").cookies.items())
    session = next(value for name, value in house.browser("administrator").cookies.items() if "session" in name)
    for headers in (
        {},
        {"Cookie": cookies},
        {"Authorization": f"Bearer {session}"},
        {"Authorization": f"Bearer {session}.{'A' * 22}"},
        {"Authorization": "Bearer x.y"},
        {"Authorization": "Basic YTpi"},
    ):
        asked = wanted if operation.asked else None
        answer = stranger.ask(operation.method, operation.path, asked, raw=None, **headers)
        assert answer.status == 401, (operation, headers, answer)
        assert answer.headers["www-authenticate"] == "Bearer"
    assert stranger.ask("POST", "/there/is/nothing").status == 401


def test_the_document_is_for_everybody(house: House) -> None:
    answer = Program(house.site).ask("GET", "/openapi.json")
    assert answer.status == 200
    assert answer.body == json.loads(json.dumps(document()))
    assert answer.body["openapi"].startswith("3.1")


def test_somebody_signs_in_does_something_and_signs_out(house: House) -> None:
    who = Program(house.site, house.browser("auditor").key)
    opened = who.sign_in()
    assert opened.body["person"]["roles"] == ["auditor"]
    assert who.ask("GET", "/me").body["person"]["name"] == "auditor"
    decided = who.do("policy.decide", content(house, "policy.decide"))
    assert (decided.status, decided.body["outcome"]) == (200, "deny")
    # The token is of /api alone: a browser with the same session is not signed in.
    session, _, _mark = who.token.partition(".")
    browser = house.browser("supplier-manager")
    name = next(name for name in browser.cookies if "session" in name)
    own, browser.cookies[name] = browser.cookies[name], session
    try:
        assert browser.get("/en/suppliers").status == 303
    finally:
        browser.cookies[name] = own
    assert who.ask("POST", "/sign-out").status == 200
    assert who.ask("GET", "/me").status == 401


def test_a_made_up_passkey_does_not_sign_in(house: House) -> None:
    stranger = Program(house.site, type(house.browser("auditor").key)(house.site))
    assert stranger.sign_in().status == 401
    begun = stranger.ask("POST", "/sign-in/begin").body
    nonsense = {"mark": begun["mark"], "passkey": {"ceremony": begun["ceremony"], "response": {"id": []}}}
    assert stranger.ask("POST", "/sign-in", nonsense).status == 401
    house.browser("auditor")
    assert program(house, "auditor").token, "one who is let in ends the row of failures of this network"


def test_what_takes_a_passkey_takes_it_here(house: House) -> None:
    manager = program(house, "supplier-manager")
    estate = msgspec.to_builtins(parse(house.estate().replace("Leeg, country: BE", "Vol, country: BE").encode(), "e"))
    plan = manager.do("suppliers.apply", {"estate": estate, "plan_only": True})
    assert plan.status == 200
    (change,) = plan.body["changes"]
    assert change["fields"]["name"] == ["Adviesbureau Leeg", "Adviesbureau Vol"]
    act = {"estate": estate, "base": plan.body["base"]}
    without = manager.do("suppliers.apply", act)
    assert (without.status, without.body["code"]) == (403, "step-up")
    other = manager.do("suppliers.apply", act, confirm=True, shown={"estate": estate, "base": plan.body["base"] + 1})
    assert (other.status, other.body["code"]) == (403, "ceremony-over")
    applied = manager.do("suppliers.apply", act, confirm=True)
    assert applied.status == 200, applied
    again = manager.do("suppliers.apply", act, confirm=True)
    assert (again.status, again.body["code"]) == (409, "register-changed")
    shown = house.instance.command("ledger", "show", "--kind", "suppliers.supplier.changed", "--json").stdout
    assert f"person:{house.id('person', 'supplier-manager')}" in shown


def test_two_people_sign_here_as_at_the_console(house: House) -> None:
    privacy, administrator = program(house, "privacy-officer"), program(house, "administrator")
    leaver = house.id("person", "leaver-officer")
    asked = privacy.do("subjects.erase", {"subject": leaver, "reason": "asked by letter"}, confirm=True)
    assert asked.status == 200, asked
    request = asked.body["request"]
    assert (request["people"], [one["name"] for one in request["signed"]]) == (1, ["privacy-officer"])
    approve = {"request": request["id"], "what": request["what"], "act": request["act"]}
    own = privacy.do("subjects.approve", approve, confirm=True)
    assert (own.status, own.body["code"]) == (403, "second-person")
    assert administrator.do("subjects.approve", approve).body["code"] == "step-up"
    done = administrator.do("subjects.approve", approve, confirm=True)
    assert done.status == 200
    assert done.body["request"]["state"] in ("done", "approved")
    assert house.browser("auditor").get(f"/en/proposals/{request['id']}").status == 200


@pytest.mark.parametrize(
    ("raw", "kind", "status"),
    [
        (b"", JSON, 400),
        (b"{", JSON, 400),
        (b"[]", JSON, 400),
        (b'{"act": {}}', "text/plain", 415),
        (b'{"act": {"principal": 1, "action": "", "resource": ""}}', JSON, 400),
        (b'{"act": {"principal": "a", "action": "open", "resource": "b", "at_us": 1e99}}', JSON, 400),
        (b'{"act": {"principal": "a", "action": "open", "resource": "b", "at_us": 9%s}}' % (b"9" * 30), JSON, 400),
        (b'{"act": {"principal": "a", "action": "open", "resource": "b"}, "more": 1}', JSON, 400),
        (b'{"act": {"principal": "\xff", "action": "open", "resource": "b"}}', JSON, 400),
        (b"[" * 100_000, JSON, 400),
        (b" " * (8 * 1024 * 1024 + 1), JSON, 413),
    ],
)
def test_what_is_malformed_is_refused(house: House, raw: bytes, kind: str, status: int) -> None:
    who = program(house, "auditor")
    answer = who.ask("POST", "/policy/decide", raw=raw, Content_Type=kind)
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"


def test_methods_and_languages(house: House) -> None:
    who = program(house, "auditor")
    wrong = who.ask("GET", "/policy/decide")
    assert (wrong.status, wrong.headers["allow"]) == (405, "POST")
    assert who.ask("DELETE", "/openapi.json").status == 405
    dutch = who.ask("POST", "/nergens", Accept_Language="nl")
    assert "niet" in dutch.body["detail"]
    assert BY_VERB["policy.decide"].path == "/policy/decide"
    assert {one.name for one in SIGNING if one.public} == {"sign-in", "sign-in.begin"}
