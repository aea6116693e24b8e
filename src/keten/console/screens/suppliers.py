"""Suppliers: all of them a page at a time, and one with everything about it."""

from __future__ import annotations

from starlette.responses import Response

from keten.console import page, wording
from keten.console.phrases import phrase
from keten.console.readings import supplier, suppliers
from keten.console.screens.turn import Turn


async def several(turn: Turn) -> Response:
    """A page of suppliers, all of them or those whose name holds a word."""
    wanted, asked = turn.asked("q"), turn.page_asked()
    found = await turn.read(lambda reading: suppliers.read(reading, wanted, asked), folded=True)
    return turn.page(
        "suppliers.html",
        query=turn.listed(wanted, found.page),
        found=found,
        wanted=wanted,
        link_to=lambda number: turn.listed(wanted, number),
        tiers=wording.TIERS,
    )


async def one(turn: Turn) -> Response:
    """One supplier."""
    row = turn.id()
    found = await turn.read(lambda reading: supplier.read(reading, row), folded=True)
    words = turn.words
    timeline = [(line, phrase(words, line.kind), wording.actor(words, line.who)) for line in found.timeline.lines]
    return turn.page(
        "supplier.html",
        found=found,
        lines=page.lines(found.shares, found.at_us, words),
        timeline=timeline,
        tier=words.gettext(wording.TIERS.get(found.row.tier, found.row.tier)),
    )
