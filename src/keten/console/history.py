"""What the ledger says happened, folded into what the overview needs, entry by entry, each checked against its leaf.

Kept in memory and read on from where it stopped; a console that starts again reads the ledger again. While it is not
through, the overview says so.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy import Engine

from keten.core.db import translated
from keten.core.errors import Corrupt
from keten.ledger.model import Entry, Payload
from keten.ledger.reading import read_range, size

RECENT = 25  # accesses shown
ENDINGS = 200  # kept; those of the last day are shown
GRANTS = 100_000  # whose beginning is remembered; of others the ledger is asked
DAMAGED = 50  # indexes of damaged entries kept; the others are counted


class Piece(msgspec.Struct, gc=False):
    """What one supplier received of one file under one grant: bytes, all deliveries together."""

    first_us: int
    last_us: int
    sure: int = 0
    most: int = 0


class Happened(msgspec.Struct):
    """An access or a refusal. `kind`: the entry's. `end`: how it ended, "" while it goes on."""

    index: int
    time_us: int
    kind: str
    actor: str
    refs: dict[str, str]
    details: dict[str, Any]
    subject: str = ""
    end: str = ""
    ended: dict[str, Any] = {}


class Over(msgspec.Struct, frozen=True):
    """Something that ended, by an entry. `what`: the row's kind, "transfer" or "object"."""

    time_us: int
    what: str
    refs: dict[str, str]
    row: dict[str, Any]
    details: dict[str, Any]
    actor: str


class Facts(msgspec.Struct):
    """The newest of each thing that happens to an instance; 0 and "" where it never did.

    disagreeing: the key (name+hash) of each witness that ever said that it holds another history → its name in the
    policy, and when it said so at last.
    """

    key_kind: str = ""
    started_us: int = 0
    stopped_us: int = 0
    clock: str = ""
    copied_us: int = 0
    disagreeing: dict[str, tuple[str, int]] = {}


class History:
    """Reads the ledger on. Use it under `lock`, which `advance` takes for each stretch that it reads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.lock = threading.RLock()
        self._begin()

    def _begin(self) -> None:
        self.read = 0  # entries read
        self.entries = 0  # entries there are
        self.damaged: list[int] = []
        self.unread = 0  # damaged or erased
        self.recent: deque[Happened] = deque(maxlen=RECENT)
        self.endings: deque[Over] = deque(maxlen=ENDINGS)
        self.under_way: dict[int, Happened] = {}
        self.pieces: dict[tuple[str, str, str], dict[str, Piece]] = {}  # supplier, dataset, grant; then file
        self.granted_us: dict[str, int] = {}
        self.facts = Facts()

    def advance(self, most: int) -> bool:
        """Read up to `most` entries more; whether that was all there are.

        A damaged entry is noted and passed over. A ledger that is shorter than what was read is read anew.
        Raises `Unavailable`, `Corrupt` when the database fails.
        """
        with self.lock, translated(), self._engine.connect() as connection:
            self.entries = size(connection)
            if self.entries < self.read:
                entries = self.entries
                self._begin()
                self.entries = entries
            stop = min(self.read + most, self.entries)
            while self.read < stop:
                try:
                    self._fold_all(read_range(connection, self.read, stop))
                except Corrupt as error:
                    if not error.code.startswith("entry-"):
                        raise
                    self._pass_over()
            return self.read >= self.entries

    def _fold_all(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            if entry.payload is None:
                self.unread += 1
            else:
                self._fold(entry, entry.payload)
            self.read = entry.index + 1

    def _pass_over(self) -> None:
        self.unread += 1
        if len(self.damaged) < DAMAGED:
            self.damaged.append(self.read)
        self.read += 1

    # ---- one entry -------------------------------------------------------------------------------------------

    def _fold(self, entry: Entry, payload: Payload) -> None:
        match entry.kind:
            case "exchange.object.opened":
                self.under_way[entry.index] = self._note(entry, payload)
            case "exchange.object.delivered":
                self._delivered(entry, payload)
            case "exchange.object.refused" | "identity.client.refused" | "identity.strangers.refused":
                self._note(entry, payload)
            case "vault.object.destroyed" if payload.details.get("reason") == "retention-over":
                self._over(entry, payload, "object")
            case "suppliers.grant.declared" if len(self.granted_us) < GRANTS:
                self.granted_us[payload.refs.get("grant", "")] = entry.time_us
            case kind if kind.endswith(".ended"):
                self._over(entry, payload, kind.split(".")[1])
            case _:
                self._fact(entry, payload)

    def _note(self, entry: Entry, payload: Payload) -> Happened:
        subject = payload.subjects[0] if payload.subjects else ""
        noted = Happened(entry.index, entry.time_us, entry.kind, payload.actor, payload.refs, payload.details, subject)
        self.recent.append(noted)
        return noted

    def _delivered(self, entry: Entry, payload: Payload) -> None:
        """How an access ended. Bytes that are not known for certain count as possible."""
        details, refs = payload.details, payload.refs
        opening = self.under_way.pop(details.get("opened_at", -1), None)
        if opening is not None:
            opening.end, opening.ended = str(details.get("end", "")), details
        sure = number(details.get("bytes")) or number(details.get("at_least")) or 0
        most = max(sure, number(details.get("at_most")) or 0)
        if most:
            under = (refs.get("supplier", ""), refs.get("dataset", ""), refs.get("grant", ""))
            pieces = self.pieces.setdefault(under, {})
            first = opening.time_us if opening else entry.time_us
            piece = pieces.setdefault(refs.get("object", ""), Piece(first, entry.time_us))
            piece.last_us = entry.time_us
            piece.sure += sure
            piece.most += most
        if details.get("end") in ("cut", "ended"):
            self._over(entry, payload, "transfer")

    def _over(self, entry: Entry, payload: Payload, what: str) -> None:
        after = payload.details.get("after")
        row = after if isinstance(after, dict) else {}
        rest = {name: value for name, value in payload.details.items() if name not in ("before", "after")}
        self.endings.append(Over(entry.time_us, what, payload.refs, row, rest, payload.actor))

    def _fact(self, entry: Entry, payload: Payload) -> None:
        facts = self.facts
        match entry.kind:
            case "keeper.process.started":
                facts.key_kind = str(payload.details.get("key_kind", ""))
                facts.started_us = entry.time_us
                facts.clock = ""  # this keeper looks for itself, and says what it sees
            case "keeper.process.stopped":
                facts.stopped_us = entry.time_us
            case "keeper.clock.jumped":
                facts.clock = str(payload.details.get("what", "")) or "?"
            case "keeper.clock.accepted":
                facts.clock = ""
            case "ledger.copy.exported":
                facts.copied_us = entry.time_us
            case "ledger.witness.disagreed":
                named = str(payload.details.get("witness", ""))
                facts.disagreeing[str(payload.details.get("key", ""))] = (named, entry.time_us)


def number(value: Any) -> int | None:
    """A whole number as recorded; None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None
