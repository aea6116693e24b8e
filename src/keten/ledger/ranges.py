"""Verification of one range of entries: the work that is shared out to processes.

Nothing read here is believed, not even its type: a column of a damaged row can hold anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, select
from sqlalchemy.exc import DBAPIError

from keten.core.clock import rfc3339
from keten.core.db import fetched, reading_engine
from keten.core.places import Place
from keten.ledger.blocks import Block, holding, read
from keten.ledger.derived import Expected, compare
from keten.ledger.erasures import ERASED, Gone, read_erased
from keten.ledger.faults import Check, Fault
from keten.ledger.listfaults import Wanted, compare_lists
from keten.ledger.merkle import leaf_hash
from keten.ledger.model import Leaf
from keten.ledger.postings import concerns, kind_ref
from keten.ledger.reading import UNREADABLE, raw
from keten.ledger.registerfaults import Change, Shape, change_faults
from keten.ledger.sealing import LEAF_VERSION, commitment, leaf_bytes
from keten.ledger.tables import changes, entries
from keten.ledger.tilefaults import Difference, block_root, differences, fill
from keten.ledger.tiles import WIDTH, Tile

EARLIER = "its time is before that of the entry before it"
_CHUNK = 4096
_CHANGE_HINT = b'"table":'


class Task(msgspec.Struct, frozen=True):
    """A range of entries to verify: `first` (a multiple of 256) up to, not including, `end`, in a ledger of `size`.

    `tiles`: published files over these entries. `posted`: entries before it must be in the posting lists, None to
    leave the lists, the changes and the register alone. `keep`: blocks of 256 whose leaf hashes are wanted.
    `register`: its tables, which another process need not have imported.
    """

    database: Place
    folder: str
    first: int
    end: int
    size: int
    posted: int | None
    tiles: tuple[Tile, ...]
    keep: tuple[int, ...]
    register: tuple[Shape, ...]
    checks: tuple[Check, ...]


class Result(msgspec.Struct):
    """What came of it.

    `blocks`: the tree hash of each full block of 256 entries, None where one of its leaves is not known. `kept`: leaf
    hashes of the wanted blocks. `posted`, `changed`: rows that the derived tables have of these entries.
    `gathered`: one for each check. `erased`: entries without payload and salt; `said`: what entries of this range say
    was erased, with the index of the entry that says so.
    """

    first: int
    end: int
    faults: list[Fault] = []
    blocks: list[bytes | None] = []
    kept: dict[int, list[bytes | None]] = {}
    first_time: int | None = None
    last_time: int | None = None
    posted: int = 0
    changed: int = 0
    differences: list[Difference] = []
    gathered: list[Any] = []
    erased: list[Gone] = []
    said: list[tuple[int, Gone]] = []


class _Change(msgspec.Struct, frozen=True, gc=False):
    table: str
    row: str
    before: msgspec.Raw
    after: msgspec.Raw


class _Changing(msgspec.Struct, frozen=True, gc=False):
    details: _Change


_changing = msgspec.json.Decoder(_Changing).decode
_leaf = msgspec.json.Decoder(Leaf, strict=True).decode


def run(task: Task) -> Result:
    """Verify one range, with a connection of its own."""
    engine = reading_engine(task.database)
    try:
        with engine.connect() as connection:
            return Range(task, connection).verify()
    finally:
        engine.dispose()


class _Wanted:
    """What a check wants to see of the entries of a range; `stumbled`: over a payload that is not what it reads."""

    def __init__(self, check: Check) -> None:
        self.check = check
        self.found: list[tuple[int, Any]] = []
        self.stumbled: Exception | None = None
        self._decode = msgspec.json.Decoder(check.reads).decode

    def add(self, index: int, payload: bytes) -> None:
        """An entry of one of its kinds."""
        try:
            self.found.append((index, self._decode(payload)))
        except UNREADABLE as error:
            self.stumbled = error


class Range:
    """One range under verification."""

    def __init__(self, task: Task, connection: Connection) -> None:
        self._task = task
        self._connection = connection
        self._result = Result(task.first, task.end)
        self._leaves: list[bytes | None] = []
        self._hashes: list[bytes | None] = []
        self._expected = Wanted()
        self._changed = Expected()
        self._posted = task.posted or 0
        self._changes: list[Change] = []
        self._time_us: Any = None
        self._time_text = ""
        self._wanted = [_Wanted(check) for check in task.checks]
        self._kinds = frozenset(kind for check in task.checks for kind in check.kinds)

    def verify(self) -> Result:
        """Look at the range.

        1. Every entry is there once, and is what its leaf, its columns and its neighbours say.
        2. The published files over it.
        3. The tree above it, block by block; the hash of an entry that is missing is taken from there.
        4. Its rows in the derived tables, and none of its changes is forgotten by the register.
        """
        for first, end, rows in self._chunks():  # 1
            self._chunk(first, end, rows)
        folder, tiles, first = Path(self._task.folder), self._task.tiles, self._task.first
        self._result.differences = list(differences(folder, tiles, first, self._leaves, self._hashes))  # 2
        if None in self._hashes:
            fill(folder, tiles, first, self._hashes)
        self._blocks()  # 3
        if self._task.posted is not None:  # 4
            span = self._task.first, self._task.end
            self._derived(*span)
        self._result.gathered = [self._gathered(wanted) for wanted in self._wanted]
        return self._result

    def _gathered(self, wanted: _Wanted) -> Any:
        """What a check needs of its entries; None, with a fault, when it stumbles over a damaged one."""
        error = wanted.stumbled
        if error is None:
            try:
                return wanted.check.gather(wanted.found)
            except UNREADABLE as stumbled:
                error = stumbled
        what = f"not looked at, for an entry from {self._task.first} to {self._task.end - 1} is damaged: {error}"
        self._result.faults.append(Fault(wanted.check.name, what, unreadable=True))
        return None

    def _derived(self, first: int, end: int) -> None:
        """Step 4."""
        result = self._result
        try:
            listed = compare_lists(self._connection, self._expected, first, end)
            result.posted = listed.there
            result.faults += listed.faults
            noted = compare(self._connection, changes, self._changed, first, end)
            result.changed = noted.there
            result.faults += noted.faults
            result.faults += change_faults(
                self._connection, self._task.register, self._changes, self._task.size
            )
        except DBAPIError as error:
            what = f"what belongs to entries {first} to {end - 1} cannot be read: {error.orig}"
            result.faults.append(Fault("database", what, unreadable=True))

    def _chunks(self) -> Iterator[tuple[int, int, Sequence[Sequence[Any]]]]:
        """The rows of the range, some blocks at a time: from which index up to which, and what was found of them."""
        columns = [raw(column) for column in entries.columns]
        for first in range(self._task.first, self._task.end, _CHUNK):
            end = min(first + _CHUNK, self._task.end)
            chosen = select(*columns).where(entries.c.idx >= first, entries.c.idx < end).order_by(entries.c.idx)
            try:
                yield first, end, fetched(self._connection.execute(chosen))
            except DBAPIError as error:  # a damaged page, or text that is not UTF-8
                self._unreadable(first, end, error)

    def _chunk(self, first: int, end: int, rows: Sequence[Sequence[Any]]) -> None:
        """The rows that were found of the entries from `first` up to `end`, block by block.

        A block in which something may be wrong, or of which only a part has come into the posting lists, is looked at
        one by one.
        """
        if len(rows) != end - first:
            self._one_by_one(first, end, rows)
            return
        for at in range(0, len(rows), WIDTH):
            some = rows[at : at + WIDTH]
            begin, stop = first + at, first + at + len(some)
            block = holding(some, begin, self._result.last_time or 0)
            if block is None or begin < self._posted < stop:
                self._one_by_one(begin, stop, some)
            else:
                self._holds(begin, stop, block)

    def _holds(self, first: int, end: int, block: Block) -> None:
        """A block whose entries all hold."""
        self._leaves += block.leaves
        self._hashes += block.hashes
        if self._result.first_time is None:
            self._result.first_time = block.times[0]
        self._result.last_time = block.times[-1]
        if end <= self._posted:
            self._expected.add_span(first // WIDTH, block.lists())
        for index, payload in enumerate(block.payloads, first):
            if _CHANGE_HINT in payload:
                self._change(payload, index)
        if ERASED in block.kinds:
            for index, (kind, payload) in enumerate(zip(block.kinds, block.payloads, strict=True), first):
                self._said(index, kind, payload)
        if not self._kinds.isdisjoint(block.kinds):
            for index, (kind, payload) in enumerate(zip(block.kinds, block.payloads, strict=True), first):
                self._gather(index, kind, payload)

    def _one_by_one(self, first: int, end: int, rows: Sequence[Sequence[Any]]) -> None:
        """Look at each row; a missing one is a fault, and None as its hash."""
        at = first
        for row in rows:
            if row[0] != at:
                self._missing(at, row[0])
                at = row[0]
            at += 1
            self._entry(*row)
        if at != end:
            self._missing(at, end)

    def _unreadable(self, first: int, end: int, error: DBAPIError) -> None:
        what = f"entries {first} to {end - 1} cannot be read: {error.orig}"
        self._result.faults.append(Fault("database", what, index=first, unreadable=True))
        self._leaves += [None] * (end - first)
        self._hashes += [None] * (end - first)

    def _missing(self, first: int, end: int) -> None:
        what = "it is missing" if end == first + 1 else f"it and those up to {end - 1} are missing"
        self._result.faults.append(Fault("entries", what, index=first))
        self._leaves += [None] * (end - first)
        self._hashes += [None] * (end - first)

    def _fault(self, where: str, what: str, index: int) -> None:
        self._result.faults.append(Fault(where, what, index=index))

    def _entry(
        self, index: int, entry_id: Any, time_us: Any, kind: Any, payload: Any, salt: Any, leaf: Any
    ) -> None:
        """Step 1."""
        if isinstance(leaf, bytes):
            self._leaves.append(leaf)
            self._hashes.append(leaf_hash(leaf))
        else:
            self._leaves.append(None)
            self._hashes.append(None)
            self._fault("leaf", "it is not stored as bytes", index)
        try:
            holds = leaf_bytes(entry_id, commitment(salt, entry_id, payload)) == leaf
        except UNREADABLE:
            holds = False
        if not holds:
            self._disagreement(entry_id, payload, salt, leaf, index)
        if payload is None and salt is None:
            self._erased(kind, time_us, index)
        self._time(time_us, index)
        if isinstance(payload, bytes):
            self._payload(payload, time_us, kind, index)

    def _disagreement(self, entry_id: Any, payload: Any, salt: Any, leaf: Any, index: int) -> None:
        """Why an entry is not what its leaf says."""
        try:
            said = _leaf(leaf) if isinstance(leaf, bytes) else None
        except UNREADABLE:
            said = None
        if said is None or leaf_bytes(said.id, said.commitment) != leaf:
            self._fault("leaf", 'it is not {"id", "v", "commitment"} as it is written', index)
        elif said.v != LEAF_VERSION:
            self._fault("leaf", f"its version is {said.v}", index)
        if said is not None and said.id != entry_id:
            self._fault("column", f"column id is {entry_id!r:.60}, but the leaf says {said.id!r:.60}", index)
        if payload is None and salt is None:
            return  # whether an entry says so is known when all ranges are
        if not isinstance(payload, bytes) or not isinstance(salt, bytes):
            self._fault("payload", "its payload or salt is missing, or not stored as bytes", index)
        elif said is None or commitment(salt, said.id, payload) != said.commitment:
            self._fault("payload", "its payload or salt is not what its leaf commits to", index)

    def _erased(self, kind: Any, time_us: Any, index: int) -> None:
        """An entry without payload and salt: only its kind's list may hold it."""
        named, at = kind if isinstance(kind, str) else "", time_us if isinstance(time_us, int) else -1
        self._result.erased.append(Gone(index, named, at))
        if named and index < self._posted:
            self._expected.add((kind_ref(named),), index)

    def _time(self, time_us: Any, index: int) -> None:
        if not isinstance(time_us, int):
            self._fault("column", "column time_us is not a number", index)
            return
        last = self._result.last_time
        if last is None:
            self._result.first_time = time_us
        elif time_us < last:
            self._fault("time", EARLIER, index)
        self._result.last_time = time_us

    def _payload(self, payload: bytes, time_us: Any, kind: Any, index: int) -> None:
        """The payload against the columns; what the derived tables must have of it."""
        try:
            what = read(payload)
        except UNREADABLE as error:
            self._fault("payload", f"its payload is not that of an entry: {error}", index)
            if isinstance(kind, str) and index < self._posted:
                self._expected.add((kind_ref(kind),), index)
            return
        if time_us != self._time_us:  # entries of one commit have the same time
            self._time_us, self._time_text = time_us, _time_text(time_us)
        if what.time != self._time_text:
            self._fault("column", f"column time_us is {self._time_text}, the payload says {what.time!r:.60}", index)
        if what.kind != kind:
            self._fault("column", f"column kind is {kind!r:.100}, the payload says {what.kind!r:.100}", index)
        if index < self._posted:
            self._expected.add({kind_ref(what.kind), what.actor, *what.subjects, *what.refs.values()}, index)
        if _CHANGE_HINT in payload:
            self._change(payload, index)
        self._said(index, what.kind, payload)
        self._gather(index, what.kind, payload)

    def _said(self, index: int, kind: str, payload: bytes) -> None:
        """What an entry says was erased."""
        if kind != ERASED:
            return
        try:
            self._result.said += [(index, gone) for gone in read_erased(payload)]
        except UNREADABLE as error:
            self._fault("payload", f"what it says was erased cannot be read: {error}", index)

    def _change(self, payload: bytes, index: int) -> None:
        """What may be a change of the register."""
        change = read_change(payload, index)
        if change is not None:
            self._changed.add((change.row,), index)
            self._changes.append(change)

    def _gather(self, index: int, kind: str, payload: bytes) -> None:
        for wanted in self._wanted:
            if kind in wanted.check.kinds:
                wanted.add(index, payload)

    def _blocks(self) -> None:
        """Step 3."""
        first_block = self._task.first // WIDTH
        for at in range(0, len(self._hashes), WIDTH):
            block = self._hashes[at : at + WIDTH]
            number = first_block + at // WIDTH
            if len(block) == WIDTH:
                self._result.blocks.append(block_root(block))
            if number in self._task.keep:
                self._result.kept[number] = block


def read_change(payload: bytes, index: int) -> Change | None:
    """The change to the register that an entry records, if it is one."""
    if _CHANGE_HINT not in payload:
        return None
    try:
        change = _changing(payload).details
    except UNREADABLE:
        return None  # an entry of another kind that speaks of a table
    return Change(change.table, change.row, index, bytes(change.after))


def posting_refs(kind: Any, payload: Any) -> set[str]:
    """The posting lists that an entry belongs in, as far as it can be read."""
    try:
        what = read(payload)
    except UNREADABLE:
        return {kind_ref(kind)} if isinstance(kind, str) else set()
    return concerns(what.kind, what.actor, what.subjects, what.refs)


def change_refs(_kind: Any, payload: Any) -> set[str]:
    """The row of the register that an entry changes."""
    change = read_change(payload, 0) if isinstance(payload, bytes) else None
    return {change.row} if change else set()


def _time_text(time_us: Any) -> str:
    try:
        return rfc3339(time_us)
    except UNREADABLE:
        return f"{time_us!r:.40}"
