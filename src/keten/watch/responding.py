"""Taking a response, and lifting it: by means of the rooms that own what is taken away. In the writer's transaction."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import or_, select

from keten.core.clock import SECOND, rfc3339
from keten.core.ids import is_id
from keten.core.settings import Response, Watch, duration
from keten.identity import restraints
from keten.ledger import bound
from keten.ledger.model import Draft
from keten.ledger.writing import Writing
from keten.suppliers import freezing
from keten.watch.entries import RESPONSE_LIFTED, RESPONSE_TAKEN
from keten.watch.row import Alert
from keten.watch.tables import alerts

LASTING = frozenset({"slow", "suspend", "freeze"})


def until(settings: Watch, response: Response, now_us: int) -> int:
    """When a response that is taken now ends by itself; 0 for one that does not last."""
    lasts = {"slow": settings.slow_for, "suspend": settings.suspend_for, "freeze": settings.freeze_for}
    return now_us + duration(lasts[response]) * SECOND if response in lasts else 0


def possible(alert: Alert, response: Response) -> bool:
    """Whether there is somebody to take it against."""
    if response == "freeze":
        return is_id(alert.supplier)
    return response in ("note", "alert") or is_id(alert.principal)


def take(
    writing: Writing,
    alert: Alert,
    response: Response,
    until_us: int,
    actor: str,
    *,
    per_minute: int = 0,
    reason: str = "",
) -> bool:
    """Take a response against the principal or supplier of an alert, with its entry; false: who it is has ended.

    reason: an operator's own words, "" for the watch's. Raises as `identity.restraints` and `suppliers.freezing`.
    """
    why = reason or f"alert {alert.id}: {alert.detector}"
    if response == "slow":
        done = restraints.slow(writing, alert.principal, until_us, per_minute, why, actor)
    elif response == "step-up":
        done = restraints.sign_out(writing, alert.principal, why, actor)
    elif response == "suspend":
        done = restraints.suspend(writing, alert.principal, until_us, why, actor)
    elif response == "freeze":
        done = freezing.freeze(writing, alert.supplier, until_us, why, actor)
    else:
        return True
    if done is None:
        return False
    details: dict[str, Any] = {"response": response, "detector": alert.detector}
    details["until"] = rfc3339(until_us) if until_us else ""
    if response == "slow":
        details["per_minute"] = per_minute
    if reason:
        details["reason"] = reason
    writing.record(Draft(RESPONSE_TAKEN, actor, _subjects(alert), alert.refs, details))
    return True


def lift(writing: Writing, alert: Alert, actor: str) -> Alert:
    """End an alert's response before its time; the alert as it is then, not written yet.

    Where another alert keeps the same up, it stays until that one's moment.
    """
    now_us = writing.time_us
    if alert.response not in LASTING or not alert.holds_at(now_us):
        return alert
    still = _still(writing, alert)
    why = f"alert {alert.id}: lifted"
    if alert.response == "freeze":
        freezing.release(writing, alert.supplier, why, actor, until_us=still)
    elif alert.response == "suspend":
        restraints.release(writing, alert.principal, why, actor, suspended_until_us=still, slowed_until_us=_KEPT)
    else:
        restraints.release(writing, alert.principal, why, actor, suspended_until_us=_KEPT, slowed_until_us=still)
    details = {"response": alert.response, "still": rfc3339(still) if still else ""}
    writing.record(Draft(RESPONSE_LIFTED, actor, _subjects(alert), alert.refs, details))
    return msgspec.structs.replace(alert, lifted_us=now_us)


_KEPT = 2**62  # as long as it may be: what is not lifted stays


def _still(writing: Writing, alert: Alert) -> int:
    """Until when another alert keeps up what this one did; 0: none does. Raises `Corrupt`."""
    column, value = ("supplier", alert.supplier) if alert.response == "freeze" else ("principal", alert.principal)
    statement = select(alerts.c.id).where(alerts.c.id != alert.id, alerts.c.state != "noted")
    if column == "principal":
        statement = statement.where(alerts.c.principal == value)
    else:
        statement = statement.where(or_(alerts.c.stopped_us > 0, alerts.c.state.in_(("open", "acknowledged"))))
    found = 0
    for row_id in writing.connection.execute(statement).scalars():
        other = bound.get(writing.connection, alerts, Alert, str(row_id))
        if (
            other is not None
            and other.response == alert.response
            and getattr(other, column) == value
            and other.holds_at(writing.time_us)
        ):
            found = max(found, other.until_us)
    return found


def _subjects(alert: Alert) -> tuple[str, ...]:
    return (alert.principal,) if alert.principal else ()
