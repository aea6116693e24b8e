"""The register's tables, each row bound to its last entry."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, String

from keten.ledger.bound import bound_table
from keten.suppliers.model import Contract, Grant, Organisation, Supplier

organisation = bound_table("organisation", Organisation)
suppliers = bound_table("suppliers", Supplier)
contracts = bound_table("contracts", Contract, Column("supplier", String(26), nullable=False, index=True))
grants = bound_table(
    "grants",
    Grant,
    Column("dataset", String(26), nullable=False),
    Column("contract", String(26), nullable=False, index=True),
    Column("supplier", String(26), nullable=False, index=True),
    added=(Column("confirm_until_us", BigInteger, nullable=False, server_default="0", index=True),),
)
# What every access asks: the grants of this dataset to this supplier.
Index(None, grants.c.dataset, grants.c.supplier)
