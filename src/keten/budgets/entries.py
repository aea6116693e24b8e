"""The kinds of entry of budgets. What an access charges stands in the entry that opened it."""

from __future__ import annotations

from keten.ledger.kinds import kind

WINDOW_SPENT = kind(
    "budgets.window.spent",
    "What a client received in a running window is not known any more, so what was left of it counts as spent.",
    {"window_us": "the start of the window (microseconds since 1970)", "charged": "records charged by this"},
)
