"""Tables of recovery; all of them are bound to the ledger."""

from __future__ import annotations

from sqlalchemy import Column, String

from keten.identity.recovery.model import Case
from keten.identity.recovery.rows import ChannelRow, Freeze, Secret
from keten.ledger.bound import bound_table

cases = bound_table(
    "recovery_cases",
    Case,
    Column("person", String(26), nullable=False, index=True),
    Column("supplier", String(26), nullable=False, index=True),
    Column("state", String(10), nullable=False, index=True),
    decides=False,
)
channels = bound_table(
    "recovery_channels", ChannelRow, Column("person", String(26), nullable=False, index=True), decides=False
)
secrets = bound_table(
    "recovery_secrets",
    Secret,
    Column("case", String(26), nullable=False, index=True),
    Column("hash", String(64), nullable=False, index=True),
    decides=False,
)
freezes = bound_table(
    "recovery_freezes", Freeze, Column("supplier", String(26), nullable=False, index=True), decides=False
)
