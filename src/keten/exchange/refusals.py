"""Refusals at the door: the first of a kind each get an entry, the rest of a minute is counted (law 4)."""

from __future__ import annotations

import threading
from collections import OrderedDict

from keten.exchange import entries
from keten.ledger.model import Draft

SINGLE = 10
MAX_KEPT = 20_000
MINUTE_US = 60_000_000

_Key = tuple[str, tuple[str, ...], int]


class DoorRefusals:
    """Counts by client, reasons and minute: asked within the writer's transaction, flushed by the keeper's loop.

    What a transaction admitted counts when that is durable: a batch that is redone job by job asks again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: OrderedDict[_Key, int] = OrderedDict()
        self._admitted: dict[_Key, int] = {}  # by the transaction that is under way

    def admit(self, client: str, reasons: tuple[str, ...], now_us: int) -> bool:
        """Whether this refusal gets an entry of its own; otherwise it is counted."""
        key = (client, reasons, now_us // MINUTE_US)
        with self._lock:
            known = key in self._counts or key in self._admitted
            if not known and len(self._counts) + len(self._admitted) >= MAX_KEPT:
                key = ("", (), key[2])
            admitted = self._admitted.get(key, 0) + 1
            self._admitted[key] = admitted
            return self._counts.get(key, 0) + admitted <= SINGLE and bool(key[0])

    def commit(self) -> None:
        """The transaction is durable: what it admitted counts."""
        with self._lock:
            for key, admitted in self._admitted.items():
                self._counts[key] = self._counts.get(key, 0) + admitted
            self._admitted.clear()

    def rollback(self) -> None:
        """The transaction did not happen: nor did what it admitted."""
        with self._lock:
            self._admitted.clear()

    def due(self, now_us: int, *, everything: bool = False) -> list[Draft]:
        """Entries for what was only counted in the minutes that are over (`everything`: the present one too)."""
        minute = now_us // MINUTE_US
        with self._lock:
            over = [key for key in self._counts if everything or key[2] < minute]
            counted = [(key, self._counts.pop(key)) for key in over]
            for key, count in counted:
                if key in self._admitted:  # more of it is coming: those that had entries had them already
                    self._counts[key] = min(count, SINGLE) if key[0] else 0
        drafts: list[Draft] = []
        for (client, reasons, _minute), count in counted:
            beyond = count - SINGLE if client else count
            if beyond > 0:
                details = {"outcome": "deny", "reasons": list(reasons), "count": beyond}
                subjects = (client,) if client else ()
                drafts.append(Draft(entries.OBJECT_REFUSED, client or "keeper", subjects, {}, details))
        return drafts
