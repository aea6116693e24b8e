"""From signals to alerts: grouped, counted, answered. In the writer: alert and response commit together."""

from __future__ import annotations

import logging
from base64 import b32encode
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any

import msgspec
from sqlalchemy import Connection, func, insert, select, update

from keten.core.clock import SECOND, rfc3339
from keten.core.errors import Corrupt, NotFound
from keten.core.ids import is_id, new_id
from keten.core.settings import Response, Watch, duration
from keten.datasets.model import Dataset
from keten.datasets.rows import datasets
from keten.identity.model import Client, Person
from keten.identity.restraints import principal
from keten.identity.rows import active_clients
from keten.ledger import bound
from keten.ledger.cursors import load_cursor, store_cursor
from keten.ledger.writing import Writing
from keten.watch.entries import ALERT_GREW, ALERT_RAISED
from keten.watch.explaining import code_of
from keten.watch.ladder import Ladder, Stopped, fits, key_of, milder, stronger
from keten.watch.model import SEVERITIES, STOPPING, Fact, Raised, Seen, Signal
from keten.watch.responding import possible, take, until
from keten.watch.row import Alert
from keten.watch.tables import alerts, counts

log = logging.getLogger(__name__)
CURSOR = "watch"
"""The name under which the ledger remembers up to which entry signals were raised."""
ACTOR = "keeper"
LATE_US = 24 * 3600 * SECOND
"""A signal about something longer ago is an alert only."""
MOST_ALERTS_PER_HOUR = 300
"""New alerts; past that, those that can stop nobody are counted in one alert for each detector."""
TENFOLD = 10
"""How many times as many signals an alert must have had for the ledger to say so."""
MAX_FACTS = 24
MAX_TEXT = 200
AGAIN_US = 600 * SECOND
"""So long after the ladder was followed, more signals of an alert may have it followed again."""
COUNTED_US = 600 * SECOND
LOOKED_BACK = 16
HOUR_US, DAY_US = 3600 * SECOND, 86_400 * SECOND


