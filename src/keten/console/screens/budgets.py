"""Budgets at a glance: who is how far in which of them."""

from __future__ import annotations

from starlette.responses import Response

from keten.budgets.model import Left
from keten.console import bars
from keten.console.readings import budgets
from keten.console.screens.turn import Turn
from keten.pages.words import N_

WINDOWS = {
    "hour": N_("this hour"),
    "day": N_("today"),
    "week": N_("this week"),
    "month": N_("this month"),
}
THEN = {
    "delay": N_("past it one record at a time"),
    "step-up": N_("past it for whoever signs in anew"),
}
NEARLY = 0.8


async def several(turn: Turn) -> Response:
    """A page of grants with a budget, all of them or those whose name holds a word."""
    wanted, number, owner = turn.asked("q"), turn.page_asked(), turn.owner("see-alerts")
    found = await turn.read(lambda reading: budgets.read(reading, wanted, number, owner))
    return turn.page(
        "budgets.html",
        query=turn.listed(wanted, found.page),
        found=found,
        wanted=wanted,
        link_to=lambda one: turn.listed(wanted, one),
        windows=WINDOWS,
        then=THEN,
        bar=lambda one: bars.elapsed(0, one.budget, one.spent),
        tone=_tone,
    )


def _tone(one: Left) -> str:
    """How near its end a budget is."""
    if one.spent >= one.budget:
        return "spent"
    return "near" if one.spent >= NEARLY * one.budget else ""
