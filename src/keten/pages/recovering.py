"""Getting back in without a passkey, for whoever it is: what to do, the code's two parts, and "this is not me".

None of these pages says who there is: what somebody types in is a secret of 128 bits or it is nothing.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from keten.core.errors import KetenError
from keten.pages import asking
from keten.pages.forms import form_of
from keten.pages.rendering import message, render
from keten.pages.signing import begun, ceremony_values, in_language, routed
from keten.pages.visits import Site, Visit, answered, frame_of

OPEN: tuple[tuple[str, str, str], ...] = (
    ("GET", "/lost", "show_lost"),
    ("GET", "/recover", "show_recover"),
    ("POST", "/recover", "recover"),
    ("POST", "/recover/key", "recover_key"),
    ("GET", "/stop/{token}", "show_stop"),
    ("POST", "/stop/{token}", "stop"),
)
"""Method, path, handler: for whoever it is."""
LETTERS = ("/recover", "/stop/{token}")
"""Where letters lead, in no language."""
_NOTHING = "link-invalid"
PART = 26
"""Characters of a part, as of every one-time secret."""


def routes(site: Site) -> list[Route]:
    """The routes of this module, in every language; those in letters are for any, and lead to the reader's."""
    found = [
        Route("/recover", in_language("/recover"), methods=["GET"]),
        Route("/stop/{token}", _to_stop, methods=["GET"]),
    ]
    for method, path, name in OPEN:
        found += routed(site, method, path, globals()[name])
    return found


async def _to_stop(request: Request) -> Response:
    token = str(request.path_params["token"])
    return await in_language(f"/stop/{token}" if _is_token(token) else "/lost")(request)


def _is_token(text: str) -> bool:
    """Whether it has the letters of a one-time secret: nothing else goes into an address."""
    return len(text) == PART and text.isascii() and text.isalnum()


async def show_lost(site: Site, visit: Visit, _request: Request) -> Response:
    """What to do without a passkey. There is nothing to fill in."""
    return answered(site, visit, render("lost.html", visit.words, frame_of(visit)))


async def show_recover(site: Site, visit: Visit, _request: Request) -> Response:
    """Where the two parts of a code are typed in."""
    return answered(site, visit, _recover_page(visit))


def _recover_page(visit: Visit, *, failed: bool = False) -> bytes:
    return render("recover.html", visit.words, frame_of(visit, enter=False), failed=failed)


async def recover(site: Site, visit: Visit, request: Request) -> Response:
    """The two parts: for whom they are, and the ceremony that makes the passkey."""
    form = await form_of(site, visit, request)
    parts = (_typed(form.get("first", "")), _typed(form.get("second", "")))
    try:
        found = await asking.begin_recovery(site, visit, parts)
    except KetenError as error:
        if error.code != _NOTHING:
            raise
        return answered(site, visit, _recover_page(visit, failed=True), 403)
    values = ceremony_values(found.ceremony) | {"name": found.name, "organisation": found.organisation}
    body = render("enrol.html", visit.words, frame_of(visit, enter=False), action="/recover/key", **values)
    return answered(site, visit, body)


def _typed(text: str) -> str:
    """A part as somebody typed it: spaces do not count, nor how large its letters are."""
    return "".join(text.split()).lower()[: 2 * PART]


async def recover_key(site: Site, visit: Visit, request: Request) -> Response:
    """The passkey was made: whoever made it is signed in, and may do less for a while."""
    form = await form_of(site, visit, request)
    session = await asking.finish_recovery(site, asking.finished(visit, form))
    return begun(site, visit, session, site.start, form)


async def show_stop(site: Site, visit: Visit, request: Request) -> Response:
    """Where a letter's link leads: one button. Looking at it stops nothing, for programs that read mail look too."""
    token = str(request.path_params["token"])
    values = {"secret": token if _is_token(token) else ""}
    return answered(site, visit, render("stop.html", visit.words, frame_of(visit, enter=False), **values))


async def stop(site: Site, visit: Visit, request: Request) -> Response:
    """The button was pressed: the recovery is over, and what it gave is taken back."""
    await form_of(site, visit, request)
    words = visit.words
    try:
        await asking.stop_recovery(site, visit, str(request.path_params["token"]))
    except KetenError as error:
        if error.code != _NOTHING:
            raise
        heading, text = (
            words.gettext("Nothing was stopped"),
            words.gettext(
                "There is nothing that this link stops: it was used before, or what it was about is over."
            ),
        )
        return answered(site, visit, message(words, frame_of(visit), heading, text), 403)
    heading = words.gettext("It is stopped")
    text = words.gettext(
        "This recovery is over for good, and nobody gets in with it; a passkey that was made with it does not work "
        "any more. Tell the organisation what happened, at a number that you knew already: somebody tried to get in "
        "as you."
    )
    return answered(site, visit, message(words, frame_of(visit), heading, text))
