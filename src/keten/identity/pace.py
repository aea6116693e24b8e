"""How fast a principal that was slowed down may go on: requests spread over the minute, in memory (GCRA)."""

from __future__ import annotations

from collections import OrderedDict

from keten.core.clock import SECOND
from keten.core.errors import Busy
from keten.identity.errors import PUBLIC

MINUTE_US = 60 * SECOND
AT_ONCE = 5
"""So many requests may come together, such as the parts of one answer."""
MAX_KEPT = 100_000


class Slowed(Busy):
    """A principal that was slowed down asked too soon. data: {"retry_after": seconds, rounded up}."""

    def __init__(self, seconds: int) -> None:
        super().__init__("slowed", PUBLIC["slowed"])
        self.data = {"retry_after": str(seconds)}


class Pace:
    """When each principal's next request may come. A restart begins anew. Not safe between threads."""

    def __init__(self) -> None:
        self._free_us: OrderedDict[str, int] = OrderedDict()

    def require(self, principal: str, per_minute: int, now_us: int) -> None:
        """Count one request. Raises `Slowed`, and counts nothing, when it comes too soon."""
        step = MINUTE_US // per_minute
        free = max(self._free_us.get(principal, 0), now_us)
        early = free + step - now_us - AT_ONCE * step
        if early > 0:
            raise Slowed(-(-early // SECOND))
        self._free_us[principal] = free + step
        self._free_us.move_to_end(principal)
        while len(self._free_us) > MAX_KEPT:
            self._free_us.popitem(last=False)
