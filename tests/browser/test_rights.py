"""Rights to confirm, in a browser: for everyone, on any screen, and by keyboard alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from tests.browser.looks import one_look
from tests.browser.passkeys import Authenticators, enrol
from tests.browser.test_screens import Scheme, opened, press
from tests.functional.staff import House

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("rights"))
    made.confirming()
    yield made
    made.close()


@one_look
def test_what_waits_is_accessible_and_fits(
    house: House, browser: Browser, language: str, scheme: Scheme, width: int
) -> None:
    for role in ("data-owner", "administrator", "auditor"):
        with opened(browser, house.browser(role), f"/{language}/rights", width=width, scheme=scheme) as page:
            results = Axe().run(page)
            assert results.violations_count == 0, (role, results.generate_report())
            assert page.evaluate("document.documentElement.scrollWidth") <= width, role
            assert (page.locator("input[type=checkbox]").count() == 0) == (role == "auditor")


def test_the_keyboard_alone_confirms_a_role(house: House, browser: Browser) -> None:
    """From the list to the end, with keys only; a real browser's authenticator confirms it."""
    context = browser.new_context(locale="en-GB")
    page = context.new_page()
    Authenticators(page).add()
    enrol(page, f"{house.site}/enrol#{house.invite('leaver-officer')}")
    page.goto(f"{house.site}/en/rights")
    wanted = f"right-{house.id('person', 'signer')}"
    while page.evaluate("document.activeElement.id") != wanted:
        page.keyboard.press("Tab")
    page.keyboard.press("Space")
    press(page, "Confirm what is ticked…")
    page.wait_for_selector("[data-passkey]")
    expect(page.get_by_role("main")).to_contain_text("signer keeps its roles, 20 days more from now.")
    assert Axe().run(page).violations_count == 0
    press(page, "Confirm")
    expect(page.get_by_role("heading", level=1)).to_have_text("Rights to confirm")
    context.close()
