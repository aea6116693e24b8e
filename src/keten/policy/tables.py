"""The sets of policies that decisions were made by, so that an old decision can be made again."""

from __future__ import annotations

from sqlalchemy import Column, String, Table, Text

from keten.core.db import metadata

# `hash` is the SHA-256 of `text` in hex: a row that was changed shows it by itself.
policy_sets = Table(
    "policy_sets",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("text", Text, nullable=False),
)
