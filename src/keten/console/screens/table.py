"""Every screen of the console but the overview: what it is asked with, and the act that it takes (deny by default)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from keten.console.page import ROOM
from keten.console.readings.desk import Desk
from keten.console.screens import (
    alerts,
    budgets,
    datasets,
    decision,
    ending,
    estate,
    ledger,
    people,
    proposals,
    proposing,
    recovery,
    rights,
    settings,
    suppliers,
)
from keten.console.screens.turn import Turn
from keten.keeper.people_protocol import Authorised
from keten.pages.forms import form_of
from keten.pages.seen import Line, screens
from keten.pages.seen import Screen as Shown
from keten.pages.visits import Site, Visit
from keten.pages.words import Words

Show = Callable[[Turn], Awaitable[Response]]
"""How a screen answers. A POST tells the keeper something, which looks at the act of what it is told once more."""

Screen = Line[Show]

SCREENS: tuple[Screen, ...] = (
    Screen("GET", "/suppliers", "see-suppliers", suppliers.several),
    Screen("GET", "/suppliers/{id}", "see-suppliers", suppliers.one),
    Screen("GET", "/suppliers/{id}/end", "end-access", ending.ask),
    Screen("POST", "/suppliers/{id}/end", "end-access", ending.confirm),
    Screen("POST", "/suppliers/{id}/end/done", "end-access", ending.done),
    Screen("GET", "/datasets", "see-datasets", datasets.several),
    Screen("GET", "/datasets/{id}", "see-datasets", datasets.one),
    Screen("GET", "/datasets/{id}/destroy", "ask-destruction", proposing.ask),
    Screen("POST", "/datasets/{id}/destroy", "ask-destruction", proposing.confirm),
    Screen("POST", "/datasets/{id}/destroy/done", "ask-destruction", proposing.done),
    Screen("GET", "/proposals", "see-proposals", proposals.several),
    Screen("GET", "/proposals/{id}", "see-proposals", proposals.one),
    Screen("POST", "/proposals/{id}", "see-proposals", proposals.answer),
    Screen("POST", "/proposals/{id}/done", "see-proposals", proposals.signed),
    Screen("GET", "/people", "see-people", people.several),
    Screen("GET", "/people/roles", "see-people", people.roles),
    Screen("GET", "/people/{id}", "see-people", people.one),
    Screen("POST", "/people/{id}/invite", "invite-staff", people.invite),
    Screen("POST", "/people/{id}/invite/done", "invite-staff", people.invited),
    Screen("POST", "/people/{id}/sign-out", "end-sessions", people.sign_out),
    Screen("POST", "/people/{id}/sign-out/done", "end-sessions", people.signed_out),
    Screen("GET", "/people/{id}/erase", "ask-erasure", proposing.ask),
    Screen("POST", "/people/{id}/erase", "ask-erasure", proposing.confirm),
    Screen("POST", "/people/{id}/erase/done", "ask-erasure", proposing.done),
    Screen("GET", "/people/{id}/end", "end-person", ending.ask),
    Screen("POST", "/people/{id}/end", "end-person", ending.confirm),
    Screen("POST", "/people/{id}/end/done", "end-person", ending.done),
    Screen("POST", "/access/person/{id}/invite", "invite-contact", people.invite),
    Screen("POST", "/access/person/{id}/invite/done", "invite-contact", people.invited),
    Screen("POST", "/people/{id}/recovery", "open-recovery", recovery.open_),
    Screen("POST", "/people/{id}/recovery/opened", "open-recovery", recovery.opened),
    Screen("GET", "/recoveries", "see-recoveries", recovery.several),
    Screen("POST", "/recoveries/{id}/approve", "approve-recovery", recovery.ask),
    Screen("POST", "/recoveries/{id}/approved", "approve-recovery", recovery.approve),
    Screen("POST", "/recoveries/{id}/approve-staff", "approve-staff-recovery", recovery.ask),
    Screen("POST", "/recoveries/{id}/approved-staff", "approve-staff-recovery", recovery.approve),
    Screen("GET", "/ledger", "see-ledger", ledger.several),
    Screen("GET", "/ledger/custody", "see-ledger", ledger.custody),
    Screen("GET", "/ledger/id/{id}", "prove-entry", ledger.by_id),
    Screen("GET", "/ledger/{index}", "see-ledger", ledger.one),
    Screen("GET", "/ledger/{index}/proof", "prove-entry", ledger.proof),
    Screen("GET", "/decision", "explain-decision", decision.ask),
    Screen("GET", "/decision/{index}", "explain-decision", decision.replay),
    Screen("GET", "/alerts", "see-alerts", alerts.several),
    Screen("GET", "/alerts/{id}", "see-alerts", alerts.one),
    Screen("POST", "/alerts/{id}", "handle-alerts", alerts.handle),
    Screen("POST", "/alerts/{id}/done", "lift-restraint", alerts.handled),
    Screen("GET", "/budgets", "see-alerts", budgets.several),
    Screen("GET", "/requests", "answer-requests", alerts.asked),
    Screen("GET", "/requests/{id}", "answer-requests", alerts.request),
    Screen("POST", "/requests/{id}", "answer-requests", alerts.answer),
    Screen("POST", "/requests/{id}/done", "answer-requests", alerts.answered),
    Screen("GET", "/rights", "see-unconfirmed", rights.several),
    Screen("POST", "/rights/grants", "confirm-grants", rights.confirm_grants),
    Screen("POST", "/rights/grants/done", "confirm-grants", rights.grants_confirmed),
    Screen("POST", "/rights/persons", "confirm-contacts", rights.confirm_people),
    Screen("POST", "/rights/persons/done", "confirm-contacts", rights.people_confirmed),
    Screen("GET", "/rights/{id}/end", "confirm-grants", ending.ask),
    Screen("POST", "/rights/{id}/end", "confirm-grants", ending.confirm),
    Screen("POST", "/rights/{id}/end/done", "confirm-grants", ending.done),
    Screen("GET", "/estate", "apply-estate", estate.show),
    Screen("POST", "/estate", "apply-estate", estate.plan, most=estate.MOST_FORM, files=True),
    Screen("POST", "/estate/confirm", "apply-estate", estate.confirm, most=estate.MOST_FORM),
    Screen("POST", "/estate/done", "apply-estate", estate.done, most=estate.MOST_FORM),
    Screen("GET", "/estate/present", "apply-estate", estate.present),
    Screen("GET", "/settings", "see-settings", settings.show),
    Screen("GET", "/access/{kind}/{id}/end", "end-access", ending.ask),
    Screen("POST", "/access/{kind}/{id}/end", "end-access", ending.confirm),
    Screen("POST", "/access/{kind}/{id}/end/done", "end-access", ending.done),
)
"""In the order in which they are tried."""


def routes(site: Site, desk: Desk) -> list[Route]:
    """The routes of all screens, in every language."""
    return screens(site, SCREENS, lambda one: _shown(one, desk))


def _shown(one: Screen, desk: Desk) -> Shown:
    """A screen as pages have it. Of a POST nothing is looked at before it is certain where it came from."""

    async def answer(site: Site, visit: Visit, found: Authorised, request: Request) -> Response:
        form = await form_of(site, visit, request, one.most, files=one.files) if one.method == "POST" else {}
        zoned = await _zoned(desk, visit)
        return await one.handler(Turn(desk=desk, site=site, visit=zoned, found=found, request=request, form=form))

    return answer


async def _zoned(desk: Desk, visit: Visit) -> Visit:
    """The visit with moments in the organisation's zone."""
    zone = await run_in_threadpool(desk.zone)
    return msgspec.structs.replace(visit, words=Words(visit.language, zone, ROOM))
