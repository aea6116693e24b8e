"""Kinds of entry of recovery: each step is one, also a step that was refused. They hold random ids and times only."""

from __future__ import annotations

from keten.identity.entries import CHANGED, DECLARED
from keten.ledger.kinds import kind
from keten.ledger.model import Draft

CHANNEL_ADDED = kind("identity.channel.added", "A way to reach a person was entered.", DECLARED)
CHANNEL_ENDED = kind(
    "identity.channel.ended", "A way to reach a person was taken away; notices go there still.", CHANGED
)
CHANNEL_ERASED = kind(
    "identity.channel.erased",
    "The address of a way to reach a person was erased.",
    CHANGED | {"before": "null: it is not said any more", "after": "the row that is left: random ids"},
)
CHANNEL_TOLD = kind(
    "identity.channel.told", "A letter that the person's addresses had changed was handed over for a channel.", CHANGED
)
OPENED = kind("identity.recovery.opened", "Somebody of the helpdesk opened a case for a person.", DECLARED)
TOLD = kind(
    "identity.recovery.told", "A notice about a case was handed over for one of the person's channels.", CHANGED
)
ASKED = kind("identity.recovery.asked", "Somebody who may approve a case was told of it by letter.", CHANGED)
APPROVED = kind("identity.recovery.approved", "Somebody approved a case, in a role.", CHANGED)
SENT = kind("identity.recovery.sent", "The parts of a case's one-time code went out.", CHANGED)
PASSED = kind("identity.recovery.passed", "A part of the code was handed over for one of the channels.", CHANGED)
DONE = kind("identity.recovery.done", "A person made a new passkey with the code of a case.", CHANGED)
VETOED = kind("identity.recovery.vetoed", "Somebody said of a case: this is not me. It is over.", CHANGED)
LAPSED = kind("identity.recovery.lapsed", "A case took too long, or its instance was restored: it is over.", CHANGED)
FROZEN = kind("identity.recovery.frozen", "Too many cases at once: no recovery goes on there until a moment.", DECLARED)
SECRET_MADE = kind("identity.secret.made", "A one-time secret was made for a channel of a case.", DECLARED)
SECRET_USED = kind("identity.secret.used", "A one-time secret was used, or is of no use any more.", CHANGED)
REFUSED = kind(
    "identity.recovery.refused",
    "A step of a recovery was refused by a rule.",
    {"step": "open, approve, send, use or veto", "reason": "the rule, by its name (docs/decisions/0030)"},
)

BY_STATE = {"sent": SENT, "done": DONE, "vetoed": VETOED, "lapsed": LAPSED}
"""The kind of the entry by which a case comes into a state."""


def refused(step: str, reason: str, actor: str, person: str, refs: dict[str, str]) -> Draft:
    """A step was refused."""
    return Draft(REFUSED, actor, (person,) if person else (), refs, {"step": step, "reason": reason})
