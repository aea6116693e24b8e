"""People of a supplier at the portal, in a real browser with its virtual authenticator: what they see and do there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, StorageState, expect

from tests.browser.looks import every_look
from tests.browser.passkeys import Authenticators, enrol
from tests.house import NAME, SCRIPT, House

pytestmark = pytest.mark.timeout(300)
WAIT_MS = 30_000


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("h"))
    try:
        made.start()
        yield made
    finally:
        made.keten.down()


@contextmanager
def visiting(browser: Browser, **options: object) -> Iterator[Page]:
    """A page of a browser of its own; what the browser complains of in its console fails the test."""
    context = browser.new_context(timezone_id="Europe/Amsterdam", **options)  # type: ignore[arg-type]  # passed on
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert complaints == []


@pytest.fixture(scope="module")
def contact(house: House, browser: Browser) -> StorageState:
    """The cookies of the supplier's contact, who has signed in with a passkey, and fetched something."""
    with visiting(browser, locale="en-GB") as page:
        Authenticators(page).add()
        enrol(page, house.link("drukwerk-ops"))
        fetch(page, "election-cards")
        return page.context.storage_state()


def fetch(page: Page, label: str) -> bytes:
    """Download the first file of a share, as a person does."""
    page.get_by_role("link", name=label).click()
    with page.expect_download() as waiting:
        page.get_by_role("link", name=re.compile("^Download")).first.click()
    got = waiting.value
    assert got.failure() is None
    content = Path(got.path()).read_bytes()
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Shared with me").click()
    return content


def share_path(page: Page) -> str:
    """Below the language."""
    return str(page.locator("th a.name").first.get_attribute("href")).removeprefix("/en").removeprefix("/nl")


SCREENS = ("", "share", "/log", "/people", "/keys", "/nothing", "invite", "end")


@contextmanager
def screen(house: House, page: Page, language: str, name: str) -> Iterator[None]:
    """Open a screen by its path below the language, or by what leads to it."""
    page.goto(f"{house.portal}/{language}?refresh=off")
    if name == "share":
        page.goto(f"{house.portal}/{language}{share_path(page)}")
    elif name in ("invite", "end"):
        page.goto(f"{house.portal}/{language}/people")
        row = page.get_by_role("row").filter(has_text="drukwerk-three")
        if name == "invite":
            row.locator("form[action$=invite] button").click()
        else:
            row.locator("summary").click()
            row.locator("input[name=reason]").fill("Werkt er niet meer")
            row.locator("form[action$=end] button").click()
    elif name:
        page.goto(f"{house.portal}/{language}{name}")
    yield


@every_look
def test_every_screen_is_accessible_and_fits(
    house: House, browser: Browser, contact: StorageState, language: str, scheme: str, width: int
) -> None:
    size = {"width": width, "height": 900}
    context = browser.new_context(viewport=size, color_scheme=scheme, storage_state=contact)  # type: ignore[arg-type]
    page = context.new_page()
    for name in SCREENS:
        with screen(house, page, language, name):
            results = Axe().run(page)
            assert results.violations_count == 0, f"{name}: {results.generate_report()}"
            assert page.evaluate("document.documentElement.scrollWidth") <= width, name
            assert page.locator("html").get_attribute("lang") == language
    context.close()


def test_sign_in_and_enrol_are_accessible(house: House, browser: Browser) -> None:
    for path in ("/nl/sign-in", "/en/enrol"):
        with visiting(browser, viewport={"width": 320, "height": 700}) as page:
            page.goto(f"{house.portal}{path}")
            results = Axe().run(page)
            assert results.violations_count == 0, results.generate_report()
            assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_a_file_arrives_whole_under_its_own_name_and_does_not_run(
    house: House, browser: Browser, contact: StorageState
) -> None:
    with visiting(browser, storage_state=contact, locale="en-GB") as page:
        page.goto(f"{house.portal}/en")
        page.get_by_role("link", name="election-cards").click()
        with page.expect_download() as waiting:
            page.get_by_role("link", name=re.compile("^Download")).click()
        got = waiting.value
        assert Path(got.path()).read_bytes() == SCRIPT
        assert got.suggested_filename.replace("_", '"') == NAME.replace("_", '"')
        assert page.title() != "run"
        page.goto(f"{house.portal}/en/log")
        expect(page.get_by_role("row").nth(1)).to_contain_text("Fetched complete 3 MB sent")
        expect(page.locator("time").first).to_contain_text("CET")


def test_the_keyboard_alone_fetches_a_file_and_reads_the_log(
    house: House, browser: Browser, contact: StorageState
) -> None:
    with visiting(browser, storage_state=contact, locale="en-GB") as page:
        page.goto(f"{house.portal}/en?refresh=off")
        reach(page, "election-cards")
        page.keyboard.press("Enter")
        page.wait_for_url("**/shares/*")
        with page.expect_download() as waiting:
            reach(page, "Download")
            page.keyboard.press("Enter")
        assert waiting.value.failure() is None
        reach(page, "Log")
        page.keyboard.press("Enter")
        page.wait_for_url("**/log")


def reach(page: Page, text: str) -> None:
    """Press Tab until what has this text has the focus, and shows it."""
    for _each in range(40):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            "(() => { const e = document.activeElement, s = getComputedStyle(e);"
            " return [e.textContent.trim(), s.outlineStyle, parseFloat(s.outlineWidth)]; })()"
        )
        if focused[0] == text:
            assert focused[1] == "solid"
            assert focused[2] >= 2
            return
    raise AssertionError(f"the keyboard does not reach {text!r}")


def test_the_keyboard_alone_invites_a_colleague(house: House, browser: Browser) -> None:
    """The whole way: a contact makes a passkey, invites, and the colleague gets in with the link."""
    with visiting(browser, locale="en-GB") as page:
        Authenticators(page).add()
        enrol(page, house.link("drukwerk-four"))
        page.goto(f"{house.portal}/en/people")
        row = page.get_by_role("row").filter(has_text="drukwerk-two")
        row.get_by_role("button", name="Invite").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("Invite drukwerk-two")
        reach(page, "Make the link")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("A one-time link")
        link = page.locator("code.secret").text_content() or ""
        results = Axe().run(page)
        assert results.violations_count == 0, results.generate_report()
    with visiting(browser, locale="en-GB") as other:
        Authenticators(other).add()
        enrol(other, link)
        expect(other.get_by_role("link", name="drukwerk-two")).to_be_visible()
        assert other.get_by_role("link", name="People").count() == 0
        entries = house.entries("identity.link.made")
        assert entries[-1]["actor"] == f"person:{house.keten.ids['person']['drukwerk-four']}"


def test_a_page_that_somebody_looks_at_says_that_access_ended_and_why(
    tmp_path: Path, browser: Browser
) -> None:
    house = House(tmp_path)
    try:
        house.start()
        with visiting(browser, locale="nl-NL") as page:
            Authenticators(page).add()
            page.goto(house.link("drukwerk-two"))
            page.get_by_role("button", name="Mijn passkey maken").click()
            page.wait_for_url("**/nl")
            expect(page.get_by_role("region", name="Staat voor u open")).to_contain_text("election-cards")
            assert house.keten.command("revoke", "contract", "vwo-1", "--reason", "klaar").returncode == 0
            expect(page.get_by_role("region", name="Staat voor u open")).to_contain_text(
                "Er staat nu niets voor u open.", timeout=WAIT_MS
            )
            expect(page.get_by_role("region", name="Nu niet open")).to_contain_text("De toegang is ingetrokken.")
            results = Axe().run(page)
            assert results.violations_count == 0, results.generate_report()
    finally:
        house.keten.down()
