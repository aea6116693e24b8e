"""Every screen of the console, for every role: what a role may not do is not there, and nothing is told of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from keten.console.screens.table import SCREENS, Screen
from keten.core.errors import NotFound
from keten.identity.roles import ACTS, STAFF, acts_of, may
from keten.keeper.budget_protocol import AnswerRequest, AskBudgets, AskRequests
from keten.keeper.watch_protocol import AskAlerts, Handle
from keten.ledger.notes import Verifier
from keten.ledger.prooffile import parse_proof, verify_proof
from tests.functional.staff import House
from tests.visitor import Visitor

OTHERS = """
  - {id: others, dataset: elsewhere, contract: vwo-2026-014, purpose: print, form: file}
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("staff"))
    yield made
    made.close()


def path_of(house: House, screen: Screen, language: str = "en") -> str:
    """The path of a screen about something that is there."""
    first = screen.path.split("/")[1]
    rows = {
        "suppliers": ("supplier", "leeg"),
        "access": ("contract", "vwo-2025-001"),
        "people": ("person", "leaver"),
        "datasets": ("dataset", "voters"),
        "rights": ("grant", "voters-for-print"),
    }
    path = screen.path.replace("{kind}", "contract").replace("{index}", "3")
    known = {"alerts": house.seen, "requests": house.asked, "proposals": house.proposed}
    if path.startswith("/access/person"):
        rows["access"] = ("person", "drukster")
    if "{id}" in path:
        known |= {"ledger": entry(house)} if first == "ledger" else {}
        known |= {"recoveries": house.case} if first == "recoveries" else {}
        path = path.replace("{id}", known.get(first) or house.id(*rows[first]))
    return f"/{language}{path}"


def entry(house: House) -> str:
    """The id of an entry."""
    lines = house.instance.command("ledger", "show", "--kind", "exchange.object.opened", "--json").stdout
    (found,) = set(re.findall(r'"id":\s?"([a-z2-7]{26})"', lines.splitlines()[0]))
    return str(found)


def ask(visitor: Visitor, screen: Screen, path: str) -> tuple[int, str]:
    """Ask for it as a browser does: a form has its token."""
    answer = visitor.get(path) if screen.method == "GET" else visitor.send(path, token=visitor.get("/en/keys").token)
    return answer.status, answer.text


@pytest.mark.parametrize("role", STAFF)
def test_a_role_sees_what_the_table_says_and_nothing_else(house: House, role: str) -> None:
    visitor = house.browser(role)
    absent = visitor.get("/en/there-is-no-such-page")
    assert absent.status == 404
    for screen in SCREENS:
        status, text = ask(visitor, screen, path_of(house, screen))
        assert (status == 404) == (not may((role,), screen.act)), (role, screen)
        if status == 404:
            assert text == absent.text, "what is not for this role looks as what is not there"
        elif screen.method == "GET":
            assert status in (200, 303) or screen.path == "/decision/{index}", (role, screen, status)
        else:
            # An empty form does nothing: at most it asks for a passkey.
            assert status in (400, 403, 409) or "data-passkey" in text, (role, screen, status)


@pytest.mark.parametrize("screen", SCREENS, ids=lambda one: f"{one.method} {one.path}")
def test_nobody_sees_anything_without_signing_in(house: House, screen: Screen) -> None:
    status, text = ask(Visitor(house.site), screen, path_of(house, screen)) if screen.method == "GET" else (0, "")
    if screen.method == "GET":
        assert status == 303
        assert text == ""
        return
    stranger = Visitor(house.site)
    answer = stranger.send(path_of(house, screen), token=stranger.get("/en/sign-in").token, reason="x")
    assert answer.status == 303
    assert "/sign-in" in answer.place


