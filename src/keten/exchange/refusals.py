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
    """Counts by client, reasons and minute. Asked by the writer's thread, flushed by the keeper's loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: OrderedDict[_Key, int] = OrderedDict()

    def admit(self, client: str, reasons: tuple[str, ...], now_us: int) -> bool:
        """Whether this refusal gets an entry of its own; otherwise it is counted."""
        key = (client, reasons, now_us // MINUTE_US)
        with self._lock:
            if key not in self._counts and len(self._counts) >= MAX_KEPT:
                key = ("", (), key[2])
            count = self._counts.get(key, 0) + 1
            self._counts[key] = count
            return count <= SINGLE and bool(key[0])

    def due(self, now_us: int, *, everything: bool = False) -> list[Draft]:
        """Entries for what was only counted in the minutes that are over (`everything`: the present one too)."""
        minute = now_us // MINUTE_US
        with self._lock:
            over = [key for key in self._counts if everything or key[2] < minute]
            counted = [(key, self._counts.pop(key)) for key in over]
        drafts: list[Draft] = []
        for (client, reasons, _minute), count in counted:
            beyond = count - SINGLE if client else count
            if beyond > 0:
                details = {"outcome": "deny", "reasons": list(reasons), "count": beyond}
                subjects = (client,) if client else ()
                drafts.append(Draft(entries.OBJECT_REFUSED, client or "keeper", subjects, {}, details))
        return drafts
