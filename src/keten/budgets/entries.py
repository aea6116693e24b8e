"""The kinds of entry of budgets. What an access charges stands in the entry that opened it."""

from __future__ import annotations

from keten.ledger.kinds import kind

WINDOW_SPENT = kind(
    "budgets.window.spent",
    "What a client received in a running window is not known any more, so what was left of it counts as spent.",
    {"window_us": "the start of the window (microseconds since 1970)", "charged": "records charged by this"},
)

GUESSING_FORGIVEN = kind(
    "budgets.guessing.forgiven",
    "An operator let a client look up again that was stopped because it asked for many keys that there are not.",
    {"stopped_until_us": "its end otherwise", "score": "what the two tests had added up, in millionths"},
)

_ROW = {
    "table": "budget_requests",
    "row": "the request's random id",
    "before": "the request until then; null: there was none",
    "after": "the request from then on; why it was made is sealed in it, under the client's own key",
}
_CALLER = {
    "outcome": "allow or deny",
    "reasons": "stable codes of a refusal (docs/formats/reasons.md)",
    "policies": "the policies that decided",
    "policy_hash": "which set of policies; its text is kept for replay",
    "attributes": "everything the decision looked at",
    "channel": "https",
    "network": "pseudonym of the caller's network (its /24 or /48); absent when it is not known",
    "listed": "true when it is on the organisation's list of bad networks; else absent",
}
_SAID = {
    "records": "how many records: asked for, or allowed",
    "per": "in which window of the grant: hour, day, week or month",
}

MORE_ASKED = kind("budgets.more.asked", "A client asked for more than its budget.", _ROW | _SAID | _CALLER)
MORE_TOLD = kind(
    "budgets.more.told",
    "A client was told what is left of its budget, and what became of what it asked for.",
    {"state": "of its newest request: open, allowed, refused, withdrawn, lapsed, over, or none"} | _CALLER,
)
MORE_DENIED = kind(
    "budgets.more.denied",
    "A client may not ask: there is no such grant for it, or its access has ended.",
    _CALLER | {"count": "how many alike, where several were counted into one"},
)
MORE_READ = kind(
    "budgets.more.read",
    "An operator read why clients asked for more.",
    {"requests": "ids of the requests"},
)
MORE_ALLOWED = kind(
    "budgets.more.allowed",
    "An operator allowed a client more, in the window that ran, until a moment.",
    _ROW | _SAID | {"until": "until when it counts (RFC 3339)"},
)
MORE_REFUSED = kind("budgets.more.refused", "An operator refused a client more.", _ROW | _SAID)
MORE_WITHDRAWN = kind(
    "budgets.more.withdrawn",
    "What a client had been allowed beyond its budget ended before its time.",
    _ROW | _SAID | {"why": "restored, where a restored instance ended what it could not know to hold; else absent"},
)
