"""Signing in through the organisation's own OpenID Connect provider: out to it, and back. Without a script.

A form leads here and no further: the content security policy lets forms go to this site only. The page that answers it
goes on to the provider by itself, or by its link. On the way back the browser sends no cookie that is "strict", for
another site led it here; so the session begins with a page, from which it goes on as this site's own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from keten.core.errors import KetenError
from keten.keeper.provider_protocol import REDIRECT_PATH, ProviderAnswer
from keten.pages import asking
from keten.pages.forms import form_of, safe_next
from keten.pages.languages import preferred
from keten.pages.problems import problem, said
from keten.pages.rendering import render
from keten.pages.signing import routed, sign_in_page
from keten.pages.visits import Site, Visit, answered, frame_of, opened, visit_of
from keten.pages.words import LANGUAGES

OUT = "/sign-in/organisation"
MOST_PARAMETER = 4096
_ANSWERS = ("state", "code", "iss", "error")


def routes(site: Site) -> list[Route]:
    """The routes of this module; none where there is no provider."""
    if site.provider is None:
        return []
    return [Route(REDIRECT_PATH, _back(site), methods=["GET"]), *routed(site, "POST", OUT, go)]


async def go(site: Site, visit: Visit, request: Request) -> Response:
    """Somebody wants to sign in there: on to it, once the keeper has begun that."""
    form = await form_of(site, visit, request)
    wanted = safe_next(form.get("next", ""), site.start)
    # The provider leads back to an address without a language: the page where one wanted to go has it.
    begun = await asking.begin_provider(site, visit, visit.link(wanted))
    page = render("onward.html", visit.words, frame_of(visit, enter=False), url=begun.url, provider=site.provider)
    return onward(answered(site, visit, page), begun.url)


def _back(site: Site) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        language = preferred(request.headers.get("accept-language", ""))
        visit = visit_of(site, request, language, "/sign-in")
        try:
            return await back(site, visit, request)
        except KetenError as error:
            return problem(site, visit, error)

    return answer


async def back(site: Site, visit: Visit, request: Request) -> Response:
    """The provider led the browser back.

    1. Each parameter at most once (RFC 6749 §3.1), and of moderate length; others are passed over.
    2. The keeper verifies all of it, and opens a session or not.
    3. To where one wanted to go: a plain path of this site, whatever came back.
    """
    found = {name: request.query_params.getlist(name) for name in _ANSWERS}  # 1
    once = all(len(values) <= 1 and all(len(one) <= MOST_PARAMETER for one in values) for values in found.values())
    state, code, issuer, error = (found[name][0] if once and found[name] else "" for name in _ANSWERS)
    try:
        answer = ProviderAnswer(state, code, issuer, error, visit.address, visit.browser)
        begun = await asking.finish_provider(site, answer)  # 2
    except KetenError as refused:
        if refused.category != "denied":
            raise
        return answered(site, visit, await sign_in_page(site, visit, site.start, said(visit.words, refused)), 403)
    there = _destination(site, visit, begun.then)  # 3
    page = render("arrived.html", visit.words, frame_of(visit, enter=False), there=there)
    return onward(opened(site, answered(site, visit, page), begun.opened.session), there)


def _destination(site: Site, visit: Visit, then: str) -> str:
    """A page of this site with its language, from what the keeper kept meanwhile."""
    language, _, path = then.removeprefix("/").partition("/")
    if language not in LANGUAGES:
        return visit.link(site.start)
    return f"/{language}{safe_next(f'/{path}', site.start)}"


def onward(response: Response, url: str) -> Response:
    """The answer, from which the browser goes on by itself: a header, as checkers of accessibility want it."""
    response.headers["refresh"] = f"0; url={url}"
    return response
