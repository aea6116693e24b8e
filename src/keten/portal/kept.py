"""What a page that refreshes itself shows again, so that looking at it does not fill the ledger with its own entries.

Each time that a person asks, the keeper is asked and records it. Between two of those a page that refreshes itself
shows what was told before, as long as that holds: until the keeper says that anything changed, until something in it
ends by itself, and for a minute at most.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
MOST = 1000
MOST_SECONDS = 60.0


class Kept(Generic[T]):
    """Answers by session: by a digest of its secret, which is kept nowhere. monotonic: a clock in seconds."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._kept: OrderedDict[str, tuple[T, float]] = OrderedDict()
        self._changes = 0

    def forget(self) -> None:
        """Something changed: what was told, and what is being told now, may be of before."""
        self._changes += 1
        self._kept.clear()

    @property
    def changes(self) -> int:
        """A number that changes with everything that changes."""
        return self._changes

    def get(self, session: str) -> T | None:
        """What this session was told and still holds."""
        found = self._kept.get(session)
        return found[0] if found is not None and self._monotonic() < found[1] else None

    def put(self, session: str, told: T, changes: int, holds_us: int) -> None:
        """Keep it for so long (microseconds), unless something changed since it was asked for (`changes`)."""
        if changes != self._changes:
            return
        self._kept[session] = (told, self._monotonic() + min(MOST_SECONDS, holds_us / 1_000_000))
        self._kept.move_to_end(session)
        while len(self._kept) > MOST:
            self._kept.popitem(last=False)
