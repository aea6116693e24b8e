"""What each act of `identity/roles.py` is called, for the table of roles: on its page and in the manual."""

from __future__ import annotations

from keten.identity.roles import ACTS, STAFF, SUPPLIERS, may, only_own
from keten.pages.words import N_, Words

PHRASES: dict[str, str] = {
    "see-overview": N_("See the overview"),
    "see-suppliers": N_("See suppliers and what they hold"),
    "see-datasets": N_("See datasets"),
    "see-ledger": N_("See the ledger"),
    "see-alerts": N_("See alerts"),
    "see-people": N_("See people and roles"),
    "see-settings": N_("See settings and health"),
    "explain-decision": N_("Ask why something is allowed or refused"),
    "prove-entry": N_("Take a proof of an entry"),
    "end-access": N_("End access of suppliers, contracts, grants and accounts"),
    "apply-estate": N_("Change the register with an estate file"),
    "answer-requests": N_("Answer requests for more than a budget"),
    "see-unconfirmed": N_("See which rights wait to be confirmed"),
    "confirm-grants": N_("Confirm grants, or end them"),
    "confirm-contacts": N_("Confirm the roles of suppliers' people"),
    "confirm-roles": N_("Confirm the roles of the organisation's own people"),
    "handle-alerts": N_("Handle alerts"),
    "lift-restraint": N_("Give back access that the watch took away"),
    "invite-staff": N_("Make one-time links for the organisation's own people"),
    "invite-contact": N_("Make one-time links for people of suppliers"),
    "end-person": N_("End access of the organisation's own people"),
    "end-sessions": N_("See where somebody is signed in, and sign that person out everywhere"),
    "open-recovery": N_("Open the recovery of an account"),
    "approve-recovery": N_("Approve the recovery of a supplier's account, as owner of what it may reach"),
    "approve-staff-recovery": N_("Approve the recovery of an account of the organisation itself"),
    "see-recoveries": N_("See recoveries"),
    "ask-erasure": N_("Ask for an erasure"),
    "see-proposals": N_("See what waits for a second person"),
    "approve-erasure": N_("Sign for an erasure, or for the end of a legal hold, as the second person"),
    "ask-destruction": N_("Ask for the destruction of content"),
    "approve-reading": N_("Sign for reading where a system account called from"),
    "approve-destruction": N_("Sign for the destruction of content as the second person"),
    "set-hold": N_("Set a legal hold"),
    "own-keys": N_("Look after one's own passkeys and sessions"),
    "portal-shares": N_("See what is shared"),
    "portal-fetch": N_("Fetch what was shared"),
    "portal-log": N_("See what is recorded about oneself"),
    "portal-keys": N_("Look after one's own passkeys and sessions at the portal"),
    "portal-people": N_("See people of one's own supplier"),
    "portal-invite": N_("Invite people of one's own supplier"),
    "portal-end-person": N_("End access of people of one's own supplier"),
    "portal-approve-recovery": N_("Approve the recovery of a colleague's account"),
}


def acts(words: Words, own: tuple[str, ...]) -> list[str]:
    """What somebody may do, in words."""
    return [words.gettext(PHRASES[act]) for act in own]


def table(words: Words, roles: tuple[str, ...]) -> list[tuple[str, list[str]]]:
    """Each act that one of these roles holds, in words, and how each of the roles holds it; "" for not at all."""

    def held(role: str, act: str) -> str:
        if not may((role,), act):
            return ""
        return words.gettext("own datasets") if only_own((role,), act) else words.gettext("yes")

    return [
        (words.gettext(PHRASES[act]), [held(role, act) for role in roles])
        for act in ACTS
        if any(may((role,), act) for role in roles)
    ]


SIDES: tuple[tuple[str, ...], ...] = (STAFF, SUPPLIERS)
"""The roles of each side: a table for each."""
