"""Every screen of the console, for every role: what a role may not do is not there, and nothing is told of it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from keten.console.screens.table import SCREENS, Screen
from keten.identity.roles import STAFF, acts_of, may
from tests.functional.staff import House
from tests.visitor import Visitor


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
    }
    path = screen.path.replace("{kind}", "contract")
    if "{id}" in path:
        path = path.replace("{id}", entry(house) if first == "ledger" else house.id(*rows[first]))
    return f"/{language}{path}"


def entry(house: House) -> str:
    """The id of an entry."""
    lines = house.instance.command("ledger", "show", "--kind", "exchange.object.opened", "--json").stdout
    (found,) = set(re.findall(r'"id":\s?"([a-z2-7]{26})"', lines.splitlines()[0]))
    return str(found)


def ask(visitor: Visitor, screen: Screen, path: str) -> tuple[int, str]:
    """Ask for it as a browser does: a form has its token."""
    if screen.method == "GET":
        answer = visitor.get(path)
    else:
        answer = visitor.send(path, token=visitor.get("/en/keys").token)
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
            assert status in (200, 303), (role, screen, status)
        else:
            assert status in (400, 403, 409), (role, screen, status)  # an empty form does nothing


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
    assert house.entries() == before


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
