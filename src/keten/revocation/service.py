"""Ending access of a supplier, contract, person, client or grant, and destroying a dataset. It stays so (law 6)."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection

from keten.core.errors import Invalid
from keten.datasets.model import Dataset
from keten.identity.model import EndableRow
from keten.ledger.writing import Writing
from keten.suppliers import service as suppliers
from keten.suppliers.register import Register
from keten.vault import service as vault
from keten.vault.keys import Keys

KINDS = ("supplier", "contract", "person", "client", "grant")


class Ended(msgspec.Struct, frozen=True):
    """How a revocation went. `index`: its entry; None when the row had ended before and nothing was recorded."""

    row: EndableRow
    index: int | None


class Destruction(msgspec.Struct, frozen=True):
    """How destroying a dataset went.

    ended, key: the entries that say so; None when it had ended, or had no key that could be destroyed.
    removed: blobs to delete once it is durable.
    """

    ended: int | None
    key: int | None
    removed: tuple[str, ...] = ()


def target(register: Register, kind: str, name_or_id: str) -> EndableRow:
    """The row that is to end. Raises `Invalid` ("kind", "unknown-name")."""
    if kind not in KINDS:
        raise Invalid("kind", f"Access can be ended for: {', '.join(KINDS)}; not for {kind!r}.")
    row = register.named(kind, name_or_id)
    if row is None:
        raise Invalid("unknown-name", f"There is no {kind} {name_or_id!r} in the register.")
    return row


def end(writing: Writing, kind: str, row_id: str, reason: str, actor: str) -> Ended:
    """End access through this row, now and for good. Raises `Invalid` ("reason")."""
    done = suppliers.end(writing, kind, row_id, reason.strip(), actor)
    return Ended(done.row, None if done.already else writing.next_index - 1)


def dataset(register: Register, name_or_id: str) -> Dataset:
    """The dataset that is to be destroyed. Raises `Invalid` ("unknown-name")."""
    row = register.named("dataset", name_or_id)
    if not isinstance(row, Dataset):
        raise Invalid("unknown-name", f"There is no dataset {name_or_id!r} in the register.")
    return row


def destroyed(connection: Connection, found: Dataset) -> bool:
    """Whether a dataset has ended and there is no key to its content."""
    return found.ended is not None and not vault.has_key(connection, found.id)


def destroy(writing: Writing, keys: Keys, dataset_id: str, reason: str, actor: str) -> Destruction:
    """End a dataset and destroy its key, in one transaction: nobody can read its content, or put any, ever again.

    Its objects end with it, the first of them here and the others by `vault.sweeping.destroy_keyless`. Again is no
    error and no entry. Raises `Invalid` ("reason"), `NotFound` ("absent"), `Corrupt` ("register-mismatch").
    """
    ended = end(writing, "dataset", dataset_id, reason, actor).index
    if not vault.has_key(writing.connection, dataset_id):
        return Destruction(ended, None)
    gone = vault.destroy_dataset_key(writing, keys, dataset_id, reason, actor)
    return Destruction(ended, gone.index, gone.removed)
