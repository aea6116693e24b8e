"""What the portal's values are called: what happened, why something is not open, what is left."""

from __future__ import annotations

import msgspec

from keten.core.clock import from_rfc3339
from keten.keeper.budget_protocol import BudgetLine
from keten.keeper.portal_protocol import OwnLogLine, StandingLine
from keten.pages.words import N_, Words

_KINDS = {
    "exchange.shares.listed": N_("Looked at what is shared"),
    "exchange.object.described": N_("Asked about a file"),
    "exchange.object.opened": N_("Began to fetch"),
    "exchange.object.refused": N_("Was refused a file"),
    "exchange.object.delivered": N_("Fetched"),
    "exchange.lookup.answered": N_("Looked up records"),
    "exchange.lookup.refused": N_("Was refused a lookup"),
}
_ENDS = {
    "complete": (N_("complete"), "open"),
    "client-closed": (N_("broken off by the receiver"), "warn"),
    "cut": (N_("cut off"), "grave"),
    "ended": (N_("its time was over"), "grave"),
    "damaged": (N_("the content is damaged"), "grave"),
    "failed": (N_("failed"), "warn"),
    "unknown": (N_("not known how it ended"), "warn"),
}
_LEFT = {
    "hour": N_("%(left)s of %(most)s records left this hour"),
    "day": N_("%(left)s of %(most)s records left today"),
    "week": N_("%(left)s of %(most)s records left this week"),
    "month": N_("%(left)s of %(most)s records left this month"),
}
_ANY = N_("%(left)s of %(most)s records left")


class Budget(msgspec.Struct, frozen=True):
    """What is left in one window, until when that counts, and whether it is used up."""

    text: str
    until_us: int
    spent: bool


class Happened(msgspec.Struct, frozen=True):
    """One line of the log: what, how it ended, and why."""

    text: str
    end: str
    tone: str
    reasons: tuple[str, ...]


def budgets(words: Words, line: StandingLine) -> list[Budget]:
    """What is left of a share's budget, by window; nothing where there is no limit."""
    return [budget(words, one) for one in line.budget]


def budget(words: Words, line: BudgetLine) -> Budget:
    """What is left in one window."""
    text = words.gettext(_LEFT.get(line.per, _ANY))
    shown = text % {"left": words.number(line.left), "most": words.number(line.records)}
    return Budget(shown, from_rfc3339(line.until), line.left <= 0)


def why(words: Words, line: StandingLine) -> list[str]:
    """Why a share is not open, in sentences."""
    return [words.reason(code) for code in line.reasons]


def happened(words: Words, line: OwnLogLine) -> Happened:
    """What a line of the log says. A kind that has no words here is shown by its name."""
    text = words.gettext(_KINDS.get(line.kind, line.kind))
    end, tone = _ENDS.get(line.end, ("", ""))
    if line.outcome == "deny":
        end, tone = N_("refused"), "grave"
        if line.kind == "exchange.shares.listed":
            text = words.gettext("Asked for something that is not there")
    return Happened(text, words.gettext(end) if end else "", tone, tuple(words.reason(code) for code in line.reasons))