@pytest.mark.parametrize("role", STAFF)
def test_the_menu_holds_the_pages_that_open(house: House, role: str) -> None:
    visitor = house.browser(role)
    page = visitor.get("/en/keys").text
    menu = re.search(r'<nav class="menu".*?</nav>', page, re.DOTALL)
    paths = re.findall(r'href="(/en[^"]*)"', menu[0]) if menu else []
    for path in paths:
        assert visitor.get(path).status == 200, path
    first = {f"/en{screen.path}" for screen in SCREENS if screen.method == "GET" and may((role,), screen.act)}
    assert set(paths) - {"/en"} <= first
    assert ("/en" in paths) == ("see-overview" in acts_of((role,)))


@pytest.mark.parametrize("screen", [one for one in SCREENS if one.method == "POST"], ids=lambda one: one.path)
def test_a_form_from_elsewhere_does_nothing(house: House, screen: Screen) -> None:
    role = next(one for one in STAFF if may((one,), screen.act))
    visitor = house.browser(role)
    path = path_of(house, screen)
    before = house.entries()
    assert visitor.send(path, token="A" * 43, reason="x").status == 403
    own, visitor.origin = visitor.origin, "https://evil.example"
    try:
        assert visitor.send(path, token=visitor.get("/en/keys").token, reason="x").status == 403
    finally:
        visitor.origin = own
    late = {"identity.person.refused"}  # refusals of other tests are recorded when they were counted
    assert set(house.acted(before)) <= late


# ---- alerts and requests for more ------------------------------------------------------------------------------------


def test_an_alert_is_looked_at_and_access_given_back(house: House) -> None:
    officer = house.browser("security-officer")
    path = f"/en/alerts/{house.seen}"
    listed = officer.get("/en/alerts").text
    assert "Much more than usual" in listed
    assert house.seen in listed
    page = officer.get(path)
    for said in ("Suspended", "drukwerk-batch", "records: 1200", "It was fine"):
        assert said in page.text
    assert house.instance.command("ls", home=False).returncode != 0
    assert officer.send(path, token=page.token, action="acknowledge", note="").place == path
    assert "being looked at" in officer.get(path).text
    refused = officer.send(path, token=page.token, action="fine", note="")
    assert refused.status == 400
    assert 'aria-invalid="true"' in refused.text
    assert officer.send(path, token=page.token, action="destroy", note="x").status == 400
    confirm = officer.send(path, token=page.token, action="fine", note="the yearly print")
    assert "has access again at once" in confirm.text
    assert house.confirmed(officer, confirm, f"{path}/done", action="fine", note="other").status == 403
    confirm = officer.send(path, token=confirm.token, action="fine", note="the yearly print")
    done = house.confirmed(officer, confirm, f"{path}/done", action="fine", note="the yearly print")
    assert (done.status, done.place) == (303, path)
    page = officer.get(path)
    assert "the yearly print" in page.text
    assert "ended before its time" in page.text
    assert house.instance.run("ls", home=False)
    assert house.seen not in officer.get("/en/alerts").text
    assert house.seen in officer.get("/en/alerts?state=closed").text


