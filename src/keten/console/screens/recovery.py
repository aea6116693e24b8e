"""Recoveries at the console: the list, opened by the helpdesk, approved by owners of data and by officers."""

from __future__ import annotations

from starlette.responses import Response

from keten.console.readings import people
from keten.console.screens.turn import Turn
from keten.keeper.recovery_protocol import OpenRecovery, RecoveryOpened
from keten.pages import recoveries

OPEN = "recovery.open"


async def several(turn: Turn) -> Response:
    """Every case that is pending or ended lately."""
    return await recoveries.show(turn.site, turn.visit, turn.found)


async def ask(turn: Turn) -> Response:
    """Approving is wanted: what it does is spelled out, and a passkey confirms it."""
    return await recoveries.ask(turn.site, turn.visit, turn.found, turn.id())


async def approve(turn: Turn) -> Response:
    """It is confirmed."""
    return await recoveries.approve(turn.site, turn.visit, turn.id(), turn.form)


async def open_(turn: Turn) -> Response:
    """The helpdesk wants to open a case: what it does is spelled out, and a passkey confirms it."""
    row = turn.id()
    found = await turn.read(lambda reading: people.one(reading, row))
    name = found.line.acting.name
    return await turn.confirm(OPEN, OpenRecovery(row), recoveries.opening(turn.words, name, row))


async def opened(turn: Turn) -> Response:
    """It is confirmed: on to the list."""
    await turn.do(OPEN, OpenRecovery(turn.id()), RecoveryOpened, turn.finished)
    return turn.moved("/recoveries")
