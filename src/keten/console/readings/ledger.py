"""The ledger as a reader asks for it: entries by what they are about, newest first; one entry; who had something.

However long the ledger is, one page looks at a bounded number of entries, and says from where to go on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from keten.console.readings.desk import Reading
from keten.console.readings.lines import REFERRED, About, Line, abouts, line_of, lines_of, who_of
from keten.core.errors import Corrupt, NotFound
from keten.core.ids import is_id
from keten.ledger.bound import BoundRow
from keten.ledger.custody import DELIVERED, OPENED
from keten.ledger.model import Entry, Payload
from keten.ledger.postings import kind_matches
from keten.ledger.query import Filter, find
from keten.ledger.reading import read_indexes, size

PAGE = 50
LOOKED = 1500
"""Entries that one page looks at, at most."""
PRINCIPALS = ("client", "person")
LOOKUP = "exchange.lookup.answered"


class Asked(msgspec.Struct, frozen=True):
    """What a reader asks for; "" and None for anything. word: of `REFERRED`; name: of such a row, or its id.

    kind: a kind, or its beginning up to a dot. before: only entries before this index.
    """

    word: str = ""
    name: str = ""
    kind: str = ""
    outcome: str = ""
    since_us: int | None = None
    until_us: int | None = None
    before: int | None = None


class LedgerPage(msgspec.Struct, frozen=True):
    """Entries. about: the row that was named; None where nothing was. unknown: there is no such row.

    older: the index before which the next page begins; None when there are no more. size: how many entries there are.
    damaged: index of the entry that can't be read, with which the page ends; None for none.
    """

    at_us: int
    lines: tuple[Line, ...]
    size: int
    about: About | None = None
    unknown: bool = False
    older: int | None = None
    damaged: bool = False


class Fact(msgspec.Struct, frozen=True):
    """One detail of an entry: its name, and its value as the ledger has it."""

    name: str
    value: str


class EntryPage(msgspec.Struct, frozen=True):
    """One entry. subjects: people and accounts that it is about, by name.

    sealed: of how many of them it holds what only the keeper opens.
    """

    line: Line
    size: int
    subjects: tuple[str, ...]
    details: tuple[Fact, ...]
    sealed: int
    time: str


class Had(msgspec.Struct, frozen=True):
    """One access to content, or lookup of records.

    opened_us: 0 where its opening can't be read. end: how it ended, "" while it goes on. bytes, at_least, at_most:
    handed out; None where not known. records: of a lookup.
    """

    index: int
    opened_us: int
    time_us: int
    who: str
    about: tuple[About, ...]
    end: str
    bytes: int | None = None
    at_least: int | None = None
    at_most: int | None = None
    records: int | None = None


class CustodyPage(msgspec.Struct, frozen=True):
    """Who had it, what goes on first, then the newest. older: as of `LedgerPage`. complete: what goes on is known."""

    at_us: int
    about: About | None
    unknown: bool
    accesses: tuple[Had, ...]
    older: int | None
    damaged: bool
    complete: bool


# ---- entries -----------------------------------------------------------------------------------------------------


def read(reading: Reading, asked: Asked) -> LedgerPage:
    """One page of entries, newest first.

    1. The row that is named. Nothing is shown for one that is not there.
    2. Its entries, or those of the kind, by their list; what else is asked for is compared here, for so many at most.
    """
    count = size(reading.connection)
    about = named(reading, asked.word, asked.name) if asked.name else None  # 1
    if asked.name and about is None:
        return LedgerPage(reading.at_us, (), count, unknown=True)
    wanted = _filter(asked, about)  # 2
    kept: list[Entry] = []
    seen, last, damaged = 0, None, False
    older: int | None = None
    try:
        for entry in find(reading.connection, wanted):
            if len(kept) == PAGE or seen == LOOKED:
                older = last
                break
            seen, last = seen + 1, entry.index
            if _fits(entry, asked):
                kept.append(entry)
    except Corrupt as error:
        if not error.code.startswith(("entry-", "list-")):
            raise
        damaged = True
    return LedgerPage(reading.at_us, lines_of(kept, reading.names), count, about, older=older, damaged=damaged)


def named(reading: Reading, word: str, name: str) -> About | None:
    """The row with this name or id, of this word or else the first there is; one that has not ended before others."""
    for one, kind in REFERRED.items():
        if word and one != word:
            continue
        if is_id(name):
            row = reading.rows.one(kind, name)
            if row is not None:
                return About(one, row.id, _called(row))
        found = sorted(reading.rows.all(kind, name=name), key=lambda row: getattr(row, "ended", None) is not None)
        if found:
            return About(one, found[0].id, _called(found[0]))
    return None


def _called(row: BoundRow) -> str:
    return str(getattr(row, "title", "") or row.name)


def _filter(asked: Asked, about: About | None) -> Filter:
    made = Filter(since_us=asked.since_us, until_us=asked.until_us, after=asked.before, newest_first=True)
    if about is None:
        return msgspec.structs.replace(made, kind=asked.kind)
    return msgspec.structs.replace(made, **{"principal" if about.word in PRINCIPALS else about.word: about.id})


def _fits(entry: Entry, asked: Asked) -> bool:
    if asked.kind and not kind_matches(entry.kind, asked.kind):
        return False
    return not asked.outcome or (entry.payload is not None and entry.payload.details.get("outcome") == asked.outcome)


# ---- one entry -----------------------------------------------------------------------------------------------------


def one(reading: Reading, index: int) -> EntryPage:
    """The entry at this index. Raises `NotFound`, `Corrupt` when it is damaged."""
    count = size(reading.connection)
    if index >= count:
        raise NotFound("not-found", "There is no such page.")
    entry = next(read_indexes(reading.connection, (index,)))
    payload = entry.payload
    line = line_of(entry, reading.names)
    if payload is None:
        return EntryPage(line, count, (), (), 0, "")
    subjects = tuple(who_of(reading.names, one) for one in payload.subjects)
    facts = tuple(Fact(name, _text(value)) for name, value in payload.details.items())
    return EntryPage(line, count, subjects, facts, len(payload.personal), payload.time)


def _text(value: Any) -> str:
    """A value as the ledger has it: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


