"""DPoP nonces (RFC 9449 §8): a minute and its MAC under a secret of this start, so that nothing is kept of them."""

from __future__ import annotations

import hmac
import os
import struct

from keten.core.clock import SECOND
from keten.identity.jws import encode_base64url

PERIOD_US = 60 * SECOND
# A proof lives from 60 s before its `iat` to 60 s after it. What was shown to the process before this one can be
# shown again until all of those are over; ten seconds on top for the steps between measuring and checking.
REQUIRED_US = 130 * SECOND
_MAC_BYTES = 16


class Nonces:
    """Hands out nonces and knows its own. `started_us`: effective time at which this process began to serve."""

    def __init__(self, started_us: int) -> None:
        self.renew(started_us)

    def renew(self, started_us: int) -> None:
        """Begin anew: what was handed out before is void, and proofs must hold a nonce for a while."""
        self._secret = os.urandom(32)
        self._required_until_us = started_us + REQUIRED_US
        self._nonces: dict[int, str] = {}  # of the periods asked for last

    def required(self, now_us: int) -> bool:
        """Whether a proof must hold a nonce: the memory of `jti`s seen before the start is lost."""
        return now_us < self._required_until_us

    def current(self, now_us: int) -> str:
        """The nonce to hand out now; accepted for one to two minutes."""
        return self._make(now_us // PERIOD_US)

    def valid(self, nonce: str, now_us: int) -> bool:
        """Whether this process handed the nonce out in this period or the one before."""
        shown = nonce.encode("utf-8", "surrogatepass")
        period = now_us // PERIOD_US
        same = [hmac.compare_digest(shown, self._make(each).encode()) for each in (period, period - 1)]
        return any(same)

    def _make(self, period: int) -> str:
        nonce = self._nonces.get(period)
        if nonce is None:
            counted = struct.pack(">q", period)
            nonce = encode_base64url(counted + hmac.digest(self._secret, counted, "sha256")[:_MAC_BYTES])
            self._nonces = {each: kept for each, kept in self._nonces.items() if abs(each - period) <= 1}
            self._nonces[period] = nonce
        return nonce