class Raising:
    """Raises signals by the settings of the watch. For the writer, one transaction at a time."""

    def __init__(self, settings: Watch) -> None:
        self._settings = settings
        self._ladder = Ladder(settings)
        self._window_us = duration(settings.window) * SECOND
        self._active = (0, 0)  # how many clients act, and when they were counted

    def stops(self, connection: Connection, signals: Sequence[Seen]) -> bool:
        """Whether one of these calls for stopping somebody: such a job is essential."""
        return any(self._wanted(connection, one.signal) in STOPPING for one in signals)

    def raise_(self, writing: Writing, signals: Sequence[Seen], upto: int) -> Raised:
        """Raise signals of entries before `upto`. Those that were raised already change nothing.

        Each signal on its own:

        1. Made at an entry before the cursor: it was raised before.
        2. The same was said to be fine, for now, and it is no worse: it is counted.
        3. There is an alert of the same in this window: it is one more of those, and may call for more than before.
        4. Else a new alert.
        """
        start = load_cursor(writing.connection, CURSOR)
        tally = _Tally(stopped_lately(writing), _made_since(writing, HOUR_US))
        for seen in signals:
            if seen.at < start:  # 1
                tally.before += 1
            else:
                self._one(writing, _bounded(seen.signal), tally)
        if upto > start:
            store_cursor(writing.connection, CURSOR, upto)
        return Raised(tuple(tally.new), tally.counted, tally.before, tuple(tally.taken), tuple(tally.held))

    def _one(self, writing: Writing, signal: Signal, tally: _Tally) -> None:
        wanted = self._wanted(writing.connection, signal)
        alert = self._present(writing, signal, tally)
        many = tally.made + len(tally.new) >= MOST_ALERTS_PER_HOUR
        if alert is None and many and not self._may_stop(writing, signal, wanted, tally):
            signal = msgspec.structs.replace(signal, principal="", dataset="", supplier="", grant="")
            alert = self._present(writing, signal, tally)
            wanted = "note" if wanted == "note" else "alert"
        if alert is None:
            tally.new.append(self._new(writing, signal, wanted, tally))
        else:
            tally.counted += 1
            if alert.state != "closed":
                self._more(writing, alert, signal, wanted, tally)

    def _may_stop(self, writing: Writing, signal: Signal, wanted: Response, tally: _Tally) -> bool:
        """Whether a new alert may stop somebody: then it is one of its own, however many there are."""
        after = tally.stopped.also(signal.principal, 1)
        return wanted in STOPPING and fits(self._settings, after, self._all_active(writing))

    def _wanted(self, connection: Connection, signal: Signal) -> Response:
        dataset = _dataset(connection, signal.dataset)
        return self._ladder.wanted(signal.detector, signal.severity, dataset.name if dataset else "")

    def _present(self, writing: Writing, signal: Signal, tally: _Tally) -> Alert | None:
        """Steps 2 and 3: the alert that a signal falls into. What this very transaction wrote is in the tally."""
        topic, now_us = _topic(signal.topic), writing.time_us
        if topic in tally.present:
            return tally.present[topic]
        for one in _newest(writing.connection, topic):
            if one.state == "closed":
                if one.quiet_us > now_us and not _worse(signal, one):
                    return one
            elif count_of(writing.connection, one)[1] > now_us - self._window_us:
                return one
        return None

    # ---- a new one -------------------------------------------------------------------------------------------

    def _new(self, writing: Writing, signal: Signal, wanted: Response, tally: _Tally) -> str:
        dataset = _dataset(writing.connection, signal.dataset)
        about = self._about(writing, signal.principal)
        supplier = (about.supplier if about else "") or signal.supplier  # the register's word first
        made = Alert(
            id=(alert_id := new_id()),
            name=alert_id,
            topic=_topic(signal.topic),
            detector=signal.detector,
            severity=signal.severity,
            principal=signal.principal,
            who="person" if isinstance(about, Person) else "client",
            supplier=supplier,
            dataset=signal.dataset,
            grant=signal.grant,
            owner=dataset.owner if dataset else "",
            facts=signal.facts,
            made_us=writing.time_us,
            last_us=writing.time_us,
            first=signal.first or signal.last,
            last=signal.last,
            key=key_of(signal),
            wanted=wanted,
        )
        made = self._answered(writing, made, wanted, late=self._is_late(writing, signal), tally=tally)
        made = msgspec.structs.replace(made, state="noted" if made.response == "note" else "open")
        writing.write(alerts, None, made, ALERT_RAISED, ACTOR, _subjects(made), made.refs, said(made))
        tally.present[made.topic] = made
        return made.id

    def _about(self, writing: Writing, who: str) -> Client | Person | None:
        try:
            return principal(writing, who) if is_id(who) else None
        except (Corrupt, NotFound):
            return None

    def _is_late(self, writing: Writing, signal: Signal) -> bool:
        return signal.time_us < writing.time_us - LATE_US

    # ---- one more --------------------------------------------------------------------------------------------

    def _more(self, writing: Writing, alert: Alert, signal: Signal, wanted: Response, tally: _Tally) -> None:
        """Count it. The row and the ledger say so when it is tenfold, got worse, or calls for something to be done."""
        connection = writing.connection
        count = count_of(connection, alert)[0] + 1
        _count(connection, alert.id, count, writing.time_us)
        worse = _worse(signal, alert)
        now_us = writing.time_us
        rested = now_us - max(alert.tried_us, alert.lifted_us) > AGAIN_US
        again = rested and stronger(wanted, "alert") and not alert.holds_at(now_us)
        calls = again or stronger(wanted, alert.wanted)
        if count < TENFOLD * alert.count and not worse and not calls:
            return
        after = msgspec.structs.replace(
            alert,
            severity=signal.severity if worse else alert.severity,
            facts=signal.facts or alert.facts,
            last_us=writing.time_us,
            count=count,
            last=signal.last or alert.last,
            key=key_of(signal),
            wanted=wanted if stronger(wanted, alert.wanted) else alert.wanted,
        )
        if calls:
            after = self._answered(writing, after, wanted, late=self._is_late(writing, signal), tally=tally)
        if after.state == "noted" and after.response != "note":
            after = msgspec.structs.replace(after, state="open")
        writing.write(alerts, alert, after, ALERT_GREW, ACTOR, _subjects(after), after.refs, said(after))
        tally.present[after.topic] = after

    # ---- what is done ----------------------------------------------------------------------------------------

    def _answered(self, writing: Writing, alert: Alert, wanted: Response, *, late: bool, tally: _Tally) -> Alert:
        """The alert with what was done about it: what the ladder asks for, or something milder, and then why.

        1. Of long ago, or about nobody who could be held back: an alert.
        2. Stopping somebody only within the limits: a milder response, then an alert that says so.
        3. Who has ended needs nothing done.
        """
        held = ""
        response = wanted
        if stronger(wanted, "alert") and (late or not possible(alert, wanted)):  # 1
            response, held = "alert", "late" if late else "nobody"
        weight = 0
        if response in STOPPING:  # 2
            active = self._all_active(writing)
            for one in (response, *milder(response)):
                weight = self._weight(writing, alert, one)
                after = tally.stopped.also(_stopped_by(alert, one), weight)
                if possible(alert, one) and (one not in STOPPING or fits(self._settings, after, active)):
                    response = one
                    break
            if response != wanted:
                held = "limit"
                log.critical("alert %s calls for %s: past the limits, so only %s", alert.id, wanted, response)
                tally.held.append(alert.id)
        until_us = until(self._settings, response, writing.time_us)
        try:
            done = take(writing, alert, response, until_us, ACTOR, per_minute=self._settings.slow_per_minute)
        except (NotFound, Corrupt):  # a row that does not hold is denied everything as it is
            done = False
        if not done:  # 3
            response, held, until_us, weight = "alert", "nobody", 0, 0
        if stronger(response, "alert"):
            tally.taken.append((alert.id, response))
        tried_us = writing.time_us
        if alert.holds_at(tried_us) and stronger(alert.response, response):
            return msgspec.structs.replace(alert, held=held, tried_us=tried_us)  # what was done before stays
        if response not in STOPPING:
            return msgspec.structs.replace(
                alert, response=response, held=held, until_us=until_us, lifted_us=0, tried_us=tried_us
            )
        tally.stopped = tally.stopped.also(_stopped_by(alert, response), weight)
        return msgspec.structs.replace(
            alert,
            response=response,
            held=held,
            until_us=until_us,
            lifted_us=0,
            tried_us=tried_us,
            stopped=weight,
            stopped_us=tried_us,
        )

    def _all_active(self, writing: Writing) -> int:
        """How many clients act, as of some minutes ago."""
        known, at_us = self._active
        if not at_us or writing.time_us - at_us > COUNTED_US:
            known = active_clients(writing.connection)
            self._active = (known, writing.time_us)
        return known

    def _weight(self, writing: Writing, alert: Alert, response: Response) -> int:
        """How many principals a response stops; those of a supplier that is frozen are all of them."""
        if response == "freeze":
            return max(1, active_clients(writing.connection, alert.supplier))
        return 1 if response == "suspend" else 0


