"""How much one client may have under way at once, and which client an access token belongs to.

The keeper alone knows whose a token is. What is remembered here is whom this gateway saw get it; a token that it did
not see (issued by another gateway, or before a restart) is counted by itself.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from keten.core.errors import Busy

MAX_TOKENS = 100_000


class Concurrency:
    """Counts accesses under way per client."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._running: Counter[str] = Counter()
        self._tokens: OrderedDict[bytes, tuple[str, float]] = OrderedDict()

    def issued(self, token: str, client: str, seconds: int) -> None:
        """A client was granted a token that holds for `seconds`."""
        now = time.monotonic()
        self._tokens[_hash(token)] = (client, now + seconds)
        while self._tokens and (len(self._tokens) > MAX_TOKENS or next(iter(self._tokens.values()))[1] < now):
            self._tokens.popitem(last=False)

    def client_of(self, token: str) -> str:
        """The client that a token was granted to, or a name for the token itself."""
        hashed = _hash(token)
        known = self._tokens.get(hashed)
        return known[0] if known is not None else f"token {hashed.hex()}"

    @contextmanager
    def one_more(self, client: str) -> Iterator[None]:
        """One access more of a client, while the block runs. Raises `Busy` when it has as many as it may."""
        if self._running[client] >= self._limit:
            raise Busy("too-many-parallel", "Too many transfers at once; wait until one is finished.")
        self._running[client] += 1
        try:
            yield
        finally:
            self._running[client] -= 1
            if not self._running[client]:
                del self._running[client]


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
