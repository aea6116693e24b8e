"""The register as decisions read it: each row checked against its last entry, remembered until the register changes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from keten.core.db import translated
from keten.core.errors import Corrupt
from keten.core.ids import is_id, new_id
from keten.datasets.model import Dataset
from keten.datasets.rows import datasets
from keten.identity.model import Client, EndableRow, Person
from keten.identity.rows import EndableRows, clients, people
from keten.suppliers.cache import LeastRecent
from keten.suppliers.model import Contract, Grant, Organisation, Supplier
from keten.suppliers.rows import BY_WORD, contracts, grants, organisation, suppliers
from keten.systems.model import System
from keten.systems.rows import systems

T = TypeVar("T")
E = TypeVar("E", bound=EndableRow)
ROWS_KEPT = 20_000


class Register:
    """Checked, cached reads over a read-only engine.

    Every reading method raises `Corrupt` ("register-mismatch") for a row that is not what its last entry says – the
    caller denies – and `Unavailable` or `Corrupt` when the database fails. What is not there is not remembered, so
    nobody fills the cache with guesses. `rows_kept`: the most rows remembered of each kind, and again as grants by
    dataset and supplier. A lock makes it safe between threads; a cached answer never waits for the database.
    """

    def __init__(self, engine: Engine, rows_kept: int = ROWS_KEPT) -> None:
        self._engine = engine
        self._lock = threading.RLock()
        self._connection: Connection | None = None
        self._rows: dict[str, LeastRecent[str, Any]] = {word: LeastRecent(rows_kept) for word in BY_WORD}
        self._granted: LeastRecent[tuple[str, str], tuple[Grant, ...]] = LeastRecent(rows_kept)
        self._contracts: LeastRecent[str, tuple[Contract, ...]] = LeastRecent(rows_kept)
        self._organisation: Organisation | None = None
        self._epoch = 0
        self._within = False

    @property
    def epoch(self) -> int:
        """Counts the changes of the register that were announced by `invalidate`."""
        return self._epoch

    def invalidate(self) -> None:
        """The register changed: forget everything that was read."""
        with self._lock:
            self._epoch += 1
            self._organisation = None
            self._granted.clear()
            self._contracts.clear()
            for kept in self._rows.values():
                kept.clear()

    def close(self) -> None:
        """Give the connection back. The register may be used again afterwards."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- one row ---------------------------------------------------------------------------------------------

    def organisation(self) -> Organisation | None:
        """The organisation; None before the first estate was applied."""
        with self._lock:
            if self._organisation is None:
                found = self._read(lambda connection: list(organisation.each(connection)))
                if len(found) > 1:
                    raise _mismatch("there is more than one organisation")
                self._organisation = found[0] if found else None
            return self._organisation

    def supplier(self, row_id: str) -> Supplier | None:
        """The supplier with this random id."""
        return self._one(suppliers, row_id)

    def person(self, row_id: str) -> Person | None:
        """The person with this random id."""
        return self._one(people, row_id)

    def client(self, row_id: str) -> Client | None:
        """The client with this random id."""
        return self._one(clients, row_id)

    def look_for_nobody(self) -> None:
        """Read as for a client that is not there: what is there is remembered, and would be refused faster (law 8)."""
        self._one(clients, _NOBODY)

    def contract(self, row_id: str) -> Contract | None:
        """The contract with this random id."""
        return self._one(contracts, row_id)

    def system(self, row_id: str) -> System | None:
        """The system with this random id."""
        return self._one(systems, row_id)

    def dataset(self, row_id: str) -> Dataset | None:
        """The dataset with this random id."""
        return self._one(datasets, row_id)

    def grant(self, row_id: str) -> Grant | None:
        """The grant with this random id."""
        return self._one(grants, row_id)

    def named(self, kind: str, name_or_id: str) -> EndableRow | None:
        """A supplier, person, client, contract, system, dataset or grant by the estate's name or by random id.

        `ValueError` for another kind. Not cached by name.
        """
        rows: EndableRows[EndableRow] | None = BY_WORD.get(kind)
        if rows is None:
            raise ValueError(f"no kind of row: {kind!r}")
        if is_id(name_or_id):  # the rules of an estate see to it that no name looks like this
            return self._one(rows, name_or_id)
        with self._lock:
            named = self._read(lambda connection: rows.find(connection, name=name_or_id))
        if len(named) > 1:
            raise _mismatch(f"{len(named)} rows of kind {kind} have one name")
        return named[0] if named else None

    # ---- grants ----------------------------------------------------------------------------------------------

    def grants(self, dataset_id: str, supplier_id: str) -> tuple[Grant, ...]:
        """Every grant of this dataset to this supplier, the ended ones too, in the order of their last change."""
        with self._lock:
            key = (dataset_id, supplier_id)
            held = self._granted.get(key)
            if held is None:
                held = self._read(lambda connection: grants.find(connection, dataset=dataset_id, supplier=supplier_id))
                if held:
                    self._granted.put(key, held, len(held))
            return held

    def grants_of(self, supplier_id: str) -> tuple[Grant, ...]:
        """Every grant to this supplier, the ended ones too, in the order of their last change."""
        with self._lock:
            key = ("", supplier_id)
            held = self._granted.get(key)
            if held is None:
                held = self._read(lambda connection: grants.find(connection, supplier=supplier_id))
                if held:
                    self._granted.put(key, held, len(held))
            return held

    def contracts_of(self, supplier_id: str) -> tuple[Contract, ...]:
        """Every contract with this supplier, the ended ones too, in the order of their last change."""
        with self._lock:
            held = self._contracts.get(supplier_id)
            if held is None:
                held = self._read(lambda connection: contracts.find(connection, supplier=supplier_id))
                if held:
                    self._contracts.put(supplier_id, held, len(held))
            return held

    # ---- reading ---------------------------------------------------------------------------------------------

    def _one(self, rows: EndableRows[E], row_id: str) -> E | None:
        with self._lock:
            kept = self._rows[rows.word]
            held: E | None = kept.get(row_id)
            if held is None and is_id(row_id):
                held = self._read(lambda connection: rows.get(connection, row_id))
                if held is not None:
                    kept.put(row_id, held)
            return held

    @contextmanager
    def moment(self) -> Iterator[None]:
        """Everything that is read inside, and was not remembered, is of one moment of the database."""
        with self._lock:
            if self._within:
                yield
                return
            self._within = True
            try:
                yield
            finally:
                self._within = False
                self._end()

    def _read(self, read: Callable[[Connection], T]) -> T:
        """Read in a transaction of its own, or of its moment: every one sees the newest commit, none holds it back."""
        with translated():
            try:
                if self._connection is None:
                    self._connection = self._engine.connect()
                return read(self._connection)
            except DBAPIError:
                self.close()
                raise
            finally:
                if not self._within:
                    self._end()

    def _end(self) -> None:
        """Nothing was written, so nothing is lost."""
        if self._connection is not None and self._connection.in_transaction():
            self._connection.rollback()


_NOBODY = new_id()


def _mismatch(reason: str) -> Corrupt:
    return Corrupt("register-mismatch", "A row of the register does not match the ledger; it is not used.", reason)
