"""The overview in a browser: for everyone, on any screen, by keyboard, and true a moment after something changed."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Demo
from tests.browser.looks import every_look

pytestmark = pytest.mark.timeout(300)
Scheme = Literal["light", "dark"]
WAIT_MS = 150_000


@contextmanager
def opened(
    demo: Demo, browser: Browser, url: str, *, width: int = 1280, scheme: Scheme = "light"
) -> Iterator[Page]:
    """A page, signed in; what the browser complained of in its console, such as a broken policy, fails the test."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, storage_state=demo.signed_in(browser)
    )
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(url)
    yield page
    context.close()
    assert complaints == []


@every_look
def test_it_is_accessible_and_fits(demo: Demo, browser: Browser, language: str, scheme: Scheme, width: int) -> None:
    with opened(demo, browser, f"{demo.told['pages'][language]}?refresh=off", width=width, scheme=scheme) as page:
        results = Axe().run(page)
        assert results.violations_count == 0, results.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("html").get_attribute("lang") == language
        assert "Gemeente Voorbeeld" in page.title()


@pytest.mark.parametrize("language", ["nl", "en"])
def test_no_label_is_broken_on_a_telephone(demo: Demo, browser: Browser, language: str) -> None:
    with opened(demo, browser, f"{demo.told['pages'][language]}?refresh=off", width=320) as page:
        labels = page.locator(".shares .label")
        assert labels.count() > 0
        lines = "all => all.map(e => e.firstChild).map(t => {"
        lines += "const r = document.createRange(); r.selectNodeContents(t); return r.getClientRects().length})"
        assert set(labels.evaluate_all(lines)) == {1}


@pytest.mark.parametrize("width", [1920, 1280, 1180, 1030, 1020, 768, 480, 320])
def test_it_fits_however_wide_the_screen_and_long_the_names(demo: Demo, browser: Browser, width: int) -> None:
    with opened(demo, browser, f"{demo.told['pages']['nl']}?refresh=off", width=width) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        everywhere = "document.querySelectorAll('.name, .id, .why, h1')"
        page.evaluate(f"{everywhere}.forEach(e => {{ e.textContent = 'm'.repeat(100) }})")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_other_pages_are_accessible_as_well(demo: Demo, browser: Browser) -> None:
    for scheme in ("light", "dark"):
        context = browser.new_context(viewport={"width": 320, "height": 600}, color_scheme=scheme)
        page = context.new_page()
        answer = page.goto(f"{demo.told['console']}/absent")
        assert answer is not None
        assert answer.status == 404
        results = Axe().run(page)
        assert results.violations_count == 0, results.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        context.close()


def test_the_start_speaks_the_readers_language(demo: Demo, browser: Browser) -> None:
    for locale, language in (("nl-NL", "nl"), ("en-GB", "en"), ("de-DE", "nl")):
        context = browser.new_context(locale=locale)
        page = context.new_page()
        page.goto(demo.told["console"])
        assert page.url == f"{demo.told['console']}/{language}/sign-in"
        context.close()


def test_the_keyboard_reaches_everything_and_shows_where_it_is(demo: Demo, browser: Browser) -> None:
    with opened(demo, browser, f"{demo.told['pages']['nl']}?refresh=off") as page:
        count = page.locator("a[href], header button").count()
        reached = []
        for _ in range(count):
            page.keyboard.press("Tab")
            focused = page.evaluate(
                "(() => { const e = document.activeElement, s = getComputedStyle(e), r = e.getBoundingClientRect();"
                " const inside = r.top >= 0 && r.left >= 0 && r.bottom <= innerHeight;"
                " return [e.textContent.trim(), s.outlineStyle, parseFloat(s.outlineWidth), inside]; })()"
            )
            reached.append(focused)
        texts = page.locator("a[href], header button").all_text_contents()
        assert [one[0] for one in reached] == [text.strip() for text in texts]
        for text, style, thickness, inside in reached:
            assert style == "solid", text
            assert thickness >= 2, text
            assert inside, text
        page.locator(".skip").focus()
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "content"


def test_it_reads_well_without_styles_and_on_paper(demo: Demo, browser: Browser) -> None:
    with opened(demo, browser, f"{demo.told['pages']['nl']}?refresh=off") as page:
        page.emulate_media(media="print", color_scheme="dark")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
        for table in page.get_by_role("table").all():
            assert table.locator("caption").count() == 1
            assert table.locator("th[scope=col]").count() >= 4
        headings = page.locator("h1, h2, h3").evaluate_all("all => all.map(e => Number(e.tagName[1]))")
        assert headings[0] == 1
        assert set(headings[1:]) == {2}


