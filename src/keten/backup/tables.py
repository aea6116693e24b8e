"""The tables of backups, of the lives that this instance has had, and of entries recovered into its log."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, String, Table, Text

from keten.core.db import metadata

# Backups that are known. `folder`: of this one backup. `recipients`: JSON. `size`: of the ledger when it was begun.
# `state`: begun, complete or forgotten.
backups = Table(
    "backups",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("folder", Text, nullable=False),
    Column("recipients", Text, nullable=False),
    Column("made_us", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("state", String(12), nullable=False),
)

# The lives of this instance: under which name its log went on from which size. `before`: the log that it goes on from
# (JSON of `Predecessor`; empty when it is the same one). `state`: unconfirmed (restored, and nobody has looked yet),
# live, moved (to another machine: this one must not go on).
lives = Table(
    "lives",
    metadata,
    Column("origin", String(200), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("since_us", BigInteger, nullable=False),
    Column("before", Text, nullable=False),
    Column("state", String(12), nullable=False),
)

# Entries of a predecessor that were proven to have existed after the backup. `leaf`: its hash.
recovered = Table(
    "recovered",
    metadata,
    Column("origin", String(200), primary_key=True),
    Column("idx", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("leaf", LargeBinary(32), primary_key=True),
)
