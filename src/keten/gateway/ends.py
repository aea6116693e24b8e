"""One timer for all accesses that end at the same moment, as those under one contract do (law 5)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from keten.gateway.delivery import Delivery

_FARTHEST = 86_400.0  # seconds that a timer is set ahead at most


class _End:
    """What ends at one moment. The answer that took the least time to come knows best when that is."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.members: set[Delivery] = set()
        self.timer: asyncio.TimerHandle | None = None


class Ends:
    """Tells which accesses are over, once they are. `due`: called with all that end at a moment that has come."""

    def __init__(self, due: Callable[[list[Delivery]], object]) -> None:
        self._due = due
        self._ends: dict[int | str, _End] = {}

    def add(self, delivery: Delivery) -> None:
        """From here on it is told; at once when its moment is past."""
        moment = _moment(delivery)
        end = self._ends.setdefault(moment, _End(delivery.deadline))
        end.members.add(delivery)
        if end.timer is None or delivery.deadline < end.deadline:
            end.deadline = min(end.deadline, delivery.deadline)
            self._arm(moment)

    def remove(self, delivery: Delivery) -> None:
        """It ended by itself."""
        moment = _moment(delivery)
        end = self._ends.get(moment)
        if end is None:
            return
        end.members.discard(delivery)
        if not end.members:
            del self._ends[moment]
            if end.timer is not None:
                end.timer.cancel()

    def _arm(self, moment: int | str) -> None:
        end = self._ends[moment]
        if end.timer is not None:
            end.timer.cancel()
        left = end.deadline - time.monotonic()
        if left > 0:
            end.timer = asyncio.get_running_loop().call_later(min(left, _FARTHEST), self._arm, moment)
            return
        end.timer = None
        self._due(list(end.members))


def _moment(delivery: Delivery) -> int | str:
    """What it shares with all that end at the same moment; only its own name where a keeper does not tell."""
    return delivery.valid_until_us or delivery.opening
