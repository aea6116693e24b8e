"""The kinds of entry of alerts and responses. Nothing personal is in them: ids, numbers, codes."""

from __future__ import annotations

from keten.identity.entries import CHANGED, DECLARED
from keten.ledger.kinds import kind

_SAID = {
    "detector": "the code of the detector",
    "severity": "low, medium or high",
    "group": "the same for signals that belong together",
    "facts": "what was seen and what is usual, by name; and alert, principal, dataset, response, until, held",
    "count": "how many signals so far",
    "wanted": "what the ladder asks for: note, alert, slow, step-up, suspend or freeze",
    "response": "what was done",
    "held": "why less was done than the ladder asks for; empty when it was not",
    "until": "when the response ends by itself; empty when it does not last",
    "explanation": "which explanation goes with it (keten.watch.explaining)",
}
ALERT_RAISED = kind(
    "watch.alert.raised", "The watch saw something: an alert, with what was done about it.", DECLARED | _SAID
)
ALERT_GREW = kind(
    "watch.alert.grew",
    "More of what an alert is about: it grew tenfold, got worse, or called for more.",
    CHANGED | _SAID,
)
ALERT_HANDLED = kind(
    "watch.alert.handled",
    "Somebody looked at an alert and said what it is.",
    CHANGED
    | {
        "detector": "the code of the detector",
        "severity": "low, medium or high",
        "action": "acknowledge, fine, not-fine, close or lift",
        "note": "what was said about it",
        "key": "of the newest signal: detector, principal, dataset and last entry",
        "quiet_until": "for fine: the same is not signalled again until then (microseconds UTC); else 0",
    },
)
RESPONSE_TAKEN = kind(
    "watch.response.taken",
    "Something was done about an alert: a principal was slowed down, signed out or suspended, or a supplier frozen.",
    {
        "response": "slow, step-up, suspend or freeze",
        "detector": "the code of the detector, or operator",
        "until": "when it ends by itself; empty for step-up, which is done at once",
        "per_minute": "for slow: requests a minute",
        "reason": "an operator's own words",
    },
)
FLOWS_SEEN = kind(
    "watch.flows.seen",
    "Flow logs of the organisation say what went to a supplier's systems on one day, by whatever way.",
    {
        "day": "of which day (UTC)",
        "day_number": "the same in days since 1970",
        "bytes": "sent to the supplier",
        "count": "how many flows",
        "links": "target (of the register, with port), outside and inside (pseudonyms of networks), bytes, flows, "
        "unsized (flows that do not say how much was sent); the largest",
        "batch": "which of the worker's reports it is of",
    },
)
RESPONSE_LIFTED = kind(
    "watch.response.lifted",
    "What was done about an alert was ended before its time.",
    {"response": "slow, suspend or freeze", "still": "until when another alert keeps it up; empty: it is over"},
)
