"""Proofs that count once: those of seconds are remembered in memory, those that outlive a restart in the database."""

from __future__ import annotations

from hashlib import sha256

from sqlalchemy import Connection, delete, insert, select

from keten.core.clock import SECOND
from keten.identity.errors import Refused, too_many
from keten.identity.proof_tables import used_proofs

NEVER_US = 2**63 - 1  # an SSH signature carries no time: it would be valid for ever
SWEEP_US = 60 * SECOND
SWEEP_ROWS = 1000
_GENERATION_US = 10 * SECOND


def proof_hash(kind: str, *parts: bytes) -> bytes:
    """SHA-256 over the kind and its parts, each with its length, so that no two lists of parts look alike."""
    digest = sha256(kind.encode() + b"\0")
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


class ReplayMemory:
    """Hashes of proofs until they expire, at most `limit` of them, in generations of ten seconds by expiry.

    Generations by expiry rather than by arrival: an ordinary proof is kept for about one minute, and forgetting is
    dropping whole sets. The same proof has the same expiry, but the same `jti` under another `iat` is a replay too,
    so all living generations are looked through (13 at most for DPoP's window of two minutes).
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._generations: dict[int, set[bytes]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def require_new(self, hashed: bytes, now_us: int) -> None:
        """Raises `Refused` ("proof-replayed") when the proof was used and could still be valid."""
        self._forget(now_us)
        for generation in self._generations.values():
            if hashed in generation:
                raise Refused("proof-replayed", "it was seen before")

    def use(self, hashed: bytes, until_us: int, now_us: int) -> None:
        """Use a proof that is valid up to and including `until_us`.

        Raises `Refused` ("proof-replayed"), or `Busy` ("too-many-proofs") when the memory is full: forgetting a
        living proof would let it be used again.
        """
        self.require_new(hashed, now_us)
        if self._count >= self._limit:
            raise too_many("too-many-proofs", f"{self._count} proofs are remembered")
        self._generations.setdefault(until_us // _GENERATION_US, set()).add(hashed)
        self._count += 1

    def _forget(self, now_us: int) -> None:
        oldest = now_us // _GENERATION_US
        for generation in [each for each in self._generations if each < oldest]:
            self._count -= len(self._generations.pop(generation))


class UsedProofs:
    """The durable half, within the writer's transaction only: a row in the same commit as the entry of the sign-in."""

    def __init__(self) -> None:
        self._next_sweep_us = 0

    def spend(self, connection: Connection, hashed: bytes, until_us: int, now_us: int) -> None:
        """Use a proof for good. Raises `Refused` ("proof-replayed") and then writes nothing.

        There is one writer, so nobody can come between looking and inserting; were there two, the primary key
        would fail the second's whole commit.
        """
        if connection.execute(select(used_proofs.c.hash).where(used_proofs.c.hash == hashed)).first():
            raise Refused("proof-replayed", "it was used in an earlier sign-in")
        self._sweep(connection, now_us)
        connection.execute(insert(used_proofs).values(hash=hashed, expires_us=until_us))

    def _sweep(self, connection: Connection, now_us: int) -> None:
        """Once a minute, forget some of what has expired: more than a minute of sign-ins can add in normal use."""
        if self._next_sweep_us - SWEEP_US <= now_us < self._next_sweep_us:  # earlier: the clock was set back
            return
        self._next_sweep_us = now_us + SWEEP_US
        over = select(used_proofs.c.hash).where(used_proofs.c.expires_us < now_us).limit(SWEEP_ROWS)
        connection.execute(delete(used_proofs).where(used_proofs.c.hash.in_(over)))
