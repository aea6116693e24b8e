"""The rows of the register's own kinds, and all kinds by their word."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from keten.datasets.rows import datasets
from keten.identity.restraints import SIGNED_OUT, SUSPENDED
from keten.identity.rows import EndableRows, Rows, clients, people
from keten.ledger.model import Draft
from keten.suppliers import entries, tables
from keten.suppliers.model import Contract, Grant, Organisation, Supplier
from keten.systems.rows import systems

organisation = Rows(
    "organisation",
    tables.organisation,
    Organisation,
    entries.ORGANISATION_DECLARED,
    entries.ORGANISATION_CHANGED,
    lambda row: {"organisation": row.id},
)
suppliers = EndableRows(
    "supplier",
    tables.suppliers,
    Supplier,
    entries.SUPPLIER_DECLARED,
    entries.SUPPLIER_CHANGED,
    entries.SUPPLIER_ENDED,
    lambda row: {"supplier": row.id},
)
contracts = EndableRows(
    "contract",
    tables.contracts,
    Contract,
    entries.CONTRACT_DECLARED,
    entries.CONTRACT_CHANGED,
    entries.CONTRACT_ENDED,
    lambda row: {"contract": row.id, "supplier": row.supplier},
)
grants = EndableRows(
    "grant",
    tables.grants,
    Grant,
    entries.GRANT_DECLARED,
    entries.GRANT_CHANGED,
    entries.GRANT_ENDED,
    lambda row: {"grant": row.id, "dataset": row.dataset, "contract": row.contract, "supplier": row.supplier},
)

# In the order in which rows refer to each other: what is named comes before what names it.
BY_WORD: Mapping[str, EndableRows[Any]] = {
    rows.word: rows for rows in (suppliers, people, clients, contracts, systems, datasets, grants)
}
_STOPS = (
    dict.fromkeys((rows.ended.name for rows in BY_WORD.values()), "revoked")
    | dict.fromkeys(SUSPENDED, "suspended")
    | dict.fromkeys(SIGNED_OUT, "sign-in-again")
    | {entries.SUPPLIER_FROZEN.name: "supplier-frozen"}
)
ENDINGS = frozenset(rows.ended.name for rows in BY_WORD.values())
"""The kinds of entry that say that a row of the register ended."""


def stopped_by(drafts: Iterable[Draft]) -> dict[str, str]:
    """The rows that these facts end or suspend, by id, each with its reason: what hangs on one is over, undecided."""
    return {str(draft.details["row"]): _STOPS[draft.kind.name] for draft in drafts if draft.kind.name in _STOPS}
