"""What was noticed of some principals: alerts in the ledger, the same at the SIEM, and who was stopped."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import msgspec

from keten.core.clock import SECOND
from keten.drills.neighbours import until
from keten.drills.siem import Siem
from keten.identity.restraints import SUSPENDED
from keten.keeper.follow_protocol import Followed
from keten.watch.entries import ALERT_GREW, ALERT_RAISED
from keten.watch.model import RESPONSES, Response
from keten.watch.reading import event_of

WAIT_SECONDS = 60.0
_STOPS = frozenset({"guessing", "budget-spent"})
_KINDS = frozenset({ALERT_RAISED.name, ALERT_GREW.name})


class Noticed(msgspec.Struct, frozen=True):
    """The first alert about them, and what was done.

    alert_us: when it was recorded, 0: never; detector: its. before_alert: records until then, of theirs. siem_at: when
    it was at the SIEM, in seconds since 1970; 0: it did not come. told: of how many of them there are alerts.
    suspended: how many were; limited: how many were not, past the limit on what the watch may stop. response: the
    strongest that was taken; "" for none.
    """

    alert_us: int
    detector: str
    before_alert: int | None
    siem_at: float
    told: int
    suspended: int
    limited: int
    response: str


def alerts(entries: Iterable[Followed]) -> list[Followed]:
    """The entries of alerts that somebody is told of; what was only noted is none."""
    return [
        one
        for one in entries
        if one.kind in _KINDS and one.payload is not None and one.payload.details.get("response") != "note"
    ]


def noticed(entries: Collection[Followed], siem: Siem, principals: Collection[str]) -> Noticed:
    """About these principals, in these entries."""
    found = [one for one in alerts(entries) if _about(one) & set(principals)]
    first = found[0] if found else None
    arrived = siem.arrived(first.id) if first else None
    suspended = {who for one in entries if one.kind in SUSPENDED for who in _about(one)}
    limited = {who for one in found if _detail(one, "held") == "limit" for who in _about(one)}
    alert_us = first.time_us if first else 0
    return Noticed(
        alert_us=alert_us,
        detector=_detail(first, "detector") if first else "",
        before_alert=released(entries, principals, alert_us) if first else None,
        siem_at=arrived.at if arrived else 0.0,
        told=len({who for one in found for who in _about(one)} & set(principals)),
        suspended=len(suspended & set(principals)),
        limited=len((limited - suspended) & set(principals)),
        response=max((_response(one) for one in found), key=RESPONSES.index, default=""),
    )


def released(entries: Iterable[Followed], principals: Collection[str], until_us: int) -> int:
    """Records charged to them up to a moment."""
    events = (event_of(one.index, one.id, one.time_us, one.kind, one.payload) for one in entries)
    return sum(
        event.records for event in events if event and event.principal in principals and event.time_us <= until_us
    )


def wait_for_alert(
    entries: Callable[[], Collection[Followed]],
    siem: Siem,
    principals: Collection[str],
    seconds: float = WAIT_SECONDS,
) -> bool:
    """Until an alert about one of them is in the ledger and at the SIEM; false: it did not come in time."""
    return until(lambda: noticed(entries(), siem, principals).siem_at > 0, seconds)


def refusal_at(entries: Iterable[Followed], siem: Siem, principal: str) -> float:
    """When the first refusal of a lookup for guessing or a budget was at the SIEM, in seconds since 1970; 0: never."""
    for one in entries:
        event = event_of(one.index, one.id, one.time_us, one.kind, one.payload)
        if event is not None and event.principal == principal and set(event.reasons) & _STOPS:
            arrived = siem.arrived(one.id)
            return arrived.at if arrived is not None else 0.0
    return 0.0


def slowest(
    entries: Callable[[], Collection[Followed]], siem: Siem, seconds: float = WAIT_SECONDS
) -> tuple[int, int, float]:
    """Of the alerts: how many there are, how many came, and the longest way from entry to SIEM in seconds.

    seconds: how long those under way are waited for.
    """
    until(lambda: all(siem.arrived(one.id) is not None for one in alerts(entries())), seconds)
    every = alerts(entries())
    came = [(one, there) for one in every if (there := siem.arrived(one.id)) is not None]
    return len(every), len(came), max((there.at - one.time_us / SECOND for one, there in came), default=0.0)


def _about(entry: Followed) -> set[str]:
    return set(entry.payload.subjects) if entry.payload is not None else set()


def _response(entry: Followed) -> Response:
    return next((one for one in RESPONSES if one == _detail(entry, "response")), "note")


def _detail(entry: Followed, name: str) -> str:
    return str(entry.payload.details.get(name, "")) if entry.payload is not None else ""
