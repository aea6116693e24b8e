"""What is personal, sealed and opened inside one transaction, for rooms that keep personal data in their rows."""

from __future__ import annotations

from sqlalchemy import Connection

from keten.core.errors import Unavailable
from keten.ledger.writing import Writing
from keten.vault import service
from keten.vault.keys import Keys


class Seals:
    """Subject keys as one transaction sees them. Without a `writing` it can only open."""

    def __init__(self, keys: Keys, connection: Connection, writing: Writing | None = None) -> None:
        self._keys = keys
        self._connection = connection
        self._writing = writing

    @classmethod
    def of(cls, keys: Keys, writing: Writing) -> Seals:
        """For the writer's transaction: seals as well."""
        return cls(keys, writing.connection, writing)

    def seal_for(self, subject: str, data: bytes) -> str:
        """`data` under the subject's key, as base64; the key is made when there is none."""
        if self._writing is None:
            raise Unavailable("read-only", "Nothing can be sealed while only reading.")
        return service.seal_for(self._writing, self._keys, subject, data)

    def fingerprint(self, word: str, name: str) -> str:
        """What is kept of the name of an erased row of a kind."""
        return self._keys.fingerprint(word, name)

    def open_for(self, subject: str, sealed: str) -> bytes:
        """What `seal_for` sealed. `NotFound` when the subject's key was destroyed."""
        return service.open_for(self._connection, self._keys, subject, sealed)