def test_a_row_on_a_narrow_screen_is_still_a_row_of_a_table(demo: Demo, browser: Browser) -> None:
    with opened(demo, browser, f"{demo.told['pages']['en']}?refresh=off", width=320) as page:
        cells = page.get_by_role("row").filter(has_text="kiesregister").first.get_by_role("cell")
        assert cells.count() == 5
        expect(page.locator(".stacking .label").first).to_be_visible()


def test_it_refreshes_itself_and_stays_where_the_reader_was(demo: Demo, browser: Browser) -> None:
    with opened(demo, browser, demo.told["pages"]["nl"]) as page:
        before = page.locator(".moment time").first.get_attribute("datetime")
        page.evaluate("window.scrollTo(0, 700)")
        page.wait_for_function(
            "before => document.querySelector('.moment time')?.getAttribute('datetime') !== before",
            arg=before,
            timeout=WAIT_MS,
        )
        page.wait_for_function("Math.abs(window.scrollY - 700) < 50", timeout=WAIT_MS)
        page.get_by_role("link", name="Stop met verversen").click()
        assert page.url.endswith("?refresh=off")
        page.get_by_role("link", name="Weer verversen").click()
        assert page.url.endswith("/nl")


def test_what_suppliers_did_is_shown(demo: Demo, browser: Browser) -> None:
    with opened(demo, browser, f"{demo.told['pages']['nl']}?refresh=off") as page:
        accesses = page.get_by_role("region", name="Laatste keren")
        expect(accesses).to_contain_text("kiesregister-2026.csv")
        expect(accesses).to_contain_text("Er is hiervoor geen toekenning.")
        expect(accesses).to_contain_text("De persoon of het systeemaccount is beëindigd.")
        shares = page.get_by_role("region", name="Wie heeft wat")
        for name in ("Drukkerij De Pers", "Zorgvervoer Oost", "Archiefbeheer Noord", "100.000"):
            expect(shares).to_contain_text(name)


# ---- what changes shows; each test takes another supplier ----------------------------------------------------------


def test_a_revocation_shows(demo: Demo, browser: Browser) -> None:
    with opened(demo, browser, demo.told["pages"]["nl"]) as page:
        row = page.get_by_role("row").filter(has_text="stempassen-drukken")
        expect(row).to_contain_text("Open")
        assert demo.keten("revoke", "supplier", "drukwerk", "--reason", "stempassen verstuurd").returncode == 0
        expect(row).to_contain_text("Gesloten", timeout=WAIT_MS)
        expect(row).to_contain_text("De toegang is ingetrokken.")
        expect(row).to_contain_text("100.000")  # the copy that is out
        ended = page.get_by_role("region", name="Wat de laatste 24 uur is geëindigd")
        expect(ended).to_contain_text("stempassen verstuurd")


def test_a_contract_that_ends_shows(demo: Demo, browser: Browser) -> None:
    path = demo.folder / "estate.yaml"
    ends = (datetime.now(UTC) + timedelta(seconds=3)).isoformat(timespec="seconds")
    path.write_text(re.sub(r"(?<=ends: )\d{4}-\d\d-\d\dT\S+", ends, path.read_text()), encoding="utf-8")
    assert demo.keten("apply", str(path)).returncode == 0
    with opened(demo, browser, demo.told["pages"]["en"]) as page:
        row = page.get_by_role("row").filter(has_text="leerlingenvervoer")
        expect(row).to_contain_text("Closed", timeout=WAIT_MS)
        expect(row).to_contain_text("The contract has ended.")
        ended = page.get_by_role("row").filter(has_text="Ended by itself, as agreed")
        expect(ended).to_contain_text("vwo-2026-021")


def test_a_row_that_someone_changed_shows(demo: Demo, browser: Browser) -> None:
    with closing(sqlite3.connect(Path(demo.told["home"]) / "db" / "keten.db", timeout=30)) as database, database:
        done = database.execute(
            "UPDATE contracts SET body = CAST(replace(CAST(body AS TEXT), 'migratie', 'verkoop') AS BLOB) "
            "WHERE name = 'vwo-2025-007'"
        )
        assert done.rowcount == 1
    with opened(demo, browser, demo.told["pages"]["nl"]) as page:
        attention = page.get_by_role("region", name="Wat aandacht vraagt")
        expect(attention).to_contain_text("Verwerkersovereenkomst vwo-2025-007", timeout=WAIT_MS)
        row = page.get_by_role("row").filter(has_text="oude-zaken")
        expect(row).to_contain_text("Onbekend, dus geweigerd")
        expect(page.locator(".figures")).to_contain_text("Klopt niet", timeout=WAIT_MS)
        results = Axe().run(page)
        assert results.violations_count == 0, results.generate_report()
    verified = demo.keten("ledger", "verify")
    assert verified.returncode == 1
    assert "contracts" in verified.stdout

