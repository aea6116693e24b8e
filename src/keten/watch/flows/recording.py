"""Recording what flow logs say, in the writer's transaction: one entry for a supplier and a day, each report once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from keten.core.clock import SECOND
from keten.core.errors import Corrupt, Invalid
from keten.core.ids import is_id
from keten.ledger.cursors import load_cursor, store_cursor
from keten.ledger.model import Draft
from keten.ledger.writing import Writing
from keten.suppliers.rows import suppliers
from keten.watch.entries import FLOWS_SEEN
from keten.watch.flows.model import LARGEST, DayOf, LinkOf, Recorded, Report
from keten.watch.model import MOST_LINKS

CURSOR, NEWEST = "flows", "flows-newest"
"""Under these names the ledger remembers which report comes next, and the time of the newest flow."""
MOST_DAYS = 512
LONGEST = 300
LARGEST_NUMBER = 2**52
DAY_US = 86_400 * SECOND


def record(writing: Writing, report: Report, pseudonym: Callable[[str], str]) -> Recorded:
    """Record a report. pseudonym: of a network as `identity.strangers.network_of` writes it.

    1. Whoever says it is not believed: numbers, days and texts are within bounds, or all of it is refused.
    2. A report that was recorded changes nothing.
    3. An entry for each supplier that there is, and each day. Networks are told by pseudonyms alone.

    Raises `Invalid` ("flows").
    """
    _check(report, writing.time_us)  # 1
    if report.number < load_cursor(writing.connection, CURSOR):  # 2
        return Recorded(before=True)
    made = unknown = 0
    for one in report.days:  # 3
        if _is_known(writing, one.supplier):
            details = _details(one, report.number, pseudonym)
            writing.record(Draft(FLOWS_SEEN, "keeper", (), {"supplier": one.supplier}, details))
            made += 1
        else:
            unknown += 1
    store_cursor(writing.connection, CURSOR, report.number + 1)
    newest = load_cursor(writing.connection, NEWEST)
    store_cursor(writing.connection, NEWEST, max(newest, min(report.newest_us, writing.time_us)))
    return Recorded(made, unknown=unknown)


def _check(report: Report, now_us: int) -> None:
    if not 0 <= report.number <= LARGEST_NUMBER or not 0 <= report.newest_us <= LARGEST:
        raise _refused("its number or time")
    if len(report.days) > MOST_DAYS:
        raise _refused("too many days")
    for one in report.days:
        if not is_id(one.supplier) or not 0 <= one.day <= now_us // DAY_US or not 1 <= len(one.links) <= MOST_LINKS:
            raise _refused("a supplier, a day, or how many links")
        for link in one.links:
            numbers = (link.bytes, link.flows, link.unsized)
            texts = (link.target, link.outside, link.inside)
            if not all(0 <= each <= LARGEST for each in numbers) or any(len(each) > LONGEST for each in texts):
                raise _refused("a link")


def _refused(what: str) -> Invalid:
    return Invalid("flows", "This is no report of flows.", what)


def _is_known(writing: Writing, supplier: str) -> bool:
    try:
        return suppliers.current(writing, supplier) is not None
    except Corrupt:
        return False


def _details(one: DayOf, number: int, pseudonym: Callable[[str], str]) -> dict[str, Any]:
    return {
        "day": (dt.date(1970, 1, 1) + dt.timedelta(days=one.day)).isoformat(),
        "day_number": one.day,
        "bytes": min(LARGEST, sum(link.bytes for link in one.links)),
        "count": min(LARGEST, sum(link.flows for link in one.links)),
        "links": [_link(link, pseudonym) for link in one.links],
        "batch": number,
    }


def _link(link: LinkOf, pseudonym: Callable[[str], str]) -> dict[str, Any]:
    found = {
        "target": link.target,
        "outside": pseudonym(link.outside) if link.outside else "",
        "inside": pseudonym(link.inside) if link.inside else "",
        "bytes": link.bytes,
        "flows": link.flows,
        "unsized": link.unsized,
    }
    return {name: value for name, value in found.items() if value}
