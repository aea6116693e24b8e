"""The estate in a browser: by keyboard alone, with a file, and every page of the way for everyone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.looks import one_look
from tests.browser.passkeys import Authenticators, enrol
from tests.browser.test_screens import press
from tests.functional.staff import House

pytestmark = pytest.mark.timeout(300)
Scheme = Literal["light", "dark"]
NEW = '  - {{id: {name}, name: "{title}", country: NL, tier: low}}'
LATER = "  - {id: second-administrator, email: a@example.org, roles: [administrator]}\n"


class Estates(House):
    """A house with one administrator who has no passkey yet, for a browser of its own."""

    def estate(self, more: str = "", other: str = "") -> str:
        return super().estate(more, other).replace("suppliers:\n", f"{LATER}suppliers:\n", 1)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estates]:
    made = Estates(tmp_path_factory.mktemp("estates"))
    yield made
    made.close()


@contextmanager
def administrator(house: House, browser: Browser) -> Iterator[Page]:
    """A page of a real browser in which an administrator is signed in, by a passkey of the browser's own."""
    context = browser.new_context(locale="en-GB", accept_downloads=True)
    page = context.new_page()
    Authenticators(page).add()
    enrol(page, f"{house.site}/enrol#{house.invite('second-administrator')}")
    yield page
    context.close()


def named(name: str, title: str = "Zorgvervoer") -> str:
    return NEW.format(name=name, title=title)


def test_with_keys_alone_and_with_a_file(house: House, browser: Browser, tmp_path: Path) -> None:
    with administrator(house, browser) as page:
        page.goto(f"{house.site}/en")
        press(page, "Estate")
        page.wait_for_url("**/en/estate")
        while page.evaluate("document.activeElement.id") != "text":
            page.keyboard.press("Tab")
        page.keyboard.insert_text(house.estate(named("vervoer")))
        press(page, "Show what it would change")
        expect(page.get_by_role("heading", level=1)).to_have_text("What the file would change")
        expect(page.get_by_text("Zorgvervoer becomes a supplier, by the name vervoer.")).to_be_visible()
        press(page, "Apply it…")
        page.wait_for_selector("[data-passkey]")
        press(page, "Apply it now")
        expect(page.get_by_role("heading", level=1)).to_have_text("The register was changed")
        # The present estate is a file, and what is changed in it is what changes.
        page.goto(f"{house.site}/en/estate")
        with page.expect_download() as started:
            page.get_by_role("link", name="Download the present estate").click()
        file = tmp_path / "estate.yaml"
        started.value.save_as(file)
        file.write_text(file.read_text().replace("name: Zorgvervoer", "name: Vervoer Zuid"))
        page.get_by_label("Estate file").set_input_files(file)
        page.get_by_role("button", name="Show what it would change").click()
        expect(page.get_by_text("name: was Zorgvervoer, becomes Vervoer Zuid")).to_be_visible()
        page.get_by_role("button", name="Apply it…").click()
        page.get_by_role("button", name="Apply it now").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("The register was changed")
        page.goto(f"{house.site}/en/suppliers")
        expect(page.get_by_role("link", name="Vervoer Zuid")).to_be_visible()


@one_look
def test_every_page_of_the_way_is_accessible_and_fits(
    house: House, browser: Browser, language: str, scheme: Scheme, width: int
) -> None:
    visitor = house.browser("administrator")
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, user_agent="visitor")
    context.add_cookies([{"name": name, "value": one, "url": visitor.origin} for name, one in visitor.cookies.items()])
    page = context.new_page()
    name = f"s-{language}-{scheme}-{width}"

    def looks_well(where: str) -> None:
        results = Axe().run(page)
        assert results.violations_count == 0, (where, results.generate_report())
        assert page.evaluate("document.documentElement.scrollWidth") <= width, where
        assert page.locator("h1").count() == 1

    def put(text: str) -> None:
        page.goto(f"{visitor.origin}/{language}/estate")
        page.locator("#text").fill(text)
        page.locator("main button.primary").click()

    page.goto(f"{visitor.origin}/{language}/estate")
    page.locator("summary").click()
    expect(page.locator("details pre")).to_be_visible()
    looks_well("example")
    put("organisation: {name: x}\nsuppliers: 3\n" + "w" * 3000)
    expect(page.locator("#wrong")).to_be_visible()
    looks_well("mistakes")
    # Something ends, changes, comes in and stays ended.
    house.instance.apply(house.estate(named("vervoer") + "\n" + named(f"{name}-old")))
    house.instance.apply(house.estate(named("vervoer")))
    changing = house.estate(named(name, "m" * 200) + "\n" + named(f"{name}-old"))
    put(changing.replace("retention_days: 90", "retention_days: 80"))
    for group in ("ends", "changes", "comes", "kept"):
        expect(page.locator(f"#{group}")).to_be_visible()
    looks_well("difference")
    # Somebody else is first.
    house.instance.apply(house.estate(named("vervoer") + "\n" + named(f"{name}-other")))
    page.locator("form[action$='/estate/confirm'] button:not([name])").click()
    expect(page.locator("#meanwhile")).to_be_visible()
    looks_well("conflict")
    page.locator("form[action$='/estate/confirm'] button:not([name])").click()
    page.wait_for_selector("[data-passkey]")
    looks_well("confirm")
    context.close()
