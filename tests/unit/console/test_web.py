"""The web application: reading only, with strict headers, under its own names, without a word of what was asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp, Message

from keten.console.history import History
from keten.console.model import Overview
from keten.console.page import Pages
from keten.console.readings.desk import Desk
from keten.console.screens.table import SCREENS
from keten.console.site import MENU, site
from keten.console.web import build
from keten.core.errors import Unavailable
from keten.core.settings import Listener, Settings
from keten.identity.roles import ACTS
from keten.pages import recovering, signing
from keten.pages.guard import HEADERS
from keten.pages.languages import preferred
from keten.pages.words import LANGUAGES
from tests.unit.pages.faces import SECRET, Told


def nothing() -> Overview:
    """A reading that is never there: the application is what is looked at here."""
    raise Unavailable("database", "Not now.")


class Answer(msgspec.Struct):
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes


@cache
def desk() -> Desk:
    """A desk without a database: no screen gets as far as reading here."""
    engine = create_engine("sqlite://")
    return Desk(Settings(), engine, History(engine))


def application(settings: Settings) -> ASGIApp:
    """The console's application, with a keeper that says what the test tells it."""
    return build(settings, "127.0.0.1", Pages(nothing), site(settings, "http://localhost:8080", Told()), desk())


def ask(
    path: str, method: str = "GET", host: str | None = "localhost:8080", settings: Settings | None = None, **named: str
) -> Answer:
    """One request of somebody who is signed in."""
    known = settings or Settings()
    app = application(known)
    named = {"cookie": f"keten-8080-session={SECRET}; keten-8080-browser={'m' * 22}"} | named
    pure, _, query = path.partition("?")
    headers = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in named.items()]
    if host is not None:
        headers.append((b"host", host.encode("latin-1")))
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": pure,
        "raw_path": pure.encode("latin-1", "replace"),
        "query_string": query.encode(),
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8080),
    }
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(part: Message) -> None:
        sent.append(part)

    run: Callable[..., Awaitable[None]] = app
    asyncio.run(run(scope, receive, send))  # type: ignore[arg-type]  # an Awaitable that is a coroutine
    start = sent[0]
    found = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    assert len(found) == len(start["headers"]), "a header twice"
    return Answer(start["status"], found, b"".join(part.get("body", b"") for part in sent[1:]))


STATIC = ("/static/keten.css", "/static/theme.css", "/static/icon.svg", "/static/passkey.js")
PATHS = ("/", "/nl", "/en", "/nl?refresh=off", *STATIC)
OTHERS = ("/nl/", "/NL", "/fr", "/static/", "/static/../main.py", "/static/x.html", "/..", "//evil.example/nl", "/\x00")


@pytest.mark.parametrize("path", PATHS + OTHERS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
def test_every_answer_has_the_strict_headers_and_only_reading_is_answered(path: str, method: str) -> None:
    answer = ask(path, method)
    for name, value in HEADERS.items():
        assert answer.headers[name] == value
    if path in OTHERS:
        assert answer.status in (404, 405)
    elif method not in ("GET", "HEAD"):
        assert answer.status == 405
        assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}
    else:
        assert answer.status in (200, 302, 503)


def test_the_policy_lets_nothing_in_but_its_own_styles_and_icon() -> None:
    policy = HEADERS["content-security-policy"].split("; ")
    assert policy[0] == "default-src 'none'"
    assert all(rule.rpartition(" ")[2] in ("'none'", "'self'") for rule in policy)
    assert "frame-ancestors 'none'" in policy
    assert HEADERS["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("host", "served"),
    [
        ("localhost", True),
        ("localhost:8080", True),
        ("LOCALHOST:1", True),
        ("localhost.", True),
        ("127.0.0.1:8080", True),
        ("192.0.2.7", True),
        ("[::1]:8080", True),
        ("overzicht.gemeente.example", True),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("evil.example@localhost", True),  # its host is localhost
        ("localhost@evil.example", False),
        ("", False),
        ("[::1", False),
        ("a b", False),
        (None, False),
    ],
)
def test_only_own_names_and_addresses_are_answered(host: str | None, served: bool) -> None:
    settings = Settings(console=Listener(public_url="https://overzicht.gemeente.example"))
    answer = ask("/static/keten.css", host=host, settings=settings)
    assert answer.status == (200 if served else 421)
    assert answer.headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/", "/nl", "/absent"])
