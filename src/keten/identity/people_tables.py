"""Tables of how people sign in. Passkeys and links are bound to the ledger; the others are beside it."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, LargeBinary, String, Table

from keten.core.db import metadata
from keten.identity.people_model import Link, Passkey
from keten.ledger.bound import bound_table

passkeys = bound_table(
    "passkeys",
    Passkey,
    Column("person", String(26), nullable=False, index=True),
    Column("known_by", String(64), nullable=False, index=True),
    decides=False,
)
links = bound_table(
    "links",
    Link,
    Column("person", String(26), nullable=False, index=True),
    Column("hash", String(64), nullable=False, index=True),
    decides=False,
)

# A passkey's own counter of signatures as last seen (WebAuthn Level 3 §6.1.1), and when it was last shown.
passkey_uses = Table(
    "passkey_uses",
    metadata,
    Column("passkey", String(26), primary_key=True),
    Column("counter", BigInteger, nullable=False),
    Column("used_us", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# What a person is still to be told about the own account (`to_tell.py`).
to_tell = Table(
    "to_tell",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("person", String(26), nullable=False),
    Column("what", String(20), nullable=False),
    Column("why", String(40), nullable=False),
    Column("moment_us", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# `hash`: SHA-256 of the session's secret (law 9). `seal`: by the keeper over the rest, so that nobody who can write in
# the database signs himself in (law 4).
person_sessions = Table(
    "person_sessions",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("id", String(26), nullable=False),
    Column("person", String(26), nullable=False, index=True),
    Column("passkey", String(26), nullable=False),
    Column("face", String(10), nullable=False),
    Column("browser", String(64), nullable=False),
    Column("network", String(50), nullable=False),
    Column("began_us", BigInteger, nullable=False),
    Column("asserted_us", BigInteger, nullable=False),
    Column("used_us", BigInteger, nullable=False),
    Column("idle_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
    Column("seal", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
