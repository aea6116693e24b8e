"""Accesses under way: what was opened and has no recorded end yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import msgspec

from keten.core.errors import Conflict
from keten.exchange import entries
from keten.exchange.opening import Committed, Evaluated
from keten.identity.person_callers import VIA
from keten.ledger.model import Draft, Entry
from keten.ledger.writing import Writing

ENDS = frozenset({"complete", "client-closed", "cut", "ended", "damaged", "failed"})


class Running(msgspec.Struct):
    """One access. `sent`: what its gateway last reported. `gateway`: which connection it was opened for."""

    opening: str
    index: int
    client: str
    session: str
    gateway: int
    refs: dict[str, str]
    subjects: tuple[str, ...]
    length: int
    evaluated: Evaluated | None
    sent: int = 0
    reason: str = ""

    def hangs_on(self, rows: frozenset[str]) -> bool:
        """Whether one of these rows of the register is among what this access was allowed by."""
        return self.client in rows or not rows.isdisjoint(self.refs.values())

    def begun_in(self, sessions: frozenset[str]) -> bool:
        """Whether a person asked for it in one of these sessions, by their public ids."""
        return self.evaluated is not None and self.evaluated.request.key in sessions


class Accesses:
    """Every running access, by the id of the entry that opened it."""

    def __init__(self) -> None:
        self._by_opening: dict[str, Running] = {}
        self._begun: Counter[str] = Counter()  # by client: asked for and not opened or refused yet
        self._of: dict[str, set[str]] = {}  # by client: what is open outside a session

    def __len__(self) -> int:
        return len(self._by_opening)

    def __iter__(self) -> Iterator[Running]:
        return iter(list(self._by_opening.values()))

    # ---- how much one client has under way -------------------------------------------------------------------

    def transfers(self, client: str) -> int:
        """How many accesses of a client are under way or being opened, those within a session left out."""
        return self._begun[client] + len(self._of.get(client, ()))

    def begin(self, client: str) -> None:
        """An access is being opened: it counts from here on, until `begun` and what follows."""
        self._begun[client] += 1

    def begun(self, client: str) -> None:
        """It was opened (and counts as that) or refused."""
        self._begun[client] -= 1
        if not self._begun[client]:
            del self._begun[client]

    def _count(self, running: Running) -> None:
        # Those of before a restart are not known to be outside a session, and are over within seconds.
        if running.evaluated is not None and not running.session:
            self._of.setdefault(running.client, set()).add(running.opening)

    def _uncount(self, running: Running) -> None:
        own = self._of.get(running.client)
        if own is not None:
            own.discard(running.opening)
            if not own:
                del self._of[running.client]

    # ---- the accesses ----------------------------------------------------------------------------------------

    def add(self, evaluated: Evaluated, committed: Committed, opening: str, session: str, gateway: int) -> None:
        """An access was opened and its key handed out."""
        running = self._by_opening[opening] = Running(
            opening,
            committed.index,
            evaluated.request.client,
            session,
            gateway,
            committed.refs,
            (evaluated.request.client,),
            evaluated.length,
            evaluated,
        )
        self._count(running)

    def restore(self, entry: Entry) -> None:
        """An access that a former keeper opened and whose end is not recorded."""
        if entry.payload is None:
            return
        payload = entry.payload
        self._by_opening[entry.id] = Running(
            entry.id,
            entry.index,
            payload.actor,
            "",
            0,
            dict(payload.refs),
            payload.subjects,
            int(payload.details.get("length", 0)),
            None,
        )

    def in_sessions(self) -> frozenset[str]:
        """The sessions of people, by their public ids, in which something is under way."""
        asked = [one.evaluated.request for one in self._by_opening.values() if one.evaluated is not None]
        return frozenset(one.key for one in asked if one.channel == VIA)

    def get(self, opening: str) -> Running | None:
        """A running access."""
        return self._by_opening.get(opening)

    def progress(self, opening: str, sent: int) -> None:
        """A gateway says how far it is."""
        running = self._by_opening.get(opening)
        if running is not None:
            running.sent = min(max(running.sent, sent), running.length)

    def take(self, opening: str, gateway: int) -> Running:
        """Remove an access whose end is about to be recorded; `Conflict` when it is not this gateway's to end.

        After a restart of the keeper any gateway may report on accesses of before (`gateway` 0): it is the only
        one that can know.
        """
        running = self._by_opening.get(opening)
        if running is None or running.gateway not in (0, gateway):
            raise Conflict("not-open", "No such access is under way.", opening)
        self._uncount(running)
        return self._by_opening.pop(opening)

    def put_back(self, running: Running) -> None:
        """Recording its end failed: it is still without one."""
        self._by_opening[running.opening] = running
        self._count(running)

    def disown(self, gateway: int) -> list[str]:
        """A gateway's connection is gone: any gateway may now report on its accesses. Returns their openings."""
        lost = [one for one in self._by_opening.values() if one.gateway == gateway]
        for one in lost:
            one.gateway = 0
        return [one.opening for one in lost]


def ending(running: Running, sent: int, end: str) -> Callable[[Writing], int]:
    """Record how an access ended. `sent`: bytes handed to the connection, the gateway's word, bounded by the range."""
    details = {"opening": running.opening, "opened_at": running.index, "bytes": sent, "end": end}
    return _recording(running, details)


def ending_unknown(running: Running) -> Callable[[Writing], int]:
    """Record the end of an access whose process was killed, with the bounds that are known (law 1)."""
    details = {
        "opening": running.opening,
        "opened_at": running.index,
        "at_least": running.sent,
        "at_most": running.length,
        "end": "unknown",
    }
    return _recording(running, details)


def _recording(running: Running, details: dict[str, object]) -> Callable[[Writing], int]:
    if running.reason:
        details["reason"] = running.reason
    draft = Draft(entries.OBJECT_DELIVERED, running.client, running.subjects, running.refs, details)

    def run(writing: Writing) -> int:
        writing.close(running.index)
        return writing.record(draft)

    return run
