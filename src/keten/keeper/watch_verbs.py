"""The watch's verbs: the worker raises signals, operators look at alerts and say what they are."""

from __future__ import annotations

import asyncio

import msgspec
from sqlalchemy import Connection as Reading

from keten.core.clock import rfc3339
from keten.core.db import translated
from keten.core.errors import Corrupt, Invalid
from keten.identity.model import EndableRow
from keten.keeper.flow_verbs import FlowVerbs
from keten.keeper.server import Connection, Verb, waiting_verb
from keten.keeper.steps import Content, Step, step
from keten.keeper.trusted import Trusted
from keten.keeper.watch_protocol import (
    MOST_ALERTS,
    MOST_SIGNALS,
    AlertHandled,
    AlertInfo,
    Alerts,
    AskAlerts,
    Handle,
    Raise,
    Suspend,
)
from keten.keeper.writer import sealed_in
from keten.ledger.cursors import load_cursor
from keten.watch import handling
from keten.watch.alerts import CURSOR, Raising, count_of
from keten.watch.explaining import LANGUAGES, explain
from keten.watch.handling import Handled
from keten.watch.model import Raised, State
from keten.watch.row import Alert

OPEN: tuple[State, ...] = ("open", "acknowledged")


class WatchVerbs:
    """Alerts and responses. content: cuts what a response ends."""

    def __init__(self, trusted: Trusted, content: Content) -> None:
        self._trusted = trusted
        self._content = content
        self._settings = trusted.settings.watch
        self._raising = Raising(self._settings)

    def verbs(self) -> dict[str, Verb]:
        """Verb → what it does, for the socket."""
        return {
            "watch.raise": waiting_verb(Raise, self.raise_),
            "watch.alerts": waiting_verb(AskAlerts, self.alerts),
            "watch.handle": waiting_verb(Handle, self.handle),
            "watch.suspend": waiting_verb(Suspend, self.suspend),
            **FlowVerbs(self._trusted).verbs(),
        }

    async def raise_(self, _connection: Connection, body: Raise) -> Raised:
        """Signals become alerts, with what is done about them, in one transaction; what is suspended is cut at once.

        Also on a disk that is nearly full, where somebody is to be stopped. Raises `Invalid` ("signals", "upto").
        """
        trusted = self._trusted
        if len(body.signals) > MOST_SIGNALS:
            raise Invalid("signals", f"At most {MOST_SIGNALS} signals at once.", str(len(body.signals)))
        if not 0 <= body.upto <= trusted.writer.head.size:
            raise Invalid("upto", "The ledger has no such entry yet.", str(body.upto))
        essential = await asyncio.to_thread(self._stops, body)
        raised, _batch = await trusted.writer.run(
            lambda writing: self._raising.raise_(writing, body.signals, body.upto), alone=True, essential=essential
        )
        return raised

    def _stops(self, body: Raise) -> bool:
        with translated(), self._trusted.reader.connect() as reading:
            return self._raising.stops(reading, body.signals)

    async def alerts(self, _connection: Connection, body: AskAlerts) -> Alerts:
        """What the watch saw. Raises `NotFound` ("absent"), `Corrupt`."""
        return await asyncio.to_thread(self._read, body)

    def _read(self, body: AskAlerts) -> Alerts:
        most = min(body.limit, MOST_ALERTS) if body.limit > 0 else MOST_ALERTS
        self._trusted.door.fresh()
        with translated(), self._trusted.reader.connect() as reading:
            if body.alert:
                found = [handling.get(reading, body.alert)]
            else:
                found = handling.listed(reading, body.states or OPEN, most)
            return Alerts(
                tuple(self._shown(reading, one) for one in found),
                handling.how_many(reading, OPEN),
                load_cursor(reading, CURSOR),
                self._trusted.writer.head.size,
            )

    async def handle(self, connection: Connection, body: Handle) -> AlertHandled:
        """Somebody says what an alert is; a lifted response gives access back before the command returns."""
        actor, scores = connection.actor, self._trusted.scores
        return await self._handled(
            lambda writing: handling.handle(writing, self._settings, scores, body.alert, body.action, body.note, actor)
        )

    async def suspend(self, connection: Connection, body: Suspend) -> AlertHandled:
        """Somebody suspends a principal: what is under way is cut. Raises `Invalid` ("unknown-name")."""
        trusted, actor = self._trusted, connection.actor
        trusted.door.fresh()
        row: EndableRow | None = trusted.register.named("client", body.principal)
        row = row or trusted.register.named("person", body.principal)
        if row is None:
            raise Invalid("unknown-name", f"There is no client or person {body.principal!r} in the register.")
        row_id = row.id
        return await self._handled(
            lambda writing: handling.suspend(writing, row_id, body.for_us, body.reason, actor), cuts=True
        )

    async def _handled(self, run: handling.Run, *, cuts: bool = False) -> AlertHandled:
        done, batch = await self._trusted.writer.run(run, alone=True, essential=True)
        steps: list[Step] = []
        if done.lifted:
            steps.append(step("access", f"{done.alert.response} lifted", done=True))
        if done.resumed:
            steps.append(step("lookups", "stopped for guessing: lifted", done=True))
        if cuts:
            steps.append(step("register", f"suspended until {rfc3339(done.alert.until_us)}", done=True))
            steps += await self._content.cut_steps()
        shown = await asyncio.to_thread(self._one, done)
        entry = "" if done.index is None else sealed_in(batch, done.index).id
        return AlertHandled(shown, steps, entry, already=done.index is None)

    # ---- as it is shown --------------------------------------------------------------------------------------

    def _one(self, done: Handled) -> AlertInfo:
        self._trusted.door.fresh()
        with translated(), self._trusted.reader.connect() as reading:
            return self._shown(reading, done.alert)

    def _shown(self, reading: Reading, alert: Alert) -> AlertInfo:
        names = self._names(alert)
        count, last_us = count_of(reading, alert)
        now_us = self._trusted.clock.recording_time()
        return AlertInfo(
            id=alert.id,
            detector=alert.detector,
            severity=alert.severity,
            state=alert.state,
            verdict=alert.verdict,
            principal=names.get(alert.principal, alert.principal),
            supplier=names.get(alert.supplier, alert.supplier),
            dataset=names.get(alert.dataset, alert.dataset),
            owner=names.get(alert.owner, alert.owner),
            count=count,
            made=_when(alert.made_us),
            last=_when(last_us),
            wanted=alert.wanted,
            response=alert.response,
            held=alert.held,
            until=_when(alert.until_us),
            in_force=alert.holds_at(now_us),
            lifted=_when(alert.lifted_us),
            quiet_until=_when(alert.quiet_us),
            note=alert.note,
            by=alert.by,
            facts=alert.facts,
            first_entry=alert.first,
            last_entry=alert.last,
            explanation={
                language: msgspec.structs.asdict(explain(alert.detector, alert.told, names, language))
                for language in LANGUAGES
            },
        )

    def _names(self, alert: Alert) -> dict[str, str]:
        """What the organisation calls the rows of an alert; of one that does not hold there is no name."""
        register = self._trusted.register
        names: dict[str, str] = {}
        for look, row_id in (
            (register.client, alert.principal),
            (register.person, alert.principal),
            (register.supplier, alert.supplier),
            (register.dataset, alert.dataset),
            (register.person, alert.owner),
        ):
            try:
                row: EndableRow | None = look(row_id)
            except Corrupt:
                continue
            if row is not None:
                names[row_id] = row.name
        return names


def _when(us: int) -> str:
    return rfc3339(us) if us else ""