class _Tally:
    """What becomes of signals, while they are raised."""

    def __init__(self, stopped: Stopped, made: int) -> None:
        self.stopped = stopped
        self.made = made  # alerts within the last hour, before these
        self.present: dict[str, Alert] = {}  # by topic: what this transaction wrote
        self.new: list[str] = []
        self.counted = 0
        self.before = 0
        self.taken: list[tuple[str, Response]] = []
        self.held: list[str] = []


def said(alert: Alert) -> dict[str, Any]:
    """What the entry of an alert says beside its row."""
    return {
        "detector": alert.detector,
        "severity": alert.severity,
        "group": alert.topic,
        "facts": alert.told,
        "count": alert.count,
        "wanted": alert.wanted,
        "response": alert.response,
        "held": alert.held,
        "until": rfc3339(alert.until_us) if alert.until_us else "",
        "explanation": code_of(alert.detector),
    }


def count_of(connection: Connection, alert: Alert) -> tuple[int, int]:
    """How many signals an alert has had by now, and when the last one came."""
    found = connection.execute(select(counts.c.count, counts.c.last_us).where(counts.c.alert == alert.id)).first()
    return (int(found[0]), int(found[1])) if found is not None else (alert.count, alert.last_us)


def stopped_lately(writing: Writing) -> Stopped:
    """Whom the watch has stopped by itself within the last hour and day. Counted, not checked against the ledger."""
    statement = select(alerts.c.body).where(alerts.c.stopped_us > writing.time_us - DAY_US)
    stopped = Stopped({}, {})
    for body in writing.connection.execute(statement).scalars():
        try:
            alert = msgspec.json.decode(body, type=Alert)
        except (msgspec.MsgspecError, UnicodeDecodeError, TypeError):
            continue
        with_it = stopped.also(_stopped_by(alert, alert.response), alert.stopped)
        recent = alert.stopped_us > writing.time_us - HOUR_US
        stopped = Stopped(with_it.hour if recent else stopped.hour, with_it.day)
    return stopped


