"""Ten failures in a row from one network block it, for longer each time (CNIL 2022-100). In memory, and bounded."""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from keten.core.clock import SECOND
from keten.core.errors import Busy

IN_A_ROW = 10
FIRST_US = 60 * SECOND
LONGEST_US = 3600 * SECOND
FORGOTTEN_US = 24 * 3600 * SECOND
MAX_NETWORKS = 10_000


class Blocked(Busy):
    """Too many failures from this network. data: {"retry_after": seconds}. Whom they were about is not looked at."""

    def __init__(self, seconds: int) -> None:
        super().__init__("sign-in-blocked", "Signing in failed too often from your network. Try again later.")
        self.data = {"retry_after": str(seconds)}


class _Count(msgspec.Struct):
    failures: int = 0
    until_us: int = 0
    last_us: int = 0


class Failures:
    """Failures in a row, by network (`strangers.network_of`)."""

    def __init__(self) -> None:
        self._counts: OrderedDict[str, _Count] = OrderedDict()

    def require_free(self, network: str, now_us: int) -> None:
        """Raises `Blocked`."""
        count = self._counts.get(network)
        if count is not None and now_us < count.until_us:
            raise Blocked(-(-(count.until_us - now_us) // SECOND))

    def failed(self, network: str, now_us: int) -> None:
        """One more; from the tenth on each blocks, twice as long as the one before, up to an hour."""
        count = self._counts.pop(network, None)
        if count is None or now_us - count.last_us > FORGOTTEN_US:
            count = _Count()
        count.failures += 1
        count.last_us = now_us
        over = count.failures - IN_A_ROW
        if over >= 0:
            count.until_us = now_us + min(FIRST_US << min(over, 10), LONGEST_US)
        self._counts[network] = count
        while len(self._counts) > MAX_NETWORKS:
            self._counts.popitem(last=False)

    def succeeded(self, network: str) -> None:
        """Somebody signed in from there: no more in a row."""
        self._counts.pop(network, None)
