"""People and clients, each row bound to its last entry."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, String

from keten.identity.model import Client, Person
from keten.ledger.bound import bound_table

people = bound_table(
    "people",
    Person,
    Column("supplier", String(26), nullable=False, index=True),
    added=(Column("confirm_until_us", BigInteger, nullable=False, server_default="0", index=True),),
)
clients = bound_table("clients", Client, Column("supplier", String(26), nullable=False, index=True))
