"""Kinds of entry about what people of suppliers read of themselves: their log, how they stand, their colleagues."""

from __future__ import annotations

from keten.identity.signin_entries import PLACE
from keten.ledger.kinds import kind

LOG_READ = kind(
    "identity.log.read",
    "A person of a supplier read what is recorded about its own accesses, or as its contact about the supplier's.",
    {
        "whole": "true when of the whole supplier",
        "lines": "how many, in this page",
        "country": "country of the caller, empty when unknown",
    }
    | PLACE,
)
STANDING_READ = kind(
    "identity.standing.read",
    "A person of a supplier was told how it stands with what is shared with it: what is open, what is over, and why.",
    {
        "open": "how many grants are open to it",
        "closed": "how many are not, each told with its reasons",
        "country": "country of the caller, empty when unknown",
    }
    | PLACE,
)
COLLEAGUES_READ = kind(
    "identity.colleagues.read",
    "A contact of a supplier was told who that supplier's people are.",
    {"people": "how many were told", "country": "country of the caller, empty when unknown"} | PLACE,
)
