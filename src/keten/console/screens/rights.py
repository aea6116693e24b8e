"""Rights that have to be confirmed before long, and those that nobody confirmed in time: confirm them, or end them."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from keten.console.readings.desk import Reading
from keten.console.screens.turn import Turn
from keten.core.clock import from_rfc3339
from keten.core.errors import Invalid
from keten.core.ids import is_id
from keten.keeper.rights_protocol import (
    MOST_CONFIRMED,
    AskUnconfirmed,
    ConfirmGrants,
    ConfirmRoles,
    RightsConfirmed,
    Unconfirmed,
    Unconfirmeds,
)
from keten.pages.stepping import Act
from keten.pages.words import N_
from keten.suppliers.model import Organisation

PAGE = "/rights"
GRANT, PERSON = "grant", "person"
VERBS = {GRANT: "rights.confirm_grants", PERSON: "rights.confirm_roles"}
HEADINGS = {
    GRANT: N_("Confirm that these grants are still needed"),
    PERSON: N_("Confirm that these people still need their roles"),
}


class Line(msgspec.Struct, frozen=True):
    """A right that waits. may: whether this person may confirm it. Microseconds UTC; used_us 0: never."""

    info: Unconfirmed
    until_us: int
    used_us: int
    may: bool


async def several(turn: Turn) -> Response:
    """What waits, the nearest first."""
    return await _page(turn, await _found(turn), "")


async def confirm_grants(turn: Turn) -> Response:
    """Which grants are chosen: a passkey confirms exactly those."""
    return await _confirm(turn, GRANT)


async def confirm_people(turn: Turn) -> Response:
    """Whose roles are chosen: a passkey confirms exactly those."""
    return await _confirm(turn, PERSON)


async def grants_confirmed(turn: Turn) -> Response:
    """The grants are confirmed."""
    return await _done(turn, GRANT)


async def people_confirmed(turn: Turn) -> Response:
    """The roles are confirmed."""
    return await _done(turn, PERSON)


async def _found(turn: Turn) -> Unconfirmeds:
    return await turn.do("rights.unconfirmed", AskUnconfirmed(turn.owner("see-unconfirmed")), Unconfirmeds)


async def _confirm(turn: Turn, kind: str) -> Response:
    """Nothing chosen: said on the page. Else what is chosen is spelled out, by name."""
    found = await _found(turn)
    chosen = [one for one in found.rights if one.kind == kind and f"right-{one.id}" in turn.form][:MOST_CONFIRMED]
    words = turn.words
    if not chosen:
        return await _page(turn, found, words.gettext("Choose what you confirm: tick it in the list."), status=400)
    body = _body(kind, tuple(one.id for one in chosen))
    act = Act(
        heading=words.gettext(HEADINGS[kind]),
        effects=tuple(_effect(turn, one) for one in chosen),
        button=words.gettext("Confirm"),
        action=f"{turn.visit.path}/done",
        back=PAGE,
        fields={"ids": " ".join(one.id for one in chosen)},
    )
    return await turn.confirm(VERBS[kind], body, act)


async def _done(turn: Turn, kind: str) -> Response:
    ids = tuple(turn.form.get("ids", "").split())
    if not ids or len(ids) > MOST_CONFIRMED or not all(map(is_id, ids)):
        raise Invalid("form", "This form cannot be read.")
    await turn.do(VERBS[kind], _body(kind, ids), RightsConfirmed, turn.finished)
    return turn.moved(PAGE)


def _body(kind: str, ids: tuple[str, ...]) -> ConfirmGrants | ConfirmRoles:
    return ConfirmGrants(ids) if kind == GRANT else ConfirmRoles(ids)


def _effect(turn: Turn, one: Unconfirmed) -> str:
    """What confirming it does, in a sentence."""
    words = turn.words
    days = words.ngettext("%(count)s day more", "%(count)s days more", one.every_days) % {
        "count": words.number(one.every_days)
    }
    if one.kind == GRANT:
        said = words.gettext("%(supplier)s may use %(dataset)s for %(purpose)s, %(days)s from now (%(name)s).")
        return said % {
            "supplier": one.supplier,
            "dataset": one.dataset,
            "purpose": one.purpose,
            "days": days,
            "name": one.name,
        }
    return words.gettext("%(name)s keeps its roles, %(days)s from now.") % {"name": one.name, "days": days}


async def _page(turn: Turn, found: Unconfirmeds, wrong: str, status: int = 200) -> Response:
    lines = [_line(turn, one) for one in found.rights]
    grants = [one for one in lines if one.info.kind == GRANT]
    people = [one for one in lines if one.info.kind == PERSON]
    return turn.page(
        "rights.html",
        status=status,
        asked=await turn.read(_asked),
        lists=[(GRANT, grants), (PERSON, people)],
        cut=found.cut,
        broken=found.broken,
        own=bool(turn.owner("see-unconfirmed")),
        wrong=wrong,
    )


def _asked(reading: Reading) -> dict[str, bool]:
    """Whether the organisation wants grants, and roles, confirmed at all. A dataset may want it for itself."""
    found = next(reading.rows.all(Organisation), None)
    return {
        GRANT: found is not None and bool(found.confirm_grants_days),
        PERSON: found is not None and bool(found.confirm_roles_days),
    }


def _line(turn: Turn, one: Unconfirmed) -> Line:
    if one.kind == GRANT:
        may = turn.may("confirm-grants") and (one.by == turn.found.person.name or not turn.owner("confirm-grants"))
    else:
        may = turn.may("confirm-contacts" if one.supplier else "confirm-roles") and one.id != turn.found.person.id
    return Line(one, from_rfc3339(one.until), from_rfc3339(one.used) if one.used else 0, may)
