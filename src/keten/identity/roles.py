"""Who may do what: each act, and the roles that hold it. The one table; the manual's is made from it by a test.

An act is what a person asks for at a screen or over `/api`. Whoever has no role that holds it is refused, whatever
page was called (deny by default). The keeper asks this table for every single request of a person.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from keten.identity.model import Person

Face = Literal["console", "portal"]
Role = Literal[
    "administrator",
    "security-officer",
    "privacy-officer",
    "supplier-manager",
    "data-owner",
    "helpdesk",
    "auditor",
    "contact",
    "member",
]

STAFF: tuple[Role, ...] = (
    "administrator",
    "security-officer",
    "privacy-officer",
    "supplier-manager",
    "data-owner",
    "helpdesk",
    "auditor",
)
"""Of the organisation itself: they sign in at the console."""
SUPPLIERS: tuple[Role, ...] = ("contact", "member")
"""Of a supplier: they sign in at the portal. Whoever has no role there is a member."""

_READERS: tuple[Role, ...] = tuple(role for role in STAFF if role != "helpdesk")
_OFFICERS: tuple[Role, ...] = ("security-officer", "privacy-officer")

ACTS: dict[str, tuple[Role, ...]] = {
    # Reading
    "see-overview": _READERS,
    "see-suppliers": _READERS,
    "see-datasets": _READERS,
    "see-ledger": ("security-officer", "privacy-officer", "auditor"),
    "see-alerts": ("security-officer", "privacy-officer", "data-owner", "auditor"),
    "see-people": (*_READERS, "helpdesk"),
    "see-settings": ("administrator", "security-officer", "auditor"),
    "explain-decision": _READERS,
    "prove-entry": ("security-officer", "privacy-officer", "auditor"),
    # Ending and changing access
    "end-access": ("security-officer", "privacy-officer", "supplier-manager"),
    "apply-estate": ("administrator", "supplier-manager"),
    "answer-requests": ("data-owner",),
    "see-unconfirmed": _READERS,
    "confirm-grants": ("data-owner",),
    "confirm-contacts": ("administrator", "security-officer", "supplier-manager"),
    "confirm-roles": ("administrator", "security-officer"),
    "handle-alerts": ("security-officer", "data-owner"),
    "lift-restraint": ("security-officer", "data-owner"),
    # People
    "invite-staff": ("administrator",),
    "invite-contact": ("administrator", "supplier-manager"),
    "end-person": ("administrator", "security-officer"),
    "end-sessions": ("administrator", "security-officer"),
    # Recovery (research: a recovery that no caller can win)
    "open-recovery": ("helpdesk",),
    "approve-recovery": ("data-owner",),
    "approve-staff-recovery": ("administrator", *_OFFICERS),
    "see-recoveries": ("administrator", *_OFFICERS, "data-owner", "helpdesk", "auditor"),
    # Law 14
    "see-proposals": ("administrator", "security-officer", "privacy-officer", "auditor"),
    "ask-erasure": ("privacy-officer",),
    "approve-erasure": ("privacy-officer", "administrator"),
    "ask-destruction": ("security-officer", "privacy-officer"),
    "approve-destruction": ("administrator", "security-officer", "privacy-officer"),
    "approve-reading": ("administrator", "security-officer", "privacy-officer"),
    "set-hold": ("privacy-officer",),
    # One's own
    "own-keys": STAFF,
    # The supplier's side
    "portal-shares": SUPPLIERS,
    "portal-fetch": SUPPLIERS,
    "portal-log": SUPPLIERS,
    "portal-keys": SUPPLIERS,
    "portal-people": ("contact",),
    "portal-invite": ("contact",),
    "portal-end-person": ("contact",),
    "portal-approve-recovery": ("contact",),
}
"""Act → roles that hold it."""


REDUCED: frozenset[str] = frozenset(
    (
        *(act for act in ACTS if act.startswith("see-")),
        *("explain-decision", "own-keys", "portal-shares", "portal-log", "portal-keys", "portal-people"),
    )
)
"""What somebody may do who came back by a recovery, for a while: see, and nothing that leaves or changes anything."""


OWN: frozenset[str] = frozenset(
    (
        *("see-alerts", "answer-requests", "handle-alerts", "lift-restraint"),
        *("see-unconfirmed", "confirm-grants"),
    )
)
"""Acts that a data owner does with its own datasets alone."""


def only_own(roles: tuple[str, ...], act: str) -> bool:
    """Whether somebody with these roles does this with its own datasets alone: nothing but owning data lets it."""
    return act in OWN and {role for role in roles if role in ACTS[act]} == {"data-owner"}


def only_outside(roles: tuple[str, ...]) -> bool:
    """Whether an estate that somebody with these roles applies may change suppliers and what they have, alone.

    Whoever manages suppliers gives nobody of the organisation a role, and takes no dataset from its owner.
    """
    return {role for role in roles if role in ACTS["apply-estate"]} == {"supplier-manager"}


def may(roles: tuple[str, ...], act: str) -> bool:
    """Whether somebody with these roles may do this. An act that is not in the table may be done by nobody."""
    return any(role in ACTS.get(act, ()) for role in roles)


def acts_of(roles: tuple[str, ...]) -> tuple[str, ...]:
    """Everything that somebody with these roles may do, in the table's order."""
    return tuple(act for act in ACTS if may(roles, act))


def face_of(supplier: str) -> Face:
    """Where a person signs in. supplier: the random id of the person's supplier, "" for the organisation's own."""
    return "portal" if supplier else "console"


def roles_of(person: Person, now_us: int) -> tuple[str, ...]:
    """The roles of a person that count at its face at a moment: of its own side, and none that nobody has confirmed.

    Nobody of a supplier holds one of the staff's, nor the other way.
    """
    side, confirmed = (SUPPLIERS if person.supplier else STAFF), not person.lapsed_at(now_us)
    held = tuple(role for role in person.roles if confirmed and role in side)
    return held or (("member",) if person.supplier else ())
