"""SFTP sessions: random handles in memory. A restart of the keeper ends them all."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from keten.core.clock import SECOND
from keten.core.ids import new_id
from keten.identity.errors import Refused, too_many


class Session(msgspec.Struct, frozen=True, gc=False):
    """An open session: whose, signed in with which key, since and until when (exclusive), its sign-in's `serial`."""

    id: str
    client_id: str
    fingerprint: str
    began_us: int
    expires_us: int
    serial: str


class Sessions:
    """All open sessions, at most `total`, of which one client has at most `per_client`; each at most `hours` long.

    transfers: what else a client has under way, which counts among its `per_client` as well.
    """

    def __init__(
        self, hours: int, per_client: int, total: int, transfers: Callable[[str], int] = lambda _client: 0
    ) -> None:
        self._transfers = transfers
        self._lifetime_us = hours * 3600 * SECOND
        self._per_client = per_client
        self._total = total
        self._open: dict[str, Session] = {}  # in the order of their end, since all last equally long
        self._of: dict[str, set[str]] = {}

    def __len__(self) -> int:
        return len(self._open)

    def require_room(self, client_id: str, now_us: int) -> None:
        """Raises `Busy` ("too-many-sessions") when the client, or everyone together, has no session left."""
        self._drop_expired(now_us)
        if len(self._of.get(client_id, ())) + self._transfers(client_id) >= self._per_client:
            raise too_many("too-many-sessions", f"client {client_id} has {self._per_client} sessions and transfers")
        if len(self._open) >= self._total:
            raise too_many("too-many-sessions", f"{self._total} sessions are open")

    def open(self, client_id: str, fingerprint: str, serial: str, now_us: int) -> Session:
        """Open a session. Raises `Busy` ("too-many-sessions")."""
        self.require_room(client_id, now_us)
        session = Session(new_id(), client_id, fingerprint, now_us, now_us + self._lifetime_us, serial)
        self._open[session.id] = session
        self._of.setdefault(client_id, set()).add(session.id)
        return session

    def get(self, session_id: str, now_us: int) -> Session:
        """An open session. Raises `Refused` ("session-ended") for one that is over or never was."""
        session = self._open.get(session_id)
        if session is None:
            raise Refused("session-ended", "no such session")
        if now_us >= session.expires_us:
            self.end(session_id)
            raise Refused("session-ended", "the session's time is over", client_id=session.client_id, proven=True)
        return session

    def end(self, session_id: str) -> Session | None:
        """Forget a session; None when it was not open."""
        session = self._open.pop(session_id, None)
        if session is not None:
            own = self._of[session.client_id]
            own.discard(session_id)
            if not own:
                del self._of[session.client_id]
        return session

    def end_all(self) -> None:
        """Forget every session."""
        self._open.clear()
        self._of.clear()

    def of_client(self, client_id: str) -> tuple[str, ...]:
        """The ids of a client's sessions, for cutting them."""
        return tuple(self._of.get(client_id, ()))

    def all(self) -> tuple[Session, ...]:
        """Every open session."""
        return tuple(self._open.values())

    def _drop_expired(self, now_us: int) -> None:
        while self._open:
            first = next(iter(self._open.values()))
            if now_us < first.expires_us:
                return
            self.end(first.id)
