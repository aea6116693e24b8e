"""The kinds of entry of the policies."""

from __future__ import annotations

from keten.ledger.kinds import kind

POLICY_SET_LOADED = kind(
    "policy.set.loaded",
    "A set of policies was used for the first time; decisions from here on may be made by it.",
    {
        "hash": "SHA-256 of the text, in hex; decisions name it",
        "text": "schema and policies, the text that the hash is of",
        "policies": "ids of the policies",
    },
)