def test_a_data_owner_has_its_own_datasets_alone(house: House) -> None:
    """In the lists, on the pages, and at the keeper; and gives back nothing that is another's."""
    own, other = house.browser("data-owner"), house.browser("other-owner")
    seen, asked = house.alert("supplier-volume"), house.asked
    assert seen in own.get("/en/alerts").text
    assert asked in own.get("/en/requests").text
    for path in ("/en/alerts", "/en/alerts?state=closed", "/en/requests"):
        text = other.get(path).text
        for there in (seen, asked, house.seen, "drukwerk-batch"):
            assert there not in text, path
    assert "Of your own datasets only." in other.get("/en/alerts").text
    token = other.get("/en/keys").token
    absent = other.get("/en/there-is-no-such-page")
    for path in (f"/en/alerts/{seen}", f"/en/requests/{asked}", f"/en/alerts/{'a' * 26}"):
        assert other.get(path).text == absent.text
        for action in ("acknowledge", "fine", "not-fine", "lift", "allow"):
            assert other.send(path, token=token, action=action, note="x", records="1").status == 404
    before = house.refusals("other-owner")
    for verb, body in (
        ("watch.handle", Handle(seen, "acknowledge", "")),
        ("watch.handle", Handle(seen, "fine", "x")),
        ("watch.alerts", AskAlerts(seen)),
        ("watch.alerts", AskAlerts()),
        ("budgets.requests", AskRequests(asked)),
        ("budgets.requests", AskRequests()),
        ("budgets.answer", AnswerRequest(asked, "refuse", 0, 0, "x")),
        ("budgets.show", AskBudgets()),
        ("budgets.show", AskBudgets(owner=house.id("person", "data-owner"))),
    ):
        with pytest.raises(NotFound, match=r"absent"):
            house.say("other-owner", verb, body)
    assert house.refusals("other-owner") == before + 9, "each refusal is recorded"
    for verb, allowed in (
        ("watch.alerts", AskAlerts(seen)),
        ("budgets.show", AskBudgets(owner=house.id("person", "data-owner"))),
        ("budgets.requests", AskRequests(asked)),
    ):
        house.say("data-owner", verb, allowed)


def test_a_data_owner_says_that_its_own_was_fine(house: House) -> None:
    """Who owns all that is given back says so with a passkey; where it is another's too, a security officer does."""
    owner = house.browser("data-owner")
    path = f"/en/alerts/{house.alert('rate')}"
    page = owner.get(path)
    confirm = owner.send(path, token=page.token, action="fine", note="the yearly print")
    assert "It would give back" not in confirm.text
    done = house.confirmed(owner, confirm, f"{path}/done", action="fine", note="the yearly print")
    assert (done.status, done.place) == (303, path)
    # Another's dataset is granted to the same supplier.
    house.instance.apply(house.estate(other=OTHERS))
    path = f"/en/alerts/{house.alert('adjacency')}"
    page = owner.get(path)
    assert "It was not fine" in page.text
    for action in ("fine", "lift"):
        told = owner.send(path, token=page.token, action=action, note="x")
        assert told.status == 409, told.text
        assert "only a security officer can do that" in told.text
    assert owner.send(path, token=page.token, action="not-fine", note="x").status == 303
    officer = house.browser("security-officer")
    confirm = officer.send(path, token=officer.get(path).token, action="lift", note="x")
    assert house.confirmed(officer, confirm, f"{path}/done", action="lift", note="x").status == 303
    house.instance.apply(house.estate())


def test_a_request_for_more_is_answered(house: House) -> None:
    owner = house.browser("data-owner")
    path = f"/en/requests/{house.asked}"
    before = house.entries()
    assert "30 records" in owner.get("/en/requests").text
    assert house.acted(before) == []
    page = owner.get(path)
    assert "the &lt;b&gt;second&lt;/b&gt; round" in page.text
    assert len(house.acted(before)) == 1, "that it was read is recorded"
    for fields in ({"records": ""}, {"records": "-1"}, {"records": "x"}, {"records": "9" * 13}):
        assert owner.send(path, token=page.token, action="allow", **fields).status in (200, 400)
    assert owner.send(path, token=page.token, action="refuse", why="").status == 400
    assert owner.send(path, token=page.token, action="nothing", records="3").status == 400
    confirm = owner.send(path, token=page.token, action="allow", records="20")
    assert "drukwerk-batch may receive 20 records of voters more" in confirm.text
    assert house.confirmed(owner, confirm, f"{path}/done", action="allow", records="25", why="").status == 403
    confirm = owner.send(path, token=page.token, action="allow", records="20")
    done = house.confirmed(owner, confirm, f"{path}/done", action="allow", records="20", why="")
    assert (done.status, done.place) == (303, "/en/requests")
    assert "Allowed" in owner.get("/en/requests").text
    again = owner.send(path, token=page.token, action="allow", records="20")
    again = house.confirmed(owner, again, f"{path}/done", action="allow", records="20", why="")
    assert again.status == 409


