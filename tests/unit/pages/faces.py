"""A site with the sign-in pages of every face, a browser that keeps cookies, and a keeper that says what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http.cookies import SimpleCookie
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec
from starlette.applications import Starlette
from starlette.types import ASGIApp, Message

from keten.core.clock import wall_us
from keten.core.errors import Denied, KetenError
from keten.keeper.people_protocol import (
    Authorised,
    Ceremony,
    Done,
    Enrolment,
    KeyLine,
    Own,
    PersonView,
    SessionLine,
    SessionOpened,
)
from keten.pages.guard import Guard
from keten.pages.rendering import Link
from keten.pages.signing import routes
from keten.pages.visits import Site
from keten.pages.words import Words

T = TypeVar("T")
ORIGIN = "https://console.gemeente.example"
ROLES, ACTS = ("auditor",), ("see-overview", "own-keys")
SECRET = "s" * 26
HOSTILE = "<script>alert(1)</script>\"'&amp; \u202eevil\u2066 👩🏽‍💻 " + "x" * 10_000


class Told:
    """The keeper as these pages know it: answers what the test put in, keeps what was asked."""

    def __init__(self, name: str = "dpo") -> None:
        self.asked: list[tuple[str, Any]] = []
        self.person = PersonView(
            "p" * 26, name, "", "", "Gemeente Voorbeeld", ("auditor",), ("see-overview", "own-keys")
        )
        self.refuses: dict[str, KetenError] = {}
        self.sessions = 1

    async def call(self, verb: str, body: msgspec.Struct, answer: type[T]) -> T:
        """One verb. Raises what the test said; "session-ended" for whoever shows no session."""
        self.asked.append((verb, body))
        if verb in self.refuses:
            raise self.refuses[verb]
        if getattr(getattr(body, "proof", None), "session", SECRET) != SECRET:
            raise Denied("session-ended", "You are not signed in.")
        ceremony = Ceremony("c" * 26, '{"challenge": "AA"}', wall_us() + 300_000_000)
        line = SessionLine("l" * 26, 1_790_000_000_000_000, 1_790_000_000_000_000, "192.0.2.0/24", True)
        keys = tuple(KeyLine(one * 26, self.person.name, 1_790_000_000_000_000, 0, False) for one in "ab")
        found: dict[type, object] = {
            Ceremony: ceremony,
            Enrolment: Enrolment(self.person.name, "Gemeente Voorbeeld", ceremony),
            SessionOpened: SessionOpened(SECRET, wall_us() + 3_600_000_000, self.person),
            Authorised: Authorised(self.person, wall_us() + 900_000_000, wall_us() + 3_600_000_000),
            Own: Own(keys, (line, *(msgspec.structs.replace(line, this=False) for _ in range(1, self.sessions)))),
            Done: Done(),
        }
        return found[answer]  # type: ignore[return-value]  # by its own type

    def verbs(self) -> list[str]:
        """What was asked."""
        return [verb for verb, _body in self.asked]


def menu(words: Words, acts: tuple[str, ...]) -> tuple[Link, ...]:
    """The pages of somebody who may do these acts."""
    return (Link("", words.gettext("Pages")),) if "see-overview" in acts else ()


def site(keeper: Told, origin: str = ORIGIN) -> Site:
    """A face."""
    return Site(room="pages", origin=origin, keeper=keeper, act="own-keys", menu=menu, address=lambda _: "192.0.2.1")


class Answer(msgspec.Struct):
    """One answer."""

    status_code: int
    headers: dict[str, str]
    text: str


class Browser:
    """Keeps the cookies that it is given, and sends them."""

    def __init__(self, app: ASGIApp, origin: str) -> None:
        self._app: Callable[..., Awaitable[None]] = app
        self._host = origin.partition("://")[2]
        self.cookies: dict[str, str] = {}

    def get(self, path: str, headers: dict[str, str] | None = None) -> Answer:
        """A page."""
        return self.ask("GET", path, b"", headers or {})

    def send(self, path: str, fields: dict[str, str], headers: dict[str, str]) -> Answer:
        """A form."""
        kind = {"content-type": "application/x-www-form-urlencoded"}
        return self.ask("POST", path, urlencode(fields).encode(), kind | headers)

    def ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        """Any request."""
        pure, _, query = path.partition("?")
        kept = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sent = {"host": self._host, "cookie": kept} | headers
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": pure,
            "raw_path": pure.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
            "client": ("192.0.2.1", 1),
            "server": ("192.0.2.2", 443),
        }
        parts: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def answer(part: Message) -> None:
            parts.append(part)

        asyncio.run(self._app(scope, receive, answer))  # type: ignore[arg-type]  # an Awaitable that is a coroutine
        found = [(name.decode().lower(), value.decode()) for name, value in parts[0]["headers"]]
        for name, value in found:
            if name == "set-cookie":
                for one in SimpleCookie(value).values():
                    self.cookies[one.key] = one.value
                    if one["max-age"] == "0":
                        del self.cookies[one.key]
        text = b"".join(part.get("body", b"") for part in parts[1:]).decode()
        return Answer(parts[0]["status"], dict(found), text)


def browser(keeper: Told, origin: str = ORIGIN) -> Browser:
    """A browser at a face."""
    made = site(keeper, origin)
    host = origin.partition("://")[2].partition(":")[0]
    return Browser(Guard(Starlette(routes=routes(made)), frozenset([host]), https=made.https), origin)
