"""Followers in other processes read the ledger through the keeper: they need no database, and see nothing personal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import msgspec

from keten.core.db import translated
from keten.core.errors import Corrupt
from keten.identity.model import EndableRow
from keten.keeper.follow_protocol import LONGEST_WAIT_US, MOST_FOLLOWED, Follow, Followed, Following
from keten.keeper.server import Connection, Verb, waiting_verb
from keten.keeper.trusted import Trusted
from keten.ledger.reading import read_outlines

_LOOK_SECONDS = 0.05
_AT_ONCE = 20
_encode = msgspec.json.Encoder().encode


class _Page(msgspec.Struct, frozen=True):
    """What was read: the entries, and the rows that they name (random id → word)."""

    entries: tuple[Followed, ...] = ()
    wanted: dict[str, str] = {}


class FollowVerbs:
    """Reading the ledger as it grows."""

    def __init__(self, trusted: Trusted) -> None:
        self._trusted = trusted
        register = trusted.register
        self._named: dict[str, Callable[[str], EndableRow | None]] = {
            "supplier": register.supplier,
            "contract": register.contract,
            "dataset": register.dataset,
            "grant": register.grant,
            "client": register.client,
        }

    def verbs(self) -> dict[str, Verb]:
        """Verb → what it does, for the socket."""
        return {"ledger.follow": waiting_verb(Follow, self.follow)}

    async def follow(self, _connection: Connection, body: Follow) -> Following:
        """The next entries. Raises `Corrupt` ("entry-missing", "entry-damaged") for one that does not hold."""
        trusted = self._trusted
        start = max(0, body.after)
        limit = min(body.limit, MOST_FOLLOWED) if body.limit > 0 else MOST_FOLLOWED
        loop = asyncio.get_running_loop()
        until = loop.time() + min(max(0, body.wait_us), LONGEST_WAIT_US) / 1e6
        while trusted.writer.head.size <= start and loop.time() < until:  # noqa: ASYNC110 - the writer tells nobody
            await asyncio.sleep(_LOOK_SECONDS)
        size = trusted.writer.head.size
        stop = min(start + limit, size)
        page = self._recent(start, stop, body)
        if page is None:
            page = await asyncio.to_thread(self._read, start, stop, body)
        return Following(size, page.entries, await self._names(page.wanted) if body.names else {})

    def _recent(self, start: int, stop: int, body: Follow) -> _Page | None:
        """From memory, where all of it is there: a thousandth of a second, for which no thread is worth while."""
        fresh = self._trusted.writer.recent.read(start, stop)
        if fresh is None:
            return None
        found = [
            Followed(one.sealed.index, one.sealed.id, one.sealed.time_us, one.draft.kind.name, text=one.text())
            for one in fresh
        ]
        wanted: dict[str, str] = {}
        if body.names:
            for one in fresh:
                self._wanted(wanted, one.draft.actor, one.draft.refs)
        return _Page(tuple(found if body.text else map(_as_read, found)), wanted)

    def _read(self, start: int, stop: int, body: Follow) -> _Page:
        found: list[Followed] = []
        wanted: dict[str, str] = {}
        with translated(), self._trusted.reader.connect() as connection:
            for row, outline in read_outlines(connection, start, stop):
                one = Followed(row.idx, row.id, row.time_us, row.kind, text=_encode(outline) if outline else b"")
                found.append(one if body.text else _as_read(one))
                if outline is not None and body.names:
                    self._wanted(wanted, outline.actor, outline.refs)
        return _Page(tuple(found), wanted)

    def _wanted(self, wanted: dict[str, str], actor: str, refs: Mapping[str, str]) -> None:
        wanted.update((row_id, word) for word, row_id in refs.items() if word in self._named)
        wanted.setdefault(actor, "client")

    async def _names(self, wanted: Mapping[str, str]) -> dict[str, str]:
        """Names of rows (random id → word) as they are now; none of a row that is gone or does not match its entry.

        Each is looked up once, a few at a time: whoever waits for a decision must not wait for a page of names.
        """
        names: dict[str, str] = {}
        for number, (row_id, word) in enumerate(wanted.items()):
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
                self._trusted.door.fresh()
            try:
                row = self._named[word](row_id)
            except Corrupt:
                continue
            if row is not None:
                names[row_id] = row.name
        return names


def _as_read(one: Followed) -> Followed:
    """For a worker of an older version: the payload itself."""
    return msgspec.structs.replace(one, payload=one.read(), text=b"")
