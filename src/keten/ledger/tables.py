"""The ledger's tables. `entries` is the truth; `postings` is derived from it and can be rebuilt."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, String, Table, Text

from keten.core.db import metadata

# SQLite keeps a table in the order of its INTEGER PRIMARY KEY, so that appending entries only touches the last page.
Index = BigInteger().with_variant(Integer, "sqlite")

entries = Table(
    "entries",
    metadata,
    Column("idx", Index, primary_key=True, autoincrement=False),
    Column("id", String(26), nullable=False),
    Column("time_us", BigInteger, nullable=False),
    Column("kind", String(80), nullable=False),
    Column("payload", LargeBinary),
    Column("salt", LargeBinary),
    Column("leaf", LargeBinary, nullable=False),
)

# The signed head after the newest commit: one row.
head = Table(
    "head",
    metadata,
    Column("one", Integer, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("edge", LargeBinary, nullable=False),
    Column("note", Text, nullable=False),
    Column("time_us", BigInteger, nullable=False),
    # Every access opened before this index has its end recorded: where a keeper looks again after a crash.
    Column("low_water", BigInteger, nullable=False),
)

# Which entries declared or changed a row of the register, so that a row set back to an older state is noticed.
changes = Table(
    "changes",
    metadata,
    Column("ref", String(26), primary_key=True),
    Column("idx", Index, primary_key=True),
    sqlite_with_rowid=False,
)

# Which of the 256 entries from 256 × span concern an id or a kind ("kind:<name>"): their places, a byte each, rising.
# Filled span by span behind the newest entries.
postings = Table(
    "postings",
    metadata,
    Column("ref", String(86), primary_key=True),
    Column("span", Index, primary_key=True),
    Column("places", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

# Cosignatures of checkpoints by witnesses (`name`: the key, as name+hash; `line`: its signature line in the note), of
# the newest sizes only: a newer one covers all that an older one does.
cosignatures = Table(
    "cosignatures",
    metadata,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("name", String(300), primary_key=True),
    Column("root", LargeBinary, nullable=False),
    Column("line", Text, nullable=False),
    Column("time_us", BigInteger, nullable=False),
)

# Stamps of checkpoints by a time-stamping authority (RFC 3161, the whole response in DER).
stamps = Table(
    "stamps",
    metadata,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("root", LargeBinary, nullable=False),
    Column("note", Text, nullable=False),
    Column("stamp", LargeBinary, nullable=False),
    Column("time_us", BigInteger, nullable=False),
)

# How far each follower has read: the index of the first entry it has not yet seen.
cursors = Table(
    "cursors",
    metadata,
    Column("name", String(80), primary_key=True),
    Column("idx", BigInteger, nullable=False),
)