def test_who_is_how_far_in_which_budget(house: House) -> None:
    officer = house.browser("security-officer")
    page = officer.get("/en/budgets")
    assert re.search("120 of 2[57]0 records, today", page.text), "with what was allowed on request"
    assert "drukwerk-batch" in page.text
    assert "120 of 2" in officer.get("/en/budgets?q=FOR-print").text
    assert "No grant with a budget is called that" in officer.get("/en/budgets?q=%3Cb%3E").text
    assert "120 of 2" in house.browser("data-owner").get("/en/budgets").text
    other = house.browser("other-owner").get("/en/budgets").text
    assert "drukwerk" not in other
    assert "No grant has a budget yet" in other


# ---- decisions ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "there"),
    [
        ("who=drukwerk-batch&what=voters&action=open&country=NL", "Allowed"),
        ("who=drukwerk-batch&what=voters%2Fvoters.csv&action=open&country=NL", "Allowed"),
        ("who=drukwerk-batch&what=voters&action=open&country=DE", "country-not-allowed"),
        ("who=drukwerk-batch&what=voters&action=open&country=NL&at=2200-01-01T00:00", "contract has ended"),
        ("who=drukster&what=voters&action=open&country=NL", "Allowed"),
        ("who=other-owner&what=voters&action=open&country=NL", "Refused"),
        ("who=drukwerk-batch&what=nothing&action=open", "Refused"),
        ("who=nobody&what=nothing&action=open", "No system account or person is called that"),
        ("who=%3Cb%3E&what=%3Ci%3E&action=%3Cu%3E", "No system account or person is called that"),
        ("who=a&what=b&country=NLD", "two letters"),
        ("who=a&what=b&at=soon", "A moment is written"),
        ("who=drukwerk-batch&what=b&at=9999-12-31T23:59", "Refused"),
        ("who=a", "Put in who, and a dataset"),
        ("", '<option value="drukster"></option>'),
    ],
)
def test_what_would_be_decided(house: House, query: str, there: str) -> None:
    answer = house.browser("data-owner").get(f"/en/decision?{query}")
    assert answer.status == 200
    assert there in answer.text
    assert "<b>" not in answer.text
    before = house.entries()
    house.browser("data-owner").get(f"/en/decision?{query}")
    assert house.acted(before) == []


def test_what_was_decided_is_decided_again(house: House) -> None:
    auditor = house.browser("auditor")
    index = auditor.get(f"/en/ledger/id/{entry(house)}").place.rpartition("/")[2]
    assert f"/en/decision/{index}" in auditor.get(f"/en/ledger/{index}").text
    page = auditor.get(f"/en/decision/{index}").text
    assert "The same" in page
    assert "Allowed" in page
    assert "voters-for-print" in page
    assert auditor.get("/en/decision/0").status == 400
    assert auditor.get("/en/decision/99999999").status == 404


# ---- the ledger --------------------------------------------------------------------------------------------------


def test_a_proof_holds_and_says_nothing_of_the_entry(house: House) -> None:
    auditor = house.browser("auditor")
    moved = auditor.get(f"/en/ledger/id/{entry(house)}")
    page = auditor.get(moved.place)
    assert "voters.csv" in page.text
    assert "drukwerk-batch" in page.text
    answer = auditor.get(f"{moved.place}/proof")
    assert "attachment" in answer.headers["content-disposition"]
    key = (house.instance.paths.ledger / "key.pub").read_text().strip()
    proof = parse_proof(answer.text)
    assert verify_proof(proof, Verifier.parse(key)).size > proof.index
    assert proof.index == int(moved.place.rpartition("/")[2])
    for known in ("voters", house.id("client", "drukwerk-batch")):
        assert known not in answer.text


