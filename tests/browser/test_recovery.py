"""Getting back in, in a real browser: the pages in each look, and a passkey made with the two parts of a code."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from keten.drills.rescue import House
from tests.browser.looks import one_look
from tests.browser.passkeys import Authenticators
from tests.visitor import Visitor

pytestmark = pytest.mark.timeout(300)
PICTURES = "PICTURES_OF_SCREENS"
STOPPING = f"/stop/{'a' * 26}"
SCREENS = (
    ("", "/lost"),
    ("", "/recover"),
    ("", "wrong"),
    ("", STOPPING),
    ("", "stopping"),
    ("desk", "/recoveries"),
    ("desk", "opening"),
    ("owner", "approving"),
    ("contact0", "/recoveries"),
    ("contact0", "approving"),
    ("owner", "refused"),
)
"""Who looks ("": nobody who is signed in), and the page below the language, or what leads to it."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Two that wait, one that was stopped, and a supplier that is frozen."""
    made = House(tmp_path_factory.mktemp("r"), 3)
    try:
        made.everybody()
        for person in ("member0", "member1", "contact1", "deputy1"):
            made.open(person)
        made.stop(made.stop_link("contact1@home.example"), "contact1")
        made.open("member2")
        made.approve("contact2")
        yield made
    finally:
        made.close()


def signed_in(browser: Browser, house: House, person: str, **options: object) -> Page:
    """A page of a browser in which somebody is signed in, or nobody."""
    context = browser.new_context(user_agent="visitor", **options)  # type: ignore[arg-type]  # passed on
    if person:
        visitor = house.browser(person)
        cookies = [{"name": name, "value": value, "url": visitor.origin} for name, value in visitor.cookies.items()]
        context.add_cookies(cookies)  # type: ignore[arg-type]  # as it wants them
    return context.new_page()


def go(page: Page, house: House, person: str, name: str, language: str) -> None:
    """To a page by its path below the language, or by what leads to it."""
    site = f"{Visitor(house.site(person or 'member0')).origin}/{language}"
    if name.startswith("/"):
        page.goto(f"{site}{name}")
    elif name == "wrong":
        page.goto(f"{site}/recover")
        page.locator("#first").fill("a" * 26)
        page.locator("#second").fill("b" * 26)
        page.locator("main button").click()
        house.browser("member0").sign_in()  # so that these failures do not add up
    elif name == "stopping":
        page.goto(f"{site}{STOPPING}")
        page.locator("main button").click()
        house.browser("member0").sign_in()
    elif name == "opening":
        page.goto(f"{site}/people/{house.ids['member2']}")
        page.locator("form[action$=recovery] button").click()
    else:
        page.goto(f"{site}/recoveries")
        row = page.get_by_role("row").filter(has_text="member1" if name == "refused" else "member")
        row.locator("form[action$=approve] button").last.click()


@one_look
def test_every_page_is_accessible_and_fits(
    house: House, browser: Browser, language: str, scheme: str, width: int
) -> None:
    for person, name in SCREENS:
        page = signed_in(browser, house, person, viewport={"width": width, "height": 900}, color_scheme=scheme)
        go(page, house, person, name, language)
        results = Axe().run(page)
        assert results.violations_count == 0, f"{name}: {results.generate_report()}"
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert page.locator("html").get_attribute("lang") == language
        if os.environ.get(PICTURES):
            shown = f"{person}{name.strip('/').replace('/', '-')[:12]}-{language}-{scheme}-{width}.png"
            page.screenshot(path=Path(os.environ[PICTURES]) / shown, full_page=True)
        page.context.close()


def test_a_passkey_is_made_with_both_parts(house: House, browser: Browser) -> None:
    house.approve("owner", house.case())
    house.until("sent")
    first, second = house.parts("member2")
    page = signed_in(browser, house, "")
    Authenticators(page).add()
    page.goto(f"{Visitor(house.site('member2')).origin}/recover")
    page.locator("#first").fill(f" {second.upper()} ")
    page.locator("#second").fill(first)
    page.get_by_role("button", name="Go on").click()
    expect(page.locator("main")).to_contain_text("member2")
    page.get_by_role("button", name="Make my passkey").click()
    expect(page.locator("h1")).to_contain_text("Shared with")
    page.context.close()
