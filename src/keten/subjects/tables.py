"""Requests and holds, each row bound to its last entry."""

from __future__ import annotations

from sqlalchemy import Column, String

from keten.ledger.bound import bound_table
from keten.subjects.model import Hold, Request

requests = bound_table(
    "requests",
    Request,
    Column("target", String(26), nullable=False, index=True),
    Column("state", String(12), nullable=False, index=True),
)
holds = bound_table(
    "holds",
    Hold,
    Column("target", String(26), nullable=False, index=True),
    Column("state", String(12), nullable=False, index=True),
)
