"""The kind of entry that says which payloads were destroyed: without it, a payload that is gone is damage."""

from __future__ import annotations

from keten.ledger.kinds import kind

PAYLOADS_ERASED = kind(
    "ledger.payloads.erased",
    "Payloads of entries were destroyed, with their salts; their leaves, and so every proof, stay.",
    {
        "erased": "one [index, kind, time in microseconds] for each entry whose payload is gone, in rising order",
        "why": "what they were destroyed for, such as the request that was approved",
    },
)
