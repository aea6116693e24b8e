"""The kinds of entry of the ledger itself: what outsiders said about it."""

from __future__ import annotations

from keten.ledger.kinds import kind

CHECKPOINT_WITNESSED = kind(
    "ledger.checkpoint.witnessed",
    "So many witnesses as the policy asks for cosigned a checkpoint that covers more than such entries.",
    {
        "size": "entries that the checkpoint covers",
        "root": "its root, in base64",
        "witnesses": "the keys that cosigned it, as name+hash → when by their own clock (RFC 3339)",
    },
)
CHECKPOINT_STAMPED = kind(
    "ledger.checkpoint.stamped",
    "A time-stamping authority stamped a checkpoint (RFC 3161).",
    {
        "size": "entries that the checkpoint covers",
        "root": "its root, in base64",
        "time": "the authority's time (RFC 3339)",
        "authority": "the address that was asked",
        "sha256": "of the stamp, in hex",
    },
)
WITNESS_DISAGREED = kind(
    "ledger.witness.disagreed",
    "A witness holds another history than this ledger, or a larger one: the ledger was forked or set back, or the "
    "witness is wrong.",
    {
        "witness": "its name in the policy",
        "key": "its key, as name+hash",
        "what": "what it answered",
        "size": "entries of the checkpoint that it was shown",
        "there": "entries of the newest checkpoint that it has cosigned, as it says; left out when it did not",
    },
)
QUIET = (CHECKPOINT_WITNESSED.name, CHECKPOINT_STAMPED.name)
"""Kinds that make no new outside signature necessary: each would otherwise call for the next one, for ever."""
