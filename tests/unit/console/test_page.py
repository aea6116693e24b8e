"""The page: what it says when there is nothing, too much, or something hostile; and how often it is made."""

from __future__ import annotations

from html.parser import HTMLParser

import msgspec
import pytest

from keten.console import page, sharing
from keten.console.model import Access, Overview
from keten.console.page import Pages
from keten.core.errors import Corrupt, Unavailable
from keten.pages.rendering import Frame, Link
from keten.pages.words import LANGUAGES, Words
from tests.unit.console.house import DATASET, SUPPLIER, House
from tests.unit.pages.test_words import extracted, translated
from tests.unit.suppliers.instances import ESTATE

VOID = {"meta", "link", "rect", "br", "hr"}
HOSTILE = "<script>alert(1)</script>\"'&amp;"


class Tree(HTMLParser):
    """Checks that every element is closed in its order, and gathers text, links and ids."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.said: list[str] = []
        self.elements: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), name
            assert name != "style", "the policy of the page forbids it"
            if name in ("href", "src"):
                self.links.append(value or "")
            if name == "id":
                self.ids.append(value or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said.append(data)


def tree(body: bytes) -> Tree:
    """The page, read."""
    found = Tree()
    found.feed(body.decode())
    assert found.open == []
    assert len(found.ids) == len(set(found.ids))
    assert "script" not in found.elements
    return found


def text(body: bytes) -> str:
    """What the page says, in one line."""
    return " ".join(" ".join(tree(body).said).split())


def shown(house: House, language: str = "en") -> str:
    """What the overview says now."""
    return text(page.overview(house.overview(), Frame(language=language), refreshing=True))


def test_nothing_is_declared_yet(house: House) -> None:
    said = shown(house)
    assert "Nothing is declared yet." in said
    assert "keten apply estate.yaml" in said
    assert "Nobody fetched anything yet." in said
    assert "keten login URL --client ID --key FILE" in said
    assert "keten revoke supplier ID" in said
    assert "Nobody outside has signed this ledger." in said


def test_the_overview_leads_on_to_what_its_reader_may_see_and_nowhere_else(house: House) -> None:
    house.declare()
    access = house.opened(house.put())
    supplier, dataset = house.id("supplier", SUPPLIER), house.id("dataset", DATASET)
    ways = {f"/en/suppliers/{supplier}", f"/en/datasets/{dataset}", f"/en/ledger/{access}"}
    menu = tuple(Link(one, one) for one in ("/suppliers", "/datasets", "/ledger"))
    for shown_menu, found in ((menu, ways), ((), set())):
        links = tree(page.overview(house.overview(), Frame(language="en", menu=shown_menu), refreshing=True)).links
        assert ways & set(links) == found


def test_an_empty_instance_says_what_comes_first_and_leads_there(house: House) -> None:
    house.declare(ESTATE[: ESTATE.index("grants:")])
    for menu, leads in (((Link("/estate", "Estate"), Link("/people", "People")), True), ((), False)):
        found = tree(page.overview(house.overview(), Frame(language="nl", menu=menu), refreshing=True))
        assert "Zo gaat u voor het eerst delen:" in " ".join(" ".join(found.said).split())
        assert found.links.count("/nl/estate") == (2 if leads else 0), "in the menu, and where it is said"


def test_nothing_is_granted_yet(house: House) -> None:
    house.declare(ESTATE[: ESTATE.index("grants:")])
    said = shown(house)
    assert "No supplier has been granted anything yet." in said
    assert "keten put DATASET FILE" in said


def test_a_grant_without_files(house: House) -> None:
    house.declare()
    assert "can fetch: nothing: no file is in it" in shown(house)
    assert "ontvangen: niets" in shown(house, "nl")


def test_who_has_what(house: House) -> None:
    house.declare()
    file = house.put(records=1234)
    house.fetched(file)
    said = shown(house)
    for part in (
        "Drukwerk BV",
        "can fetch: 1,234 in 1 file",
        "received: 1,234",
        "to the end of 31 Dec 2026",
        "364 days left",
        "election-cards",
        "contract vwo-2026-014",
        "at most 250,000 records a day for each system",
        "Delivered",
    ):
        assert part in said, part


def test_a_copy_that_is_out_stays_out(house: House) -> None:
    house.declare()
    house.fetched(house.put(records=1234))
    assert "that copy stays there" not in shown(house)
    house.end("supplier", house.id("supplier", "drukwerk"), "over")
    assert "received: 1,234" in shown(house)
    assert "that copy stays there" in shown(house)


def test_every_text_is_said_in_dutch(house: House) -> None:
    """Texts that stand on the Dutch page in English were put there without translation."""
    house.declare()
    house.fetched(house.put())
    house.refused("no-grant", count=2)
    house.sign_in_refused(proven=False)
    house.strangers(3)
    house.tamper("UPDATE datasets SET body = x''")
    said = shown(house, "nl")
    dutch = {first: forms for first, (_forms, forms) in translated("nl", "console").items()}
    for first in extracted("console"):
        if len(first) > 12 and "%" not in first and dutch[first][0] != first:
            assert first not in said, first


@pytest.mark.parametrize("language", LANGUAGES)
def test_hostile_words_stay_words(house: House, language: str) -> None:
    house.declare(ESTATE.replace("name: Drukwerk BV", f"name: {msgspec.json.encode(HOSTILE).decode()}"))
    house.fetched(house.put("voters <b>.csv"))
    house.refused(HOSTILE)
    house.end("supplier", house.id("supplier", "drukwerk"), HOSTILE)
    body = page.overview(house.overview(), Frame(language=language), refreshing=False)
    assert b"<script>" not in body
    assert b"<b>" not in body
    assert HOSTILE in text(body).replace("\u00ad", "")


def test_links_stay_on_the_page(house: House) -> None:
    house.declare()
    for refreshing in (True, False):
        found = tree(page.overview(house.overview(), Frame(language="nl"), refreshing=refreshing))
        for link in found.links:
            assert link.startswith(("/", "#", "?")), link
            assert not link.startswith("//")


def test_unknown_is_said(house: House) -> None:
    house.declare()
    house.fetched(house.put(records=4321))
    house.tamper("UPDATE objects SET body = x''")
    house.tamper("UPDATE contracts SET body = x''")
    said = shown(house)
    assert "Unknown, so refused" in said
    assert "4,321" not in said
    assert "received: unknown" in said
    assert "Records of which they hold a copy unknown" in said
    assert "contract unknown" in said


def test_while_the_ledger_is_read_nothing_is_said_to_be_nothing(house: House) -> None:
    house.declare()
    house.put()
    found = msgspec.structs.replace(house.overview(), read=3, entries=1000)
    said = text(page.overview(found, Frame(language="en"), refreshing=True))
    assert "The ledger is still being read: 3 of 1,000 entries." in said
    assert "received: unknown" in said
    assert "Nobody fetched anything yet." not in said
    assert "Records of which they hold a copy unknown" in said


def test_more_than_fits(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "MOST_SHARES", 1)
    second = """
  - {id: tweede, name: Aaa Tweede, country: NL, tier: low}
