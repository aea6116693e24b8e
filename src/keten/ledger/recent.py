"""The newest entries as they were sealed, in memory: whoever follows the ledger closely needs no database for them.

To read an entry back and check it costs some fifteen microseconds, in a thread that takes turns with those who decide;
what was sealed a moment ago is still here. Neither salts nor what is personal is handed on.
"""

from __future__ import annotations

from typing import cast

import msgspec

from keten.ledger.model import Draft, Outline, Sealed
from keten.ledger.sealing import Batch

MOST = 4096
"""Entries, of some 1.5 KB each: how far behind a follower may be before it needs the database again."""
_PAYLOAD = 4  # of `Batch.rows`
_encode = msgspec.json.Encoder().encode
_outline = msgspec.json.Decoder(Outline).decode


class Fresh(msgspec.Struct, frozen=True, gc=False):
    """One entry. `payload`: the JSON that was sealed. `draft`: what it was made from."""

    sealed: Sealed
    payload: bytes
    draft: Draft

    def text(self) -> bytes:
        """The payload without what is personal in it, as JSON."""
        return _encode(_outline(self.payload)) if self.draft.personal else self.payload


class Recent:
    """The newest entries, `most` of them: each in the place that its index leads to.

    They are added in whichever thread committed them, and read in any: who finds another entry in a place, or none,
    was too late for it.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._places: list[Fresh | None] = [None] * most

    def add(self, batch: Batch) -> None:
        """What a commit sealed, once it is durable and before anybody hears that the ledger has grown."""
        places, most = self._places, self._most
        for row, sealed, draft in zip(batch.rows[-most:], batch.sealed[-most:], batch.drafts[-most:], strict=True):
            places[sealed.index % most] = Fresh(sealed, cast("bytes", row[_PAYLOAD]), draft)

    def forget(self) -> None:
        """Payloads were erased: what may hold one of them is not handed on, nor kept."""
        self._places = [None] * self._most

    def read(self, start: int, stop: int) -> list[Fresh] | None:
        """The entries from index `start` up to, not including, `stop`; None unless each of them is here."""
        places, most = self._places, self._most
        found: list[Fresh] = []
        for index in range(start, stop):
            fresh = places[index % most]
            if fresh is None or fresh.sealed.index != index:
                return None
            found.append(fresh)
        return found