def _newest(connection: Connection, topic: str) -> Iterator[Alert]:
    """Alerts about the same, the newest first. One that does not match its entry is passed over: it makes a new one."""
    statement = select(alerts.c.id).where(alerts.c.topic == topic).order_by(alerts.c.made_us.desc()).limit(LOOKED_BACK)
    for row_id in connection.execute(statement).scalars().all():
        try:
            found = bound.get(connection, alerts, Alert, str(row_id))
        except Corrupt as error:
            log.critical("watch: %s", error)
            continue
        if found is not None:
            yield found


def _dataset(connection: Connection, dataset_id: str) -> Dataset | None:
    """A dataset, where it is there and matches its entry."""
    try:
        return datasets.get(connection, dataset_id) if is_id(dataset_id) else None
    except Corrupt:
        return None


def _stopped_by(alert: Alert, response: Response) -> str:
    return alert.supplier if response == "freeze" else alert.principal


def _made_since(writing: Writing, span_us: int) -> int:
    statement = select(func.count()).select_from(alerts).where(alerts.c.made_us > writing.time_us - span_us)
    return int(writing.connection.execute(statement).scalar_one())


def _count(connection: Connection, alert: str, count: int, now_us: int) -> None:
    values = {"count": count, "last_us": now_us}
    if connection.execute(update(counts).where(counts.c.alert == alert).values(values)).rowcount == 0:
        connection.execute(insert(counts).values(alert=alert, **values))


def _topic(text: str) -> str:
    return b32encode(sha256(text.encode()).digest()[:16]).decode().rstrip("=").lower()


def _worse(signal: Signal, alert: Alert) -> bool:
    return SEVERITIES.index(signal.severity) > SEVERITIES.index(alert.severity)


def _bounded(signal: Signal) -> Signal:
    """A signal of a size that may stand in the ledger, about ids or nothing: whoever made it is not believed."""

    def short(value: Fact) -> Fact:
        return value[:MAX_TEXT] if isinstance(value, str) else value

    facts = {name[:60]: short(value) for name, value in list(signal.facts.items())[:MAX_FACTS]}
    ids = {word: value for word in _IDS if is_id(value := str(getattr(signal, word)))}
    ids = dict.fromkeys(_IDS, "") | ids
    return msgspec.structs.replace(signal, detector=signal.detector[:60], facts=facts, **ids)


_IDS = ("principal", "supplier", "dataset", "grant", "first", "last")


def _subjects(alert: Alert) -> tuple[str, ...]:
    return (alert.principal,) if alert.principal else ()
