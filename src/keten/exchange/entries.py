"""The kinds of entry of the one door."""

from __future__ import annotations

from keten.identity.signin_entries import PLACE
from keten.ledger.kinds import kind

_DECISION = {
    "outcome": "allow or deny",
    "reasons": "stable codes of a refusal (docs/formats/reasons.md)",
    "policies": "the policies that decided",
    "policy_hash": "which set of policies; its text is kept for replay",
    "attributes": "everything the decision looked at",
    "channel": "https, sftp or portal",
} | PLACE

_USED = "the client's own budget after that: each window's word, the records spent in it, and of how many"

SHARES_LISTED = kind(
    "exchange.shares.listed",
    "A supplier's client was told which shares and objects it may fetch.",
    {
        "shares": "how many, in this page",
        "objects": "how many, in this page",
        "left_out": "objects of this page that were not shown: their rows do not match the ledger",
        "goes_on": "whether it is a page that goes on from an earlier one, which has an entry of its own",
        "country": "country of the caller, empty when unknown",
    }
    | {name: _DECISION[name] for name in ("outcome", "reasons", "channel", *PLACE)},
)
OBJECT_DESCRIBED = kind(
    "exchange.object.described",
    "A client was told name, size and digest of an object; no content, no key.",
    _DECISION,
)
OBJECT_OPENED = kind(
    "exchange.object.opened",
    "A client was given access to an object: recorded before its key was handed out.",
    _DECISION
    | {
        "start": "first byte asked for",
        "length": "bytes asked for",
        "charged": "records charged to the budget by this access",
        "used": _USED,
        "window_us": "start of the budget's window that was charged, when there is one budget",
        "charges": "where there are several: whose (two ids), the object, the start of the window, how many records",
        "valid_until": "when this access ends by itself",
        "session_until": "of a person: when its session is over at the latest, and this access with it",
    },
)
OBJECT_REFUSED = kind(
    "exchange.object.refused",
    "A client was refused an object.",
    _DECISION | {"count": "how many alike, where several were counted into one"},
)
LOOKUP_ANSWERED = kind(
    "exchange.lookup.answered",
    "Records of a table were given to a client, one by one, by their keys: recorded and charged before that.",
    _DECISION
    | {
        "asked": "for how many keys",
        "found": "how many of them there were: the records are the subjects beside the client",
        "missed": "how many there were not",
        "near": "how many lay next to one asked for shortly before",
        "outside": "how many are not in the grant's caseload",
        "columns": "which columns were given",
        "records": "how many the table has",
        "charged": "records charged to the client's budget by this lookup",
        "used": _USED,
        "charges": "each charge: whose budget (two ids), the record, the start of the window, for how many records",
        "score": "how near the client is to guessing at keys, by two measures, in millionths; 16118096 stops it",
    },
)
LOOKUP_REFUSED = kind(
    "exchange.lookup.refused",
    "A client was refused a lookup.",
    _DECISION
    | {
        "asked": "for how many keys",
        "missed": "how many there were not, when that is why",
        "outside": "how many are not in the grant's caseload, when that is why",
        "scope": "whose budget is spent: grant, supplier or dataset",
        "score": "how near the client is to guessing at keys, by two measures, in millionths",
        "stopped_until_us": "until when its lookups are refused",
        "count": "how many alike, where several were counted into one",
    },
)
OBJECT_DELIVERED = kind(
    "exchange.object.delivered",
    "How an access ended and what was really delivered.",
    {
        "opening": "id of the entry that opened it",
        "opened_at": "index of that entry",
        "bytes": "content bytes handed to the connection; absent when not known",
        "at_least": "where bytes are not known (a process was killed): not fewer than this",
        "at_most": "and not more than this",
        "end": "complete, client-closed, cut, ended, damaged, failed, unknown",
        "reason": "why it was cut, a reason code",
    },
)
