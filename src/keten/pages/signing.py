"""Signing in with a passkey, enrolling one with a one-time link, and looking after one's own keys and sessions.

The keeper makes every challenge and verifies every answer; what is here shows its options to the browser and carries
the answer back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from keten.core.clock import wall_us
from keten.core.errors import KetenError
from keten.keeper.people_protocol import Authorised, Ceremony, SessionOpened
from keten.pages import asking
from keten.pages.forms import form_of, safe_next
from keten.pages.languages import preferred
from keten.pages.names import elsewhere
from keten.pages.problems import problem, said
from keten.pages.rendering import Frame, message, render
from keten.pages.visits import Site, Visit, answered, closed, frame_of, moved, opened, visit_of, zoned
from keten.pages.words import LANGUAGES

Handler = Callable[[Site, Visit, Request], Awaitable[Response]]

OPEN: tuple[tuple[str, str, str], ...] = (
    ("GET", "/sign-in", "show_sign_in"),
    ("POST", "/sign-in", "sign_in"),
    ("GET", "/enrol", "show_enrol"),
    ("POST", "/enrol", "enrol"),
    ("POST", "/enrol/key", "enrol_key"),
    ("POST", "/sign-out", "sign_out"),
)
"""Method, path, handler: for whoever it is."""
OWN: tuple[tuple[str, str, str], ...] = (
    ("GET", "/keys", "keys"),
    ("POST", "/keys/add", "add_key"),
    ("POST", "/keys/added", "key_added"),
    ("POST", "/keys/end", "end_key"),
    ("POST", "/sessions/end", "end_session"),
    ("POST", "/sessions/end-others", "end_others"),
)
"""The same for whoever is signed in; each is asked of the keeper with the site's own act."""


def routes(site: Site) -> list[Route]:
    """The routes of this module, in every language; one-time links are for any, and lead to the reader's."""
    found: list[Route] = [Route("/enrol", in_language("/enrol"), methods=["GET"])]
    for method, path, name in (*OPEN, *OWN):
        found += routed(site, method, path, globals()[name])
    return found


def routed(site: Site, method: str, path: str, handler: Handler) -> list[Route]:
    """One handler in every language; what it raises becomes a page. path: below the language, as Starlette has it."""
    return [Route(f"/{one}{path}", _endpoint(site, one, handler), methods=[method]) for one in LANGUAGES]


def in_language(path: str) -> Callable[[Request], Awaitable[Response]]:
    """To a page in the language that the browser's reader prefers. path: below the language."""

    async def answer(request: Request) -> Response:
        language = preferred(request.headers.get("accept-language", ""))
        return Response(status_code=302, headers={"location": f"/{language}{path}", "vary": "accept-language"})

    return answer


