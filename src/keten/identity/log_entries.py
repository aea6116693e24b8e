"""The kind of entry about reading one's own log."""

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
