"""What verification says: each thing that is not as it must be, what it is, and exactly where."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import msgspec
from sqlalchemy import Connection

MOST_OF_A_KIND = 1000  # faults kept for each `where`; the rest is counted


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that does not hold.

    `where` is one of: head, entries (missing or too many), payload, leaf, column, time, tree, key, checkpoint, tile,
    bundle, file, changes, postings, cursor, register, schema, database, outside (a signature by others), against (a
    checkpoint that somebody kept), or the name of a `Check`.
    `index`: of the entry. `table`, `row`: of the register. `file`: below the public folder.
    `unreadable`: it could not be read at all, so it is not known what it holds.
    """

    where: str
    what: str
    index: int | None = None
    table: str = ""
    row: str = ""
    file: str = ""
    unreadable: bool = False

    def __str__(self) -> str:
        place = [
            f"entry {self.index}" if self.index is not None else "",
            f"table {self.table}" if self.table else "",
            f"row {self.row}" if self.row else "",
            self.file,
        ]
        at = ", ".join(part for part in place if part)
        return f"{self.where}: {at}: {self.what}" if at else f"{self.where}: {self.what}"


class Check(Protocol):
    """One more agreement to verify, brought by a room above the ledger; must be picklable.

    `kinds`: the kinds of entries that it wants to see. `reads`: the type of the parts of their payloads that it looks
    at, so that nothing else is decoded. `gather` gets them range by range, in other processes, in no certain order,
    and returns what it needs of them, small and picklable. `faults` then gets all of that, in the order of the
    entries, with a connection in the one transaction that is being verified. Either may stumble over a damaged value
    (`keten.ledger.reading.UNREADABLE`), and so does a payload of another type; that is a fault then, and ends this
    check only.
    """

    name: str
    kinds: frozenset[str]
    reads: type[msgspec.Struct]

    def gather(self, entries: Sequence[tuple[int, Any]]) -> Any:
        """What is needed of these entries: the index of each, and its payload as `reads`."""

    def faults(self, connection: Connection, gathered: Sequence[Any]) -> Iterator[Fault]:
        """What does not agree with what was gathered."""


class Report(msgspec.Struct, frozen=True):
    """The outcome. `published`: size of the public checkpoint, None when there is none that can be read.

    `checked` counts what was looked at; `more` counts, by `where`, faults beyond those listed. `notes` say what is no
    fault but should be known. `quick`: only the head and the newest entries were looked at.
    """

    origin: str
    size: int
    root: str
    published: int | None
    faults: tuple[Fault, ...]
    more: dict[str, int]
    checked: dict[str, int]
    notes: tuple[str, ...]
    quick: bool = False

    @property
    def ok(self) -> bool:
        """Whether everything that was looked at holds."""
        return not self.faults

    @property
    def unreadable(self) -> bool:
        """Whether something could not be read at all."""
        return any(fault.unreadable for fault in self.faults)


class Faults:
    """Collects faults, each once, and bounds how many are kept."""

    def __init__(self, most: int = MOST_OF_A_KIND) -> None:
        self._most = most
        self._found: dict[Fault, None] = {}
        self._count: dict[str, int] = {}

    def add(self, fault: Fault) -> None:
        """Keep a fault, or count it."""
        if fault in self._found:
            return
        self._count[fault.where] = self._count.get(fault.where, 0) + 1
        if self._count[fault.where] <= self._most:
            self._found[fault] = None

    def extend(self, faults: Iterable[Fault]) -> None:
        """Keep several."""
        for fault in faults:
            self.add(fault)

    def __contains__(self, where: str) -> bool:
        return where in self._count

    def found(self) -> tuple[Fault, ...]:
        """What was found, in the order of finding."""
        return tuple(self._found)

    def more(self) -> dict[str, int]:
        """How many were not kept, by `where`."""
        return {where: count - self._most for where, count in self._count.items() if count > self._most}
