"""Recoveries at the portal: a contact looks at those of its own supplier, and approves."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from keten.keeper.people_protocol import Authorised
from keten.pages import recoveries
from keten.pages.forms import form_of
from keten.pages.visits import Site, Visit


async def show(site: Site, visit: Visit, found: Authorised, _request: Request) -> Response:
    """Those that are pending or ended lately."""
    return await recoveries.show(site, visit, found)


async def ask(site: Site, visit: Visit, found: Authorised, request: Request) -> Response:
    """What approving will do, to be confirmed."""
    await form_of(site, visit, request)
    return await recoveries.ask(site, visit, found, str(request.path_params["case"]))


async def approve(site: Site, visit: Visit, _found: Authorised, request: Request) -> Response:
    """Confirmed."""
    form = await form_of(site, visit, request)
    return await recoveries.approve(site, visit, str(request.path_params["case"]), form)