@pytest.mark.parametrize("path", ["99999999", "-1", "x", "9" * 30, "1.5", "٣", "id/x", "id/" + "a" * 26])
def test_there_is_no_such_entry(house: House, path: str) -> None:
    assert house.browser("auditor").get(f"/en/ledger/{quote(path)}").status in (400, 404)


@pytest.mark.parametrize(
    ("query", "there", "absent"),
    [
        ("name=voters&what=dataset", "voters.csv", "Keeper started"),
        ("name=drukwerk&kind=exchange", "voters.csv", "Contract entered"),
        ("kind=exchange&outcome=allow", "File opened", "File refused"),
        ("until=2001-01-01", "There are no such entries", "Keeper started"),
        ("since=2001-01-01&kind=keeper", "Keeper started", "There are no such entries"),
        ("since=yesterday", "is no day was left out", "There are no such entries"),
        ("name=%3Cb%3E", "Nothing in the register is called that", "<b>"),
        ("name=voters-for-print", "Dataset granted", "Keeper started"),
        ("before=0", "There are no such entries", "Keeper started"),
        ("before=99999999999999999999", "Newest first", "There are no such entries"),
        ("outcome=perhaps&what=nothing&kind=no.such", "There are no such entries", "Newest first"),
    ],
)
def test_what_is_asked_for_is_found(house: House, query: str, there: str, absent: str) -> None:
    answer = house.browser("privacy-officer").get(f"/en/ledger?{query}")
    assert answer.status == 200
    body = answer.text.partition('<form class="filters"')[2]
    assert there in body
    assert absent not in body


def test_who_had_it(house: House) -> None:
    officer = house.browser("privacy-officer")
    assert "Put in the name" in officer.get("/en/ledger/custody").text
    for name in ("voters", house.id("supplier", "drukwerk"), "drukwerk-batch", "voters.csv"):
        page = officer.get(f"/en/ledger/custody?name={name}").text
        assert '<bdi class="name">drukwerk-batch</bdi>' in page
        assert "Delivered" in page
    assert "Nobody had any of it" in officer.get("/en/ledger/custody?name=leeg").text


# ---- people ------------------------------------------------------------------------------------------------------


def test_a_link_is_made_for_whoever_has_no_passkey(house: House) -> None:
    administrator = house.browser("administrator")
    path = f"/en/people/{house.id('person', 'leaver')}"
    page = administrator.get(path)
    assert "cannot sign in" in page.text
    confirm = administrator.send(f"{path}/invite", token=page.token, hours="24")
    assert "holds for 24 hours" in confirm.text
    made = house.confirmed(administrator, confirm, f"{path}/invite/done", hours="24")
    assert made.status == 200, made.text
    (link,) = re.findall(r"http://localhost:\d+/enrol#[a-z2-7]{26}", made.text)
    leaver = Visitor(house.site)
    assert leaver.enrol(link).status == 303
    assert Visitor(house.site).open_link(link).status == 403
    assert "Make a one-time link" not in administrator.get(path).text
    again = house.confirmed(administrator, confirm, f"{path}/invite/done", hours="24")
    assert again.status == 403
    # Somebody who has left is signed out at once.
    officer = house.browser("security-officer")
    asked = officer.get(f"{path}/end")
    confirm = officer.send(f"{path}/end", token=asked.token, reason="left")
    assert house.confirmed(officer, confirm, f"{path}/end/done", reason="left").status == 200
    assert leaver.get("/en/suppliers").status == 303
    assert officer.send(f"{path}/end", token=asked.token, reason="left").status == 409