def test_the_host_is_never_repeated(path: str) -> None:
    answer = ask(path, host="192.0.2.77:81")
    assert b"192.0.2.77" not in answer.body
    assert "192.0.2.77" not in str(answer.headers)


def test_what_was_asked_for_is_never_repeated() -> None:
    answer = ask("/<script>alert(1)</script>?x=<b>")
    assert answer.status == 404
    assert b"alert" not in answer.body
    assert b"<b>" not in answer.body


def test_two_hosts_are_none() -> None:
    answer = ask("/", x_forwarded_host="evil.example")
    assert answer.headers["location"] == "/nl"


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "nl"),
        ("en", "en"),
        ("en-GB,en;q=0.9", "en"),
        ("nl-NL,nl;q=0.9,en;q=0.8", "nl"),
        ("de,en;q=0.7,nl;q=0.3", "en"),
        ("de,fr", "nl"),
        ("en;q=0", "nl"),
        ("en;q=0.2, nl;q=0.1", "en"),
        ("nl;q=0.5, en;q=0.5", "nl"),
        ("EN-us", "en"),
        ("en;q=zzz", "nl"),
        ("en;q=٣", "nl"),  # a digit, but none of RFC 9110
        ("*", "nl"),
        (";;;,,,=", "nl"),
        ("x" * 100_000 + ",en", "nl"),
    ],
)
def test_the_language_that_is_preferred(accepted: str, language: str) -> None:
    assert preferred(accepted) == language


@given(st.text(max_size=200))
def test_any_header_gives_a_language(accepted: str) -> None:
    assert preferred(accepted) in ("nl", "en")


def test_the_start_leads_to_the_preferred_language() -> None:
    answer = ask("/", accept_language="en")
    assert (answer.status, answer.headers["location"], answer.headers["vary"]) == (302, "/en", "accept-language")
    assert ask("/").headers["location"] == "/nl"


def test_it_refreshes_unless_asked_not_to() -> None:
    assert ask("/nl").headers["refresh"] == "5"
    assert "refresh" not in ask("/nl?refresh=off").headers
    assert ask("/nl?refresh=1").headers["refresh"] == "5"
    assert ask("/nl").headers["content-language"] == "nl"


def test_pages_that_are_not_there_speak_the_readers_language() -> None:
    assert b"Deze pagina bestaat niet" in ask("/x", accept_language="nl").body
    assert b"There is no such page" in ask("/x", accept_language="en").body


def test_no_route_is_missing_from_the_table_of_screens() -> None:
    """Whatever is served is a screen of the table, a page of signing in, the overview, or a static file."""
    guarded: Any = application(Settings())
    app: Starlette = guarded._app
    served = {
        (method, route.path)
        for route in app.routes
        if isinstance(route, Route)
        for method in (route.methods or ())
        if method != "HEAD" and not route.path.startswith("/static/")
    }
    assert all(isinstance(route, Route) for route in app.routes), "no mount hides routes"
    known = {("GET", "/"), ("GET", "/enrol"), *(("GET", path) for path in recovering.LETTERS)}
    for language in LANGUAGES:
        known.add(("GET", f"/{language}"))
        open_ = (*signing.OPEN, *signing.OWN, *recovering.OPEN)
        known |= {(method, f"/{language}{path}") for method, path, _name in open_}
        known |= {(one.method, f"/{language}{one.path}") for one in SCREENS}
    assert served == known


def test_every_screen_has_an_act_and_every_page_of_the_menu_is_a_screen() -> None:
    assert all(one.act in ACTS for one in SCREENS)
    assert all(one.method in ("GET", "POST") for one in SCREENS)
    assert len({(one.method, one.path) for one in SCREENS}) == len(SCREENS)
    acts = {one.path: one.act for one in SCREENS if one.method == "GET"} | {"": "see-overview"}
    assert {path: act for act, path, _text in MENU} == {path: acts[path] for _act, path, _text in MENU}
