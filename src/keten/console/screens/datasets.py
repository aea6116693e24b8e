"""Datasets: all of them a page at a time, and one with what is in it and who may have it."""

from __future__ import annotations

from starlette.responses import Response

from keten.console import page, wording
from keten.console.phrases import phrase
from keten.console.readings import datasets
from keten.console.screens.turn import Turn
from keten.pages.words import N_

CATEGORIES = {
    "identifier": N_("number or key"),
    "name": N_("name"),
    "contact": N_("e-mail or telephone"),
    "address": N_("address"),
    "birth": N_("birth"),
    "health": N_("health"),
    "financial": N_("money"),
    "location": N_("place"),
    "other": N_("other"),
}
"""What a column of a table holds."""


async def several(turn: Turn) -> Response:
    """A page of datasets, all of them or those whose name holds a word."""
    wanted, number = turn.asked("q"), turn.page_asked()
    found = await turn.read(lambda reading: datasets.read(reading, wanted, number))
    query = turn.listed(wanted, found.page)
    return turn.page(
        "datasets.html",
        query=query,
        found=found,
        wanted=wanted,
        link_to=lambda one: turn.listed(wanted, one),
        classes=wording.CLASSES,
    )


async def one(turn: Turn) -> Response:
    """One dataset."""
    row = turn.id()
    found = await turn.read(lambda reading: datasets.one(reading, row), folded=True)
    words = turn.words
    timeline = [(line, phrase(words, line.kind), wording.actor(words, line.who)) for line in found.timeline.lines]
    return turn.page(
        "dataset.html",
        found=found,
        row=found.line.row,
        lines=page.lines(found.shares, found.at_us, words),
        timeline=timeline,
        classes=wording.CLASSES,
        categories=CATEGORIES,
    )
