"""Who is at the browser: its session, what tells it from another browser, and the token that its forms carry.

Nothing of this is kept here. The session's secret is in a cookie that no script can read, and goes to the keeper with
every request. Beside it each browser has a random mark of its own, from its first visit on: together with how the
browser calls itself it is what a session is bound to.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Callable
from typing import Literal, Protocol, TypeVar
from urllib.parse import urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from keten.keeper.people_protocol import PersonProof
from keten.pages import zones
from keten.pages.rendering import Frame, Link
from keten.pages.words import Words

T = TypeVar("T")
MARK_SECONDS = 400 * 86_400  # the longest that browsers keep a cookie (RFC 6265bis §5.5)
_VALUE = re.compile(r"[A-Za-z0-9_-]{16,128}\Z")


class Keeper(Protocol):
    """A way to the keeper's verbs about people. Raises `KetenError` as the keeper did, `Unavailable` without it."""

    async def call(self, verb: str, body: msgspec.Struct, answer: type[T]) -> T:
        """Say one verb and wait for its answer."""


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """The screens of one face.

    room: of its templates and texts. origin: what browsers call it, `https://host[:port]`. act: of `identity/roles.py`,
    that everybody who signs in here may do: look after his own keys. start: where one is after signing in, below the
    language. menu: the pages of somebody who may do these acts. address: where a request came from. named: whether
    `origin` is a name that was given to it, and not merely this machine. behind_proxy: whether the Host header is what
    a proxy makes of it, and not what the browser asked for. passkeys: whether one signs in here with a passkey.
    provider: what the organisation's own sign-in service is called here ("": it has no name); None: there is none.
    """

    room: str
    origin: str
    keeper: Keeper
    act: str
    menu: Callable[[Words, tuple[str, ...]], tuple[Link, ...]]
    address: Callable[[Request], str]
    start: str = ""
    named: bool = True
    behind_proxy: bool = False
    passkeys: bool = True
    provider: str | None = None

    @property
    def https(self) -> bool:
        """Whether browsers come by HTTPS."""
        return self.origin.startswith("https:")

    def cookie(self, name: str) -> str:
        """The name of a cookie. `__Host-`: this host's alone, and only by HTTPS (RFC 6265bis §4.1.3.2).

        The port is in it where there is one: two faces may be of one host, whose cookies browsers keep together.
        """
        port = urlsplit(self.origin).port
        full = f"keten-{port}-{name}" if port else f"keten-{name}"
        return f"__Host-{full}" if self.https else full


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """One request of one browser. session: "" for nobody's. mark: the browser's own; new: it has just been given one.

    browser: the digest by which the keeper knows the browser. token: what its forms must carry.
    """

    language: str
    words: Words
    path: str
    session: str
    mark: str
    new: bool
    browser: str
    token: str
    address: str

    @property
    def proof(self) -> PersonProof:
        """What the keeper is shown."""
        return PersonProof(self.session, self.browser)

    def link(self, path: str) -> str:
        """The address of a page of this site, in this language."""
        return f"/{self.language}{path}"


def visit_of(site: Site, request: Request, language: str, path: str, zone: str = "") -> Visit:
    """The visit that a request is. path: of the page, below its language. zone: of its moments; "": the reader's own.

    A cookie that can't be ours is none.
    """
    session = _cookie(request, site.cookie("session"))
    known = _cookie(request, site.cookie("browser"))
    mark = known or secrets.token_urlsafe(16)
    agent = request.headers.get("user-agent", "")
    own = zones.known(request.cookies.get(site.cookie("zone"), ""))
    return Visit(
        language=language,
        words=Words(language, zone or own or zones.UNKNOWN, site.room),
        path=path,
        session=session,
        mark=mark,
        new=not known,
        browser=browser_of(mark, agent),
        token=base64.urlsafe_b64encode(_digest("keten form", mark, session)).decode().rstrip("="),
        address=site.address(request),
    )


def browser_of(mark: str, agent: str) -> str:
    """The digest by which the keeper knows a browser. agent: how it calls itself."""
    return _digest("keten browser", mark, agent).hex()


def frame_of(visit: Visit, *, enter: bool = True) -> Frame:
    """What is around a page for somebody who is not signed in."""
    return Frame(language=visit.language, path=visit.path, token=visit.token, enter=enter)


def answered(site: Site, visit: Visit, body: bytes, status: int = 200) -> Response:
    """A page; the browser is given its mark when it had none."""
    headers = {"content-language": visit.language}
    response = Response(body, status, headers, "text/html; charset=utf-8")
    return marked(site, visit, response)


def moved(site: Site, visit: Visit, path: str) -> Response:
    """To another page of this site, after a form was handled (303: by GET). path: below the language."""
    return marked(site, visit, Response(status_code=303, headers={"location": visit.link(path)}))


def marked(site: Site, visit: Visit, response: Response) -> Response:
    """The answer, with the browser's mark where it had none.

    The mark comes along when a link elsewhere leads here ("lax"), or each such link would make the browser another one.
    """
    if visit.new:
        _set(site, response, "browser", visit.mark, MARK_SECONDS, "lax")
    return response


def opened(site: Site, response: Response, session: str) -> Response:
    """The answer, with a session's secret in its cookie: until the browser is closed, for the keeper ends it anyway."""
    _set(site, response, "session", session, None)
    return response


def zoned(site: Site, response: Response, zone: str) -> Response:
    """The answer, with the reader's time zone, where the browser said one that is known."""
    if zones.known(zone):
        _set(site, response, "zone", zone, MARK_SECONDS, "lax")
    return response


def closed(site: Site, response: Response) -> Response:
    """The answer, with the session's cookie taken away."""
    _set(site, response, "session", "", 0)
    return response


def _set(
    site: Site,
    response: Response,
    name: str,
    value: str,
    seconds: int | None,
    sent: Literal["lax", "strict"] = "strict",
) -> None:
    response.set_cookie(
        site.cookie(name), value, max_age=seconds, path="/", secure=site.https, httponly=True, samesite=sent
    )


def _cookie(request: Request, name: str) -> str:
    value = request.cookies.get(name, "")
    return value if _VALUE.match(value) else ""


def _digest(*parts: str) -> bytes:
    """SHA-256 over parts, each with its length before it, so that no two lists of parts give the same bytes."""
    made = hashlib.sha256()
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        made.update(len(raw).to_bytes(4, "big") + raw)
    return made.digest()
