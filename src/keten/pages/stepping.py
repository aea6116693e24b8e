"""A fresh assertion before a dangerous act: what it will do is spelled out, and the passkey signs for exactly that."""

from __future__ import annotations

import msgspec

from keten.keeper.people_protocol import Authorised
from keten.pages import asking
from keten.pages.rendering import render
from keten.pages.signing import ceremony_values, frame
from keten.pages.visits import Site, Visit


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """A dangerous act, in words. effects: what it will do, one by one. button: what the button says.

    action: where the form goes, and back: where one goes instead; below the language. fields: what the form carries on,
    from which the very same body is made again.
    """

    heading: str
    effects: tuple[str, ...]
    button: str
    action: str
    back: str
    fields: dict[str, str]


async def confirm(site: Site, visit: Visit, found: Authorised, verb: str, body: msgspec.Struct, act: Act) -> bytes:
    """The page on which it is confirmed. Raises `KetenError` when the keeper does not want it begun."""
    values = ceremony_values(await asking.begin_step(site, visit, verb, body))
    return render("confirm.html", visit.words, frame(site, visit, found), act=act, **values)
