"""Ending access of a supplier, contract, person, client or grant, and destroying content. It stays so (law 6)."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection

from keten.core.errors import Invalid
from keten.datasets.model import Dataset
from keten.datasets.rows import datasets
from keten.identity.model import EndableRow
from keten.ledger.writing import Writing
from keten.subjects import holds
from keten.subjects.model import Hold
from keten.suppliers import service as suppliers
from keten.suppliers.register import Register
from keten.suppliers.rows import contracts, grants
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


class Covered(msgspec.Struct, frozen=True):
    """What a contract covers. alone: datasets that nobody else may still use. kept: the others, each with who does.

    gone: ids of those that are destroyed.
    """

    alone: tuple[Dataset, ...]
    kept: tuple[str, ...]
    gone: tuple[str, ...] = ()


def covered_alone(connection: Connection, contract: str, now_us: int, agreed_us: int = 0) -> Covered:
    """The datasets that were granted under a contract and have not been destroyed. Raises `Corrupt`.

    A dataset is kept while a grant under another contract that has neither ended nor is over still stands. agreed_us:
    when two people agreed to its destruction, if they did: what was kept then is kept, for they did not agree to that.
    """
    moments = (now_us, agreed_us or now_us)
    alone: list[Dataset] = []
    kept: list[str] = []
    gone: list[str] = []
    for dataset_id in sorted({grant.dataset for grant in grants.find(connection, contract=contract)}):
        dataset = datasets.get(connection, dataset_id)
        if dataset is None:
            continue
        if destroyed(connection, dataset):
            gone.append(dataset_id)
            continue
        users = [
            other.name
            for grant in grants.find(connection, dataset=dataset_id)
            if grant.contract != contract
            if (other := contracts.get(connection, grant.contract)) is not None
            if any(_stood(grant, at) and _stood(other, at) and at < other.ends_us for at in moments)
        ]
        if users:
            kept.append(f"dataset {dataset.name}: {', '.join(sorted(set(users)))} still uses it")
        else:
            alone.append(dataset)
    return Covered(tuple(alone), tuple(kept), tuple(gone))


def _stood(row: EndableRow, at_us: int) -> bool:
    """Whether a row had not been ended at a moment."""
    return row.ended is None or at_us < row.ended.at_us


def holds_against(connection: Connection, kind: str, target: str, now_us: int) -> list[Hold]:
    """The legal holds that forbid to destroy this dataset, object or contract now. Raises `Corrupt`."""
    if kind == "object":
        found = vault.object(connection, target)
        return holds.on_datasets(connection, [found.dataset] if found else [], now_us)
    if kind == "contract":
        covered = [one.id for one in covered_alone(connection, target, now_us).alone]
        return [*holds.on_contract(connection, target, now_us), *holds.on_datasets(connection, covered, now_us)]
    return holds.on_datasets(connection, [target], now_us)
