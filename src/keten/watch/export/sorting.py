"""Which class of events a kind of entry belongs to: what a destination may ask for, and what is left out first."""

from __future__ import annotations

from keten.core.destinations import Sort

LEFT_OUT_FIRST: tuple[tuple[Sort, ...], ...] = (("access", "system"), ("access", "system", "sign-ins", "changes"))
"""What is left out when more waits than a destination's backlog, and when twice as much does. Never findings."""

_FINDINGS = frozenset(
    {"ledger.witness.disagreed", "keeper.clock.jumped", "ledger.entry.recovered", "budgets.more.asked"}
)
_SIGN_INS = frozenset({"identity.client.signed_in", "identity.client.refused", "identity.strangers.refused"})
_ROOMS: dict[str, Sort] = {
    "watch": "findings",
    "incidents": "findings",
    "exchange": "access",
    "keeper": "system",
    "ledger": "system",
    "backup": "system",
}


def sort_of(kind: str) -> Sort:
    """The class of a kind; one that nobody has thought of is a change, and so not left out at once."""
    if kind in _FINDINGS:
        return "findings"
    if kind in _SIGN_INS:
        return "sign-ins"
    return _ROOMS.get(kind.partition(".")[0], "changes")


def left_out(waiting: int, backlog: int) -> tuple[Sort, ...]:
    """The classes that are left out while so many entries wait; none when `backlog` is 0."""
    if not backlog or waiting <= backlog:
        return ()
    return LEFT_OUT_FIRST[0] if waiting <= 2 * backlog else LEFT_OUT_FIRST[1]