contracts:
  - {id: vwo-2, supplier: tweede, starts: 2026-01-01, ends: 2026-12-31, purposes: [other]}
"""
    grant = "\n  - {id: second, dataset: voters, contract: vwo-2, purpose: other, form: file}\n"
    house.declare(ESTATE.replace("\ncontracts:\n", second, 1) + grant)
    overview = house.overview()
    assert (overview.suppliers, overview.hidden, overview.cut) == (3, 2, True)
    assert [one.supplier for one in overview.shares] == ["Aaa Tweede"]
    assert "There is more than fits here: 2 suppliers are not shown." in shown(house)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("access", "english"),
    [
        ({"progress": "complete", "sent": 5_000_000, "asked": 5_000_000}, "5 MB"),
        ({"progress": "stopped", "sent": 1000, "asked": 5000}, "1 kB of 5 kB"),
        ({"progress": "unknown", "at_least": 0, "at_most": 5000}, "0 B to 5 kB"),
        ({"progress": "under-way", "asked": 5000}, "up to 5 kB"),
        ({"progress": "refused"}, "nothing"),
    ],
)
def test_how_much(language: str, access: dict[str, object], english: str) -> None:
    from keten.console.wording import much

    given = {"time_us": 0, "index": 0, "who": "x", "supplier": "", "file": "", "dataset": ""} | access
    said = much(Words(language), msgspec.convert(given, Access)).replace("\u00a0", " ")
    assert language != "en" or said == english
    assert said


# ---- how often -----------------------------------------------------------------------------------------------------


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def counting(house: House, clock: Clock, takes: float = 0.0) -> tuple[Pages, list[int]]:
    """Pages, and a list that grows by one with each reading."""
    readings: list[int] = []
    overview = house.overview()

    def read() -> Overview:
        readings.append(1)
        clock.seconds += takes
        return overview

    return Pages(read, clock), readings


def test_it_is_read_at_most_every_two_seconds_for_all(house: House) -> None:
    clock = Clock()
    pages, readings = counting(house, clock)
    dutch, english = (pages.page(Frame(language=language), refreshing=True) for language in ("nl", "en"))
    assert dutch != english
    assert pages.page(Frame(language="nl"), refreshing=True) is dutch
    clock.seconds += 1.9
    assert pages.page(Frame(language="nl"), refreshing=True) is dutch
    assert len(readings) == 1
    clock.seconds += 0.2
    pages.page(Frame(language="nl"), refreshing=True)
    assert len(readings) == 2


def test_what_takes_long_is_done_less_often(house: House) -> None:
    clock = Clock()
    pages, readings = counting(house, clock, takes=3.0)
    pages.page(Frame(language="nl"), refreshing=True)
    clock.seconds += 11.0
    pages.page(Frame(language="nl"), refreshing=True)
    assert len(readings) == 1
    clock.seconds += 1.1
    pages.page(Frame(language="nl"), refreshing=True)
    assert len(readings) == 2


@pytest.mark.parametrize(
    "error",
    [Unavailable("database", "The database did not do what was asked."), Corrupt("database-damaged", "Damaged.", "x")],
)
def test_what_cannot_be_read_is_said_and_read_again(house: House, error: Exception) -> None:
    clock = Clock()
    answers: list[Overview | Exception] = [error, house.overview()]

    def read() -> Overview:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    pages = Pages(read, clock)
    failed = pages.page(Frame(language="nl"), refreshing=True)
    assert failed.status == 503
    assert "Het overzicht kan niet worden getoond" in text(failed.body)
    assert "(database" not in text(failed.body)  # what is for the operator only
    clock.seconds += 2.1
    assert pages.page(Frame(language="nl"), refreshing=True).status == 200


def test_a_database_that_is_none(house: House) -> None:
    house.declare()
    house.engine.dispose()
    house.reader.dispose()
    for path in house.home.database_folder.iterdir():
        path.write_bytes(b"this is not a database, but long enough to be looked at" * 100)
    pages = Pages(house.overview)
    assert pages.page(Frame(language="en"), refreshing=True).status == 503
