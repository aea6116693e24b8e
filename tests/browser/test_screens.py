"""The console's screens in a browser: for everyone, on any screen and paper, by keyboard, with names of any kind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Response, expect

from keten.console.screens.table import SCREENS
from keten.identity.roles import may
from tests.browser.looks import one_look
from tests.browser.passkeys import Authenticators, enrol
from tests.functional.staff import House
from tests.visitor import Visitor

pytestmark = pytest.mark.timeout(300)
Scheme = Literal["light", "dark"]
READER = "security-officer"
WIDTHS = pytest.mark.parametrize("width", [320, pytest.param(1280, marks=pytest.mark.slow)])


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("screens"))
    yield made
    made.close()


def paths(house: House, role: str = READER) -> list[str]:
    """The pages that somebody of this role may open, about something that is there."""
    rows = {"suppliers": ("supplier", "drukwerk"), "access": ("contract", "vwo-2025-001")}
    rows |= {"people": ("person", "leaver"), "datasets": ("dataset", "voters"), "rights": ("grant", "voters-for-print")}
    found = []
    for screen in SCREENS:
        if screen.method != "GET" or not may((role,), screen.act) or screen.path.startswith(SKIPPED):
            continue
        first = screen.path.split("/")[1]
        known = {"alerts": house.seen, "requests": house.asked, "proposals": house.proposed}
        row = known.get(first) or (house.id(*rows[first]) if "{id}" in screen.path else "")
        found.append(screen.path.replace("{kind}", "contract").replace("{id}", row).replace("{index}", "15"))
    return found


SKIPPED = ("/ledger/id/", "/ledger/{index}/proof", "/decision/{index}", "/estate/present")
"""What leads to another page, files to take along, and what needs an entry that decided something."""


@contextmanager
def opened(
    browser: Browser, visitor: Visitor, path: str, *, width: int = 1280, scheme: Scheme = "light"
) -> Iterator[Page]:
    """A page, as the visitor who is signed in; what the browser complained of fails the test."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, user_agent="visitor")
    context.add_cookies([{"name": name, "value": one, "url": visitor.origin} for name, one in visitor.cookies.items()])
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(visitor.origin + path)
    yield page
    context.close()
    assert complaints == []


@WIDTHS
@pytest.mark.parametrize("role", ["data-owner", "administrator"])
def test_what_only_another_role_sees_is_accessible_and_fits(
    house: House, browser: Browser, role: str, width: int
) -> None:
    more = sorted(set(paths(house, role)) - set(paths(house)))
    ending = f"/rights/{house.id('grant', 'voters-for-print')}/end"
    owners = ["/requests", f"/requests/{house.asked}", ending]
    assert more == (["/estate"] if role == "administrator" else owners)
    for path in more:
        with opened(browser, house.browser(role), f"/nl{path}", width=width, scheme="dark") as page:
            assert Axe().run(page).violations_count == 0, path
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path


@WIDTHS
def test_what_only_a_privacy_officer_sees_is_accessible_and_fits(house: House, browser: Browser, width: int) -> None:
    visitor = house.browser("privacy-officer")
    more = sorted(set(paths(house, "privacy-officer")) - set(paths(house)))
    assert more == [f"/people/{house.id('person', 'leaver')}/erase"]
    for path in (*more, f"/proposals/{house.proposed}"):
        with opened(browser, visitor, f"/nl{path}", width=width) as page:
            assert Axe().run(page).violations_count == 0, path
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_the_keyboard_alone_signs_for_what_takes_two(house: House, browser: Browser) -> None:
    """A real browser's authenticator signs as the first of two; then it waits for another person."""
    context = browser.new_context(locale="en-GB")
    page = context.new_page()
    Authenticators(page).add()
    enrol(page, f"{house.site}/enrol#{house.invite('signer')}")
    page.goto(f"{house.site}/en/proposals/{house.proposed}")
    press(page, "Sign…")
    page.wait_for_selector("[data-passkey]")
    assert Axe().run(page).violations_count == 0
    press(page, "Sign")
    expect(page.get_by_role("main")).to_contain_text("You have signed. It waits for another person.")
    assert Axe().run(page).violations_count == 0
    context.close()


@one_look
def test_every_screen_is_accessible_and_fits(
    house: House, browser: Browser, language: str, scheme: Scheme, width: int
) -> None:
    reader = house.browser(READER)
    for path in paths(house):
        with opened(browser, reader, f"/{language}{path}", width=width, scheme=scheme) as page:
            results = Axe().run(page)
            assert results.violations_count == 0, (path, results.generate_report())
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
            assert page.locator("html").get_attribute("lang") == language
            assert page.locator("h1").count() == 1


