"""`python -m tests.browser.pictures FOLDER` (`make pictures`): every screen in both languages, for the manual.

Of running instances with made-up content, by a real browser, as whoever may see the screen.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests.browser import test_portal as portal
from tests.browser.conftest import CHROMIUM, FLAGS
from tests.browser.passkeys import Authenticators, enrol
from tests.browser.test_screens import opened
from tests.functional.staff import House as Staff
from tests.house import House

LANGUAGES = ("en", "nl")
SIZE = {"width": 1000, "height": 900}
"""What fits; longer pages go on below."""
PORTAL = {"start": "", "share": "share", "log": "/log", "people": "/people", "keys": "/keys", "end": "end"}
"""A picture's name → the portal's screen, as `portal.screen` knows it."""


def of_console(staff: Staff) -> Iterator[tuple[str, str, str]]:
    """Each screen of the console: its picture's name, the role that looks, its path below the language."""
    supplier, voters = staff.id("supplier", "drukwerk"), staff.id("dataset", "voters")
    leaver = staff.id("person", "leaver")
    officer, owner, privacy = "security-officer", "data-owner", "privacy-officer"
    yield from (
        ("suppliers", officer, "/suppliers"),
        ("supplier", officer, f"/suppliers/{supplier}"),
        ("end-access", officer, f"/suppliers/{supplier}/end"),
        ("datasets", officer, "/datasets"),
        ("dataset", officer, f"/datasets/{voters}"),
        ("destroy", privacy, f"/datasets/{voters}/destroy"),
        ("second-person", privacy, "/proposals"),
        ("proposal", privacy, f"/proposals/{staff.proposed}"),
        ("people", officer, "/people"),
        ("roles", officer, "/people/roles"),
        ("person", officer, f"/people/{leaver}"),
        ("erase", privacy, f"/people/{leaver}/erase"),
        ("recoveries-console", officer, "/recoveries"),
        ("ledger", officer, "/ledger"),
        ("custody", officer, "/ledger/custody"),
        ("entry", officer, "/ledger/15"),
        ("why", officer, "/decision?who=drukwerk-batch&what=voters&action=open&country=NL"),
        ("alerts", officer, "/alerts"),
        ("alert", officer, f"/alerts/{staff.seen}"),
        ("budgets", officer, "/budgets"),
        ("requests", owner, "/requests"),
        ("request", owner, f"/requests/{staff.asked}"),
        ("rights", owner, "/rights"),
        ("estate", "administrator", "/estate"),
        ("settings", "administrator", "/settings"),
    )


def console(browser: Browser, to: Path, folder: Path) -> None:
    """The console's."""
    staff = Staff(folder)
    staff.confirming()
    try:
        for name, role, path in of_console(staff):
            for language in LANGUAGES:
                with opened(browser, staff.browser(role), f"/{language}{path}", width=SIZE["width"]) as page:
                    page.screenshot(path=to / f"{name}-{language}.png")
            print(name, flush=True)
    finally:
        staff.close()


def portal_screens(browser: Browser, to: Path, folder: Path) -> None:
    """The portal's, as the supplier's contact sees them."""
    house = House(folder)
    try:
        house.start()
        with portal.visiting(browser, locale="en-GB", viewport=SIZE) as page:
            Authenticators(page).add()
            enrol(page, house.link("drukwerk-ops"))
            portal.fetch(page, "election-cards")
            for name, screen in PORTAL.items():
                for language in LANGUAGES:
                    with portal.screen(house, page, language, screen):
                        page.screenshot(path=to / f"portal-{name}-{language}.png")
                print(f"portal-{name}", flush=True)
    finally:
        house.keten.down()


def main(to: Path) -> None:
    """All of them."""
    to.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright, tempfile.TemporaryDirectory(prefix="kp-") as name:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        for make, own in ((console, "staff"), (portal_screens, "house")):
            (folder := Path(name) / own).mkdir()
            make(browser, to, folder)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
