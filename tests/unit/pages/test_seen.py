"""Screens are for whoever is signed in and may see them; forbidden and absent cannot be told apart; one name each."""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from keten.core.errors import Conflict, Denied, NotFound, Unavailable
from keten.keeper.people_protocol import Authorise, Authorised
from keten.pages.guard import Guard
from keten.pages.seen import screen
from keten.pages.signing import routes
from keten.pages.visits import Site, Visit, answered
from tests.unit.pages.faces import ORIGIN, SECRET, Browser, Told, site

T = TypeVar("T")
HERE = "http://localhost:8080"
SHOWN = "something to see"


async def show(site: Site, visit: Visit, found: Authorised, request: Request) -> Response:
    """A screen: what it says depends on what was asked for."""
    asked = request.path_params.get("what", "")
    if asked == "gone":
        raise NotFound("absent", "There is no such thing.")
    if asked == "conflict":
        raise Conflict("ended", "It has ended.")
    return answered(site, visit, f"{SHOWN} for {found.person.name}".encode())


def client(keeper: Told, made: Site | None = None, *, signed_in: bool = True) -> Browser:
    """A browser at a face with two screens: one that refreshes itself, and one of things."""
    found = made or site(keeper)
    screens = [
        *screen(found, "GET", "/fresh", "see-overview", show, refreshes=True),
        *screen(found, "GET", "/things/{what}", "see-ledger", show),
    ]
    host = found.origin.partition("://")[2].partition(":")[0]
    app = Guard(Starlette(routes=[*screens, *routes(found)]), frozenset([host]), https=found.https)
    browser = Browser(app, found.origin)
    if signed_in:
        browser.cookies = {found.cookie("session"): SECRET, found.cookie("browser"): "m" * 22}
    return browser


def asked(keeper: Told) -> list[Authorise]:
    """What the keeper was asked to allow."""
    return [body for verb, body in keeper.asked if verb == "people.authorise"]


def test_the_keeper_is_asked_for_the_act_each_time() -> None:
    keeper = Told("Anna")
    browser = client(keeper)
    for _ in range(2):
        assert f"{SHOWN} for Anna" in browser.get("/nl/things/one").text
    assert [(one.act, one.quiet) for one in asked(keeper)] == [("see-ledger", False)] * 2


def test_who_is_not_signed_in_is_sent_to_sign_in_and_the_keeper_hears_nothing() -> None:
    keeper = Told()
    answer = client(keeper, signed_in=False).get("/en/things/one")
    assert (answer.status_code, answer.headers["location"]) == (303, "/en/sign-in?next=/things/one")
    assert keeper.asked == []


@pytest.mark.parametrize(
    "path", ["/en/things/a\r\nset-cookie: x", "/en/things/\u00e9\u4e2d", "/en/things/a?b#c", "/en/things/%"]
)
def test_nothing_of_a_strange_address_is_repeated(path: str) -> None:
    app = client(Told(), signed_in=False)
    answer = app.ask("GET", path, b"", {}) if "?" not in path else app.get(path)
    assert answer.status_code in (303, 404)
    assert answer.headers.get("location", "/en/sign-in") in ("/en/sign-in", "/en/sign-in?next=/things/a")


def test_a_session_that_is_over_leads_to_signing_in_and_loses_its_cookie() -> None:
    keeper = Told()
    keeper.refuses["people.authorise"] = Denied("session-ended", "It is over.")
    browser = client(keeper)
    answer = browser.get("/nl/things/one")
    assert answer.headers["location"] == "/nl/sign-in?next=/things/one"
    assert not any(name.endswith("session") for name in browser.cookies)


@pytest.mark.parametrize("person", [True, False])
def test_only_what_a_person_asks_for_keeps_a_session_open(person: bool) -> None:
    keeper = Told()
    browser = client(keeper)
    headers = {"sec-fetch-user": "?1"} if person else {}
    assert browser.get("/nl/fresh", headers).status_code == 200
    browser.get("/nl/things/one", headers)
    assert [one.quiet for one in asked(keeper)] == [not person, False]