@WIDTHS
def test_where_somebody_is_signed_in_is_accessible_and_fits(house: House, browser: Browser, width: int) -> None:
    """And the page on which it is confirmed that the person is signed out."""
    house.browser("auditor")
    path = f"/nl/people/{house.id('person', 'auditor')}"
    with opened(browser, house.browser(READER), path, width=width, scheme="dark") as page:
        for step in ("the person", "what it does"):
            results = Axe().run(page)
            assert results.violations_count == 0, (step, results.generate_report())
            assert page.evaluate("document.documentElement.scrollWidth") <= width, step
            if step == "the person":
                page.locator("form[action$='/sign-out'] button", has_text="Overal afmelden").click()
                page.wait_for_selector("[data-passkey]")


@pytest.mark.slow
def test_every_screen_is_light_and_takes_few_requests(house: House, browser: Browser) -> None:
    readers = {path: role for role in ("administrator", "data-owner", READER) for path in paths(house, role)}
    for path, role in readers.items():
        reader = house.browser(role)
        context = browser.new_context(user_agent="visitor")
        cookies = reader.cookies.items()
        context.add_cookies([{"name": name, "value": one, "url": reader.origin} for name, one in cookies])
        page = context.new_page()
        answers = answers_of(page)
        page.goto(f"{reader.origin}/nl{path}")
        page.wait_for_load_state("networkidle")
        sizes = [len(answer.body()) for answer in answers]
        assert len(sizes) <= 6, path
        assert sum(sizes) <= 150_000, path
        context.close()


def test_the_keyboard_alone_ends_a_contract(house: House, browser: Browser) -> None:
    """From the supplier's page to the end, with keys only; a real browser's authenticator confirms it."""
    context = browser.new_context(locale="en-GB")
    page = context.new_page()
    Authenticators(page).add()
    enrol(page, f"{house.site}/enrol#{house.invite('leaver-officer')}")
    page.goto(f"{house.site}/en/suppliers/{house.id('supplier', 'drukwerk')}")
    press(page, "End the contract vwo-2026-014")
    page.wait_for_url("**/end")
    while page.evaluate("document.activeElement.id") != "reason":
        page.keyboard.press("Tab")
    page.keyboard.type("the work is done")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-passkey]")
    expect(page.get_by_role("heading", level=1)).to_contain_text("vwo-2026-014")
    press(page, "End access now")
    expect(page.get_by_role("heading", level=1)).to_have_text("Access has ended")
    press(page, "Back")
    expect(page.get_by_role("row").filter(has_text="the work is done").first).to_contain_text("Ended")
    context.close()


def answers_of(page: Page) -> list[Response]:
    """What the page is answered from now on."""
    found: list[Response] = []

    def note(answer: Response) -> None:
        found.append(answer)

    page.on("response", note)
    return found


def press(page: Page, name: str) -> None:
    """Go to a link or button by Tab, and press it."""
    for _each in range(200):
        page.keyboard.press("Tab")
        said = "(e => e.getAttribute('aria-label') || e.textContent.trim())(document.activeElement)"
        if page.evaluate(said) == name:
            page.keyboard.press("Enter")
            return
    raise AssertionError(name)


def test_on_paper_there_is_no_menu_and_no_button(house: House, browser: Browser) -> None:
    path = f"/nl/suppliers/{house.id('supplier', 'drukwerk')}"
    with opened(browser, house.browser(READER), path) as page:
        page.emulate_media(media="print", color_scheme="dark")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        for gone in (".menu", "a.button", ".who"):
            expect(page.locator(gone).first).to_be_hidden()
        headings = page.locator("h1, h2, h3").evaluate_all("all => all.map(e => Number(e.tagName[1]))")
        assert headings[0] == 1
        assert set(headings[1:]) == {2}


def test_no_screen_needs_scripts(house: House) -> None:
    reader = house.browser(READER)
    for path in paths(house):
        assert "<script" not in reader.get(f"/nl{path}").text, path


HOSTILE = ("<script>alert(1)</script>", "عربي שלום", "👩🧾" * 20, "%(count)s {{ 7*7 }} %s", "m" * 200)


@pytest.mark.slow
@pytest.mark.parametrize("width", [320, pytest.param(1280, marks=pytest.mark.slow)])
def test_whatever_a_name_is_it_stays_a_name(house: House, browser: Browser, width: int) -> None:
    """The name of everything on every page is replaced in the page itself: longer than the register takes."""
    for path in paths(house):
        with opened(browser, house.browser(READER), f"/nl{path}", width=width) as page:
            for text in (*HOSTILE, "w" * 10_000, "wide word " * 1000):
                page.evaluate("text => document.querySelectorAll('bdi').forEach(e => { e.textContent = text })", text)
                assert page.evaluate("document.documentElement.scrollWidth") <= width, (path, text[:20])


def test_hostile_names_of_the_register_are_shown_as_they_are(house: House, browser: Browser) -> None:
    more = "\n".join(f"  - {{id: s{at}, name: {name!r}, country: NL, tier: low}}" for at, name in enumerate(HOSTILE))
    house.instance.apply(house.estate(more))
    with opened(browser, house.browser(READER), "/en/suppliers") as page:
        for name in HOSTILE:
            expect(page.locator("a.name").get_by_text(name, exact=True)).to_have_count(1)
        assert Axe().run(page).violations_count == 0