# ---- who had it ------------------------------------------------------------------------------------------------------


def custody(reading: Reading, word: str, name: str, before: int | None) -> CustodyPage:
    """Who had what is named, newest first.

    1. What goes on now (on the first page), as far as the ledger was read.
    2. Deliveries and lookups about it; each delivery with its opening.
    """
    about = named(reading, word, name) if name else None
    history = reading.history
    complete = history.read >= history.entries
    if about is None:
        return CustodyPage(reading.at_us, None, bool(name), (), None, False, complete)
    found: list[Had] = []
    if before is None:
        found += (  # 1
            Had(
                one.index,
                one.time_us,
                one.time_us,
                who_of(reading.names, one.actor),
                abouts(one.refs, reading.names),
                "",
            )
            for one in reversed(history.under_way.values())
            if _concerned(about, one.refs, one.actor)
        )
        found = found[:PAGE]
    entries, older, damaged = _delivered(reading, about, before)  # 2
    openings = _openings(reading, entries)
    lines_of(entries, reading.names)  # their names, read together
    reading.names.load_who(one for entry in entries if entry.payload is not None for one in entry.payload.subjects[:1])
    found += (_had(reading, entry, entry.payload, openings) for entry in entries if entry.payload is not None)
    return CustodyPage(reading.at_us, about, False, tuple(found), older, damaged, complete)


def _concerned(about: About, refs: dict[str, str], actor: str) -> bool:
    return actor == about.id if about.word in PRINCIPALS else refs.get(about.word) == about.id


def _delivered(reading: Reading, about: About, before: int | None) -> tuple[list[Entry], int | None, bool]:
    wanted = _filter(Asked(before=before), about)
    kept: list[Entry] = []
    seen, last = 0, None
    try:
        for entry in find(reading.connection, wanted):
            if len(kept) == PAGE or seen == LOOKED:
                return kept, last, False
            seen, last = seen + 1, entry.index
            if entry.kind in (DELIVERED, LOOKUP):
                kept.append(entry)
    except Corrupt as error:
        if not error.code.startswith(("entry-", "list-")):
            raise
        return kept, None, True
    return kept, None, False


def _openings(reading: Reading, entries: list[Entry]) -> dict[int, Entry]:
    """The entries that opened what was delivered, by their index; none where one of them can't be read."""
    wanted = dict.fromkeys(index for entry in entries if (index := _opened_at(entry)) is not None)
    try:
        return {one.index: one for one in _read(reading, list(wanted)) if one.kind == OPENED}
    except Corrupt:
        return {}


def _read(reading: Reading, indexes: list[int]) -> Iterator[Entry]:
    return read_indexes(reading.connection, indexes) if indexes else iter(())


def _opened_at(entry: Entry) -> int | None:
    index = entry.payload.details.get("opened_at") if entry.payload is not None and entry.kind == DELIVERED else None
    return index if isinstance(index, int) and not isinstance(index, bool) and 0 <= index < entry.index else None


def _had(reading: Reading, entry: Entry, payload: Payload, openings: dict[int, Entry]) -> Had:
    at = _opened_at(entry)
    opening = openings.get(at) if at is not None else None
    details = payload.details
    opened = opening.payload if opening is not None else None
    actor = payload.subjects[0] if payload.subjects else opened.actor if opened is not None else payload.actor
    lookup = entry.kind == LOOKUP
    return Had(
        index=opening.index if opening is not None else entry.index,
        opened_us=opening.time_us if opening is not None else entry.time_us if lookup else 0,
        time_us=entry.time_us,
        who=who_of(reading.names, actor),
        about=abouts(payload.refs, reading.names),
        end="complete" if lookup else str(details.get("end", "")),
        bytes=_number(details.get("bytes")),
        at_least=_number(details.get("at_least")),
        at_most=_number(details.get("at_most")),
        records=_number(details.get("found")) if lookup else None,
    )


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