def test_forbidden_and_absent_cannot_be_told_apart() -> None:
    """Neither by status, body or headers; whatever the address is."""

    class Auditor(Told):
        async def call(self, verb: str, body: msgspec.Struct, answer: type[T]) -> T:
            if isinstance(body, Authorise) and body.act == "see-ledger" and not self.allows:
                self.asked.append((verb, body))
                raise Denied("not-allowed", "You may not do that.")
            return await super().call(verb, body, answer)

        allows = False

    keeper = Auditor()
    browser = client(keeper)
    forbidden = [browser.get(f"/nl/things/{one}") for one in ("one", "gone")]
    keeper.allows = True
    absent = browser.get("/nl/things/gone")
    assert {(one.status_code, one.text, str(one.headers)) for one in (*forbidden, absent)} == {
        (404, absent.text, str(absent.headers))
    }
    assert SHOWN not in absent.text
    assert "Deze pagina bestaat niet" in absent.text


def test_what_a_screen_raises_is_a_page_with_its_menu() -> None:
    answer = client(Told("Anna")).get("/nl/things/conflict")
    assert answer.status_code == 409
    assert "Dit is al beëindigd." in answer.text
    assert re.search(r'class="name"[^>]*><bdi>Anna', answer.text)


def test_nothing_is_shown_without_the_keeper() -> None:
    keeper = Told()
    keeper.refuses["people.authorise"] = Unavailable("keeper-unreachable", "Away.")
    answer = client(keeper).get("/en/things/one")
    assert (answer.status_code, SHOWN in answer.text) == (503, False)


def test_an_act_whose_answer_is_not_known_is_said_to_be_so() -> None:
    keeper = Told()
    keeper.refuses["people.authorise"] = Unavailable("keeper-gone", "Gone.")
    text = client(keeper).get("/en/things/one").text
    assert "It is not known whether this was done" in text
    assert "nothing was changed" not in text


# ---- one name --------------------------------------------------------------------------------------------------------


def place(origin: str, host: str, address: str, *, named: bool = True, behind_proxy: bool = False) -> tuple[int, str]:
    """Where a browser is led that came by this name, from this address."""
    keeper = Told()
    made = Site(
        room="pages",
        origin=origin,
        keeper=keeper,
        act="own-keys",
        menu=lambda _words, _acts: (),
        address=lambda _request: address,
        named=named,
        behind_proxy=behind_proxy,
    )
    answer = client(keeper, made).get("/nl/things/one?x=1", {"host": host})
    return answer.status_code, answer.headers.get("location", "")


def test_another_name_of_this_machine_is_led_to_localhost() -> None:
    for host in ("127.0.0.1:8080", "[::1]:8080", "localhost"):
        assert place(HERE, host, "127.0.0.1", named=False) == (303, f"{HERE}/nl/things/one"), host
    assert place(HERE, "localhost:8080", "127.0.0.1", named=False) == (200, "")


def test_another_machine_is_not_led_to_its_own_localhost() -> None:
    assert place(HERE, "192.0.2.7:8080", "192.0.2.9", named=False) == (400, "")


def test_a_name_leads_everybody() -> None:
    assert place(ORIGIN, "192.0.2.7", "192.0.2.9") == (303, f"{ORIGIN}/nl/things/one")


def test_what_a_proxy_says_in_host_is_its_own_affair() -> None:
    assert place(ORIGIN, "127.0.0.1:8080", "192.0.2.9", behind_proxy=True) == (200, "")


def test_two_faces_of_one_machine_keep_their_cookies_apart() -> None:
    keeper = Told()
    names = {site(keeper, origin).cookie("session") for origin in (HERE, "http://localhost:8081", ORIGIN)}
    assert names == {"keten-8080-session", "keten-8081-session", "__Host-keten-session"}
