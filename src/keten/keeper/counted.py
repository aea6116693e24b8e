"""The answer to a request for an access, while it is waited for."""

from __future__ import annotations

import msgspec

from keten.core.errors import KetenError
from keten.exchange.running import Accesses
from keten.keeper.server import Reply


class Counted(Reply):
    """The answer to a request for an access, which counts as under way until it is given."""

    __slots__ = ("_accesses", "_client", "_counts", "_reply")

    def __init__(self, reply: Reply, accesses: Accesses, client: str) -> None:  # what it has of its own is `reply`'s
        self._reply = reply
        self._accesses = accesses
        self._client = client
        self._counts = True
        accesses.begin(client)

    def over(self) -> None:
        """It counts no longer, said once or twice: it was opened, and counts as that, or refused."""
        if self._counts:
            self._counts = False
            self._accesses.begun(self._client)

    def ok(self, body: msgspec.Struct) -> None:
        """The verb's answer."""
        self.over()
        self._reply.ok(body)

    def error(self, error: KetenError) -> None:
        """A failure."""
        self.over()
        self._reply.error(error)
