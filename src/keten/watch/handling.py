"""What people do about alerts: look, say that it was fine or not, lift the response; and suspend somebody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
from sqlalchemy import Connection, func, inspect, select

from keten.budgets.misses import Scores
from keten.core.clock import SECOND
from keten.core.errors import Conflict, Invalid, NotFound
from keten.core.ids import is_id, new_id
from keten.core.settings import Watch, duration
from keten.identity.model import Client
from keten.identity.restraints import MAX_REASON, principal
from keten.ledger import bound
from keten.ledger.writing import Writing
from keten.watch.alerts import said
from keten.watch.entries import ALERT_HANDLED, ALERT_RAISED
from keten.watch.ladder import OPERATOR
from keten.watch.model import State, Verdict
from keten.watch.responding import lift, take
from keten.watch.row import Alert
from keten.watch.tables import alerts

Action = Literal["acknowledge", "fine", "not-fine", "close", "lift"]
ACTIONS: tuple[Action, ...] = ("acknowledge", "fine", "not-fine", "close", "lift")
LONGEST_US = 366 * 86_400 * SECOND
GUESSING = "misses"
"""The detector of what `budgets.misses` stops by itself."""
_STATES: dict[Action, State] = {
    "acknowledge": "acknowledged",
    "fine": "closed",
    "not-fine": "closed",
    "close": "closed",
}
_VERDICTS: dict[Action, Verdict] = {"fine": "fine", "not-fine": "not-fine"}


class Handled(msgspec.Struct, frozen=True):
    """An alert as it is now. `index`: of its entry; None when it was so already. lifted: a response ended.

    resumed: lookups go on that the budget's own test had stopped.
    """

    alert: Alert
    index: int | None
    lifted: bool = False
    resumed: bool = False


Run = Callable[[Writing], Handled]


def get(connection: Connection, alert_id: str) -> Alert:
    """An alert, checked. Raises `NotFound` ("absent"), `Corrupt` ("register-mismatch")."""
    found = bound.get(connection, alerts, Alert, alert_id) if is_id(alert_id) else None
    if found is None:
        raise NotFound("absent", "There is no such alert.", alert_id[:60])
    return found


def listed(connection: Connection, states: Sequence[State], most: int) -> list[Alert]:
    """Alerts in these states, the newest first, at most so many. Raises `Corrupt` ("register-mismatch")."""
    statement = select(alerts.c.id).where(alerts.c.state.in_(states)).order_by(alerts.c.made_us.desc()).limit(most)
    ids = [str(found) for found in connection.execute(statement).scalars().all()]
    return [get(connection, one) for one in ids]


def is_kept(connection: Connection) -> bool:
    """Whether this database has alerts: one of an older version that was not upgraded has none."""
    return inspect(connection).has_table(alerts.name)


def how_many(connection: Connection, states: Sequence[State]) -> int:
    """How many alerts are in these states."""
    statement = select(func.count()).select_from(alerts).where(alerts.c.state.in_(states))
    return int(connection.execute(statement).scalar_one())


def handle(  # what is said of an alert, each by its name
    writing: Writing, settings: Watch, scores: Scores, alert_id: str, action: str, note: str, actor: str
) -> Handled:
    """Say what an alert is.

    acknowledge: somebody looks at it. fine: it was all right: the response is lifted, the alert closed, and the same
    is not signalled again for `fine_for`. not-fine: it was not: closed, and the response stays until its end. close:
    nothing more to do; as not-fine, without a verdict. lift: the response ends now, and the alert stays as it is.
    Where lookups were stopped for guessing, fine and lift end that as well: access is given back, or it is not.

    Raises `NotFound` ("absent"), `Invalid` ("action", "note"), `Conflict` ("alert-closed"), `Corrupt`.
    """
    found = next((one for one in ACTIONS if one == action), None)
    if found is None:
        raise Invalid("action", f"What can be done: {', '.join(ACTIONS)}; not {action[:40]!r}.")
    said_of_it = _note(note, needed=found in ("fine", "not-fine"))
    alert = get(writing.connection, alert_id)
    closed = alert.state == "closed"
    if closed and found == "close":
        return Handled(alert, None)
    if closed and found in ("acknowledge", "not-fine"):
        raise Conflict("alert-closed", "This alert is closed.", alert.id)
    now_us = writing.time_us
    after = lift(writing, alert, actor) if found in ("fine", "lift") else alert
    lifted = after is not alert
    forgiven: list[int] = []
    if found in ("fine", "lift") and alert.detector == GUESSING and alert.principal:
        forgiven = scores.forgive(writing, alert.principal, actor)
    if found == "lift" and not lifted:
        return Handled(alert, forgiven[-1] if forgiven else None, resumed=bool(forgiven))
    quiet_us = now_us + duration(settings.fine_for) * SECOND if found == "fine" else 0
    after = msgspec.structs.replace(
        after,
        state=_STATES.get(found, alert.state),
        verdict=_VERDICTS.get(found, alert.verdict),
        note=said_of_it or alert.note,
        by=actor,
        quiet_us=quiet_us or alert.quiet_us,
    )
    details = {
        "detector": alert.detector,
        "severity": alert.severity,
        "action": found,
        "note": said_of_it,
        "key": alert.key,
        "quiet_until": quiet_us,
    }
    subjects = (alert.principal,) if alert.principal else ()
    index = writing.write(alerts, alert, after, ALERT_HANDLED, actor, subjects, alert.refs, details)
    return Handled(after, index, lifted, bool(forgiven))


def suspend(writing: Writing, principal_id: str, for_us: int, reason: str, actor: str) -> Handled:
    """A person suspends a client or person until a moment: an alert of its own, so that it can be lifted like others.

    Raises `NotFound` ("absent"), `Invalid` ("for", "reason"), `Conflict` ("ended").
    """
    if not SECOND <= for_us <= LONGEST_US:
        raise Invalid("for", "A suspension lasts from a second to a year; to end access for good: keten revoke.")
    why = _note(reason, needed=True)
    row = principal(writing, principal_id)
    now_us = writing.time_us
    made = Alert(
        id=(alert_id := new_id()),
        name=alert_id,
        topic=alert_id,
        detector=OPERATOR,
        severity="high",
        principal=row.id,
        who="client" if isinstance(row, Client) else "person",
        supplier=row.supplier,
        made_us=now_us,
        last_us=now_us,
        wanted="suspend",
        response="suspend",
        until_us=now_us + for_us,
        tried_us=now_us,
        note=why,
        by=actor,
        key=f"{OPERATOR}/{row.id}//",
    )
    if not take(writing, made, "suspend", made.until_us, actor, reason=why):
        raise Conflict("ended", f"The access of {row.name!r} has ended; there is nothing to suspend.")
    index = writing.write(alerts, None, made, ALERT_RAISED, actor, (row.id,), made.refs, said(made))
    return Handled(made, index)


def _note(text: str, *, needed: bool) -> str:
    note = text.strip()
    if (needed and not note) or len(note) > MAX_REASON or not note.isprintable():
        raise Invalid("note", f"Say why, in one line of at most {MAX_REASON} characters.")
    return note
