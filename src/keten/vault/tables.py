"""The vault's tables. `objects` is bound to the ledger; the others hold wrapped keys and puts under way.

A row of `content_keys` exists exactly as long as its object is present, so its unique index is also what keeps two
present objects of one dataset from having the same name.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, String, Table, UniqueConstraint

from keten.core.db import SECRET, metadata
from keten.ledger.bound import bound_table
from keten.vault.model import Object

objects = bound_table(
    "objects",
    Object,
    Column("dataset", String(26), nullable=False),
    Column("state", String(12), nullable=False),
    Column("expires_us", BigInteger, nullable=False),
    Column("storage", String(26), nullable=False, unique=True),
)
Index("ix_objects_dataset_state_name", objects.c.dataset, objects.c.state, objects.c.name)
Index("ix_objects_state_expires_us", objects.c.state, objects.c.expires_us)

# A dataset's key, wrapped by a key derived from the root key; NULL once destroyed, so that no new one takes its place.
dataset_keys = Table(
    "dataset_keys",
    metadata,
    Column("dataset", String(26), primary_key=True),
    Column("wrapped", LargeBinary),
    info=SECRET,
)

# The key of one person's or client's personal data, wrapped likewise; NULL once destroyed.
subject_keys = Table(
    "subject_keys",
    metadata,
    Column("subject", String(26), primary_key=True),
    Column("wrapped", LargeBinary),
    info=SECRET,
)

# An object's key, wrapped by its dataset's key. `name_key`: what names that must not meet in one dataset share.
content_keys = Table(
    "content_keys",
    metadata,
    Column("object", String(26), primary_key=True),
    Column("dataset", String(26), nullable=False),
    Column("name_key", LargeBinary(32), nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    UniqueConstraint("dataset", "name_key"),
    info=SECRET,
)

# Puts under way: their row is there before the first byte is written, so a blob without any row is a leftover.
puts = Table(
    "puts",
    metadata,
    Column("object", String(26), primary_key=True),
    Column("dataset", String(26), nullable=False, index=True),
    Column("storage", String(26), nullable=False, unique=True),
    Column("name", String(200), nullable=False),
    Column("media_type", String(127), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("digest", String(60), nullable=False),
    Column("replaces", Boolean, nullable=False),
    Column("retention_days", Integer, nullable=False),
    Column("begun_us", BigInteger, nullable=False, index=True),
    Column("wrapped", LargeBinary, nullable=False),
    info=SECRET,
)