def test_somebody_is_signed_out_everywhere(house: House) -> None:
    officer, other = house.browser("security-officer"), house.browser("privacy-officer")
    path = f"/en/people/{house.id('person', 'privacy-officer')}"
    assert "Sign out everywhere" not in house.browser("auditor").get(path).text
    page = officer.get(path)
    assert "Where this person is signed in" in page.text
    confirm = officer.send(f"{path}/sign-out", token=page.token)
    assert "privacy-officer is signed out of 1 session at once" in confirm.text
    # The passkey signed for this person, and nobody else.
    elsewhere = f"/en/people/{house.id('person', 'auditor')}/sign-out/done"
    assert house.confirmed(officer, confirm, elsewhere).status == 403
    assert other.get("/en/keys").status == 200
    confirm = officer.send(f"{path}/sign-out", token=page.token)
    done = house.confirmed(officer, confirm, f"{path}/sign-out/done")
    assert (done.status, done.place) == (303, path)
    assert other.get("/en/keys").status == 303
    assert "Not signed in anywhere" in officer.get(path).text
    assert officer.send(f"{path}/sign-out", token=page.token).status == 409
    assert other.sign_in("/keys").status == 303, "the passkey stays"
    shown = house.instance.command("ledger", "show", "--kind", "identity.person.sessions_ended", "--json").stdout
    assert f"person:{house.id('person', 'security-officer')}" in shown


def test_only_the_organisations_own_people_are_ended_by_an_administrator(house: House) -> None:
    administrator = house.browser("administrator")
    outsider = house.id("person", "drukster")
    asked = administrator.get(f"/en/people/{outsider}/end")
    if asked.status == 200:
        assert administrator.send(f"/en/people/{outsider}/end", token=asked.token, reason="x").status == 403
    manager = house.browser("supplier-manager")
    own = house.id("person", "auditor")
    assert manager.get(f"/en/access/person/{own}/end").status == 404
    assert manager.send(f"/en/access/person/{own}/end", token=manager.get("/en/keys").token, reason="x").status == 404


def test_the_page_of_roles_is_the_table_of_roles(house: House) -> None:
    page = house.browser("auditor").get("/en/people/roles").text
    yes = page.count('<span class="yes">')
    assert yes == sum(len(roles) for roles in ACTS.values())


# ---- ending access -----------------------------------------------------------------------------------------------


def test_ending_a_supplier(house: House) -> None:
    officer = house.browser("security-officer")
    path = f"/en/suppliers/{house.id('supplier', 'drukwerk')}"
    page = officer.get(path)
    assert "Drukkerij De Pers" in page.text
    assert f"{path}/end" in page.text
    asked = officer.get(f"{path}/end")
    for effect in ("1 system account", "1 person", "at most 120 records", "cannot be undone"):
        assert effect in asked.text
    for reason in ("", "  ", "two\nlines", "x" * 501):
        refused = officer.send(f"{path}/end", token=asked.token, reason=reason)
        assert refused.status == 400
        assert 'aria-invalid="true"' in refused.text
    confirm = officer.send(f"{path}/end", token=asked.token, reason="keys <b>lost</b>")
    assert "&lt;b&gt;" in confirm.text
    # Another reason than the one that the passkey signed for is not taken.
    other = house.confirmed(officer, confirm, f"{path}/end/done", reason="something else")
    assert other.status == 403
    confirm = officer.send(f"{path}/end", token=asked.token, reason="keys <b>lost</b>")
    done = house.confirmed(officer, confirm, f"{path}/end/done", reason="keys <b>lost</b>")
    assert done.status == 200, done.text
    assert "Every gateway confirmed it" in done.text
    assert "Not confirmed" not in done.text
    after = officer.get(path)
    assert "All access ended for good" in after.text
    assert "keys &lt;b&gt;lost&lt;/b&gt;" in after.text
    assert f"{path}/end" not in after.text
    assert house.instance.command("ls", home=False).returncode != 0
    again = officer.get(f"{path}/end")
    assert again.status == 409
    shown = house.instance.command("ledger", "show", "--kind", "suppliers.supplier.ended", "--json").stdout
    assert f"person:{house.id('person', 'security-officer')}" in shown