def _endpoint(site: Site, language: str, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        path = request.url.path.removeprefix(f"/{language}")
        visit = visit_of(site, request, language, path)
        try:
            led = elsewhere(site, visit, request)
            if led is not None:
                return led
            return await handler(site, visit, request)
        except KetenError as error:
            return problem(site, visit, error)

    return answer


def frame(site: Site, visit: Visit, found: Authorised) -> Frame:
    """What is around a page for whoever is signed in: the menu holds what that person may do."""
    return Frame(
        language=visit.language,
        path=visit.path,
        menu=site.menu(visit.words, found.person.acts),
        person=found.person.name,
        organisation=found.person.organisation,
        token=visit.token,
    )


def ceremony_values(ceremony: Ceremony) -> dict[str, Any]:
    """What the form of a ceremony shows. lasts: milliseconds that the browser may take."""
    lasts = max(ceremony.expires_us - wall_us(), 0) // 1000
    return {"ceremony": ceremony.id, "options": ceremony.options, "lasts": lasts}


# ---- for whoever it is ---------------------------------------------------------------------------------------------


async def show_sign_in(site: Site, visit: Visit, request: Request) -> Response:
    """Where one signs in."""
    wanted = safe_next(request.query_params.get("next", ""), site.start)
    return answered(site, visit, await sign_in_page(site, visit, wanted))


async def sign_in_page(site: Site, visit: Visit, wanted: str, failed: str = "") -> bytes:
    """The page on which one signs in, by each way that there is here. failed: what went wrong, to a reader."""
    ceremony = ceremony_values(await asking.begin_sign_in(site, visit)) if site.passkeys else None
    ways: dict[str, Any] = {"passkey": ceremony, "provider": site.provider}
    return render("sign-in.html", visit.words, frame_of(visit, enter=False), **ways, next=wanted, failed=failed)


async def sign_in(site: Site, visit: Visit, request: Request) -> Response:
    """The browser's passkey answered: open a session, or say why not and begin again."""
    form = await form_of(site, visit, request)
    wanted = safe_next(form.get("next", ""), site.start)
    try:
        session = await asking.finish_sign_in(site, asking.finished(visit, form))
    except KetenError as error:
        if error.category not in ("denied", "invalid", "not-found"):
            raise
        return answered(site, visit, await sign_in_page(site, visit, wanted, said(visit.words, error)), 403)
    return begun(site, visit, session, wanted, form)


async def show_enrol(site: Site, visit: Visit, _request: Request) -> Response:
    """Where a one-time link leads: its secret is behind the '#', and the script puts it into the form."""
    return answered(site, visit, render("link.html", visit.words, frame_of(visit, enter=False)))


async def enrol(site: Site, visit: Visit, request: Request) -> Response:
    """A one-time link's secret: for whom it is, and the ceremony that makes the passkey."""
    form = await form_of(site, visit, request)
    found = await asking.begin_enrolment(site, visit, form.get("secret", "").strip())
    values = ceremony_values(found.ceremony) | {"name": found.name, "organisation": found.organisation}
    body = render("enrol.html", visit.words, frame_of(visit, enter=False), action="/enrol/key", **values)
    return answered(site, visit, body)


async def enrol_key(site: Site, visit: Visit, request: Request) -> Response:
    """The passkey was made: whoever made it is signed in."""
    form = await form_of(site, visit, request)
    session = await asking.finish_enrolment(site, asking.finished(visit, form))
    return begun(site, visit, session, site.start, form)


def begun(site: Site, visit: Visit, session: SessionOpened, path: str, form: dict[str, str]) -> Response:
    """Signed in: the cookies, and on to where the person wanted to go."""
    response = opened(site, moved(site, visit, path), session.session)
    return zoned(site, response, form.get("zone", ""))


async def sign_out(site: Site, visit: Visit, request: Request) -> Response:
    """End this session. The cookie goes whatever the keeper says, and it is said when it could not be ended there."""
    await form_of(site, visit, request)
    words = visit.words
    heading, text = words.gettext("You are signed out"), words.gettext("Close the browser if others use it too.")
    status = 200
    try:
        await asking.sign_out(site, visit)
    except KetenError as error:
        if error.category != "denied":  # a session that is over already is what was wanted
            heading = words.gettext("You are signed out in this browser only")
            text, status = said(words, error), 503
    body = message(words, frame_of(visit), heading, text)
    return closed(site, answered(site, visit, body, status))


# ---- for whoever is signed in --------------------------------------------------------------------------------------


async def keys(site: Site, visit: Visit, _request: Request) -> Response:
    """One's own passkeys and sessions."""
    found = await asking.authorise(site, visit, site.act)
    own = await asking.own(site, visit)
    return answered(site, visit, render("keys.html", visit.words, frame(site, visit, found), own=own))


async def add_key(site: Site, visit: Visit, request: Request) -> Response:
    """Begin one more passkey."""
    await form_of(site, visit, request)
    found = await asking.authorise(site, visit, site.act)
    values = ceremony_values(await asking.begin_key(site, visit))
    return answered(site, visit, render("add-key.html", visit.words, frame(site, visit, found), **values))


async def key_added(site: Site, visit: Visit, request: Request) -> Response:
    """One more passkey was made."""
    form = await form_of(site, visit, request)
    await asking.authorise(site, visit, site.act)
    await asking.finish_key(site, asking.finished(visit, form))
    return moved(site, visit, "/keys")


async def end_key(site: Site, visit: Visit, request: Request) -> Response:
    """End a passkey of one's own."""
    form = await form_of(site, visit, request)
    await asking.authorise(site, visit, site.act)
    await asking.end_key(site, visit, form.get("key", ""))
    return moved(site, visit, "/keys")


async def end_session(site: Site, visit: Visit, request: Request) -> Response:
    """End another session of one's own."""
    form = await form_of(site, visit, request)
    await asking.authorise(site, visit, site.act)
    await asking.sign_out(site, visit, form.get("session", ""))
    return moved(site, visit, "/keys")


async def end_others(site: Site, visit: Visit, request: Request) -> Response:
    """End every session of one's own but this one."""
    await form_of(site, visit, request)
    await asking.authorise(site, visit, site.act)
    await asking.sign_out(site, visit, others=True)
    return moved(site, visit, "/keys")
