"""What was used once and must not be used again: hashes only (law 9)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, LargeBinary, Table

from keten.core.db import metadata

# `hash`: SHA-256 of what was shown. `expires_us`: until when showing it again has to be noticed.
used_proofs = Table(
    "used_proofs",
    metadata,
    Column("hash", LargeBinary(32), primary_key=True),
    Column("expires_us", BigInteger, nullable=False, index=True),
    sqlite_with_rowid=False,
)
