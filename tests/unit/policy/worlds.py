"""Registers in memory, of the real types, for tests of decisions: what the policies decide upon, without a database."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import msgspec

from keten.core.errors import Corrupt
from keten.core.ids import encode_id
from keten.datasets.model import Dataset
from keten.identity.model import Client, Confirmation, Ended, Person
from keten.policy.model import Attributes
from keten.suppliers.model import Contract, Grant, Supplier

T = TypeVar("T")
DAY = 86_400_000_000
START, NOW, END = 1_000 * DAY, 1_100 * DAY, 1_200 * DAY
CONFIRMED = END + 100 * DAY
ENDED = Ended(at_us=NOW - 1, reason="test", by="operator:test")


def made_id(number: int) -> str:
    """An id of the right shape, the same for the same number."""
    return encode_id(number.to_bytes(16, "big"))


SUPPLIER, CLIENT, OTHER, PERSON, DATASET, CONTRACT, GRANT = (made_id(number) for number in range(1, 8))

ALLOWED = Attributes(
    action="open",
    time_us=NOW,
    country="NL",
    purpose="election-cards",
    checked=True,
    known=True,
    principal=CLIENT,
    principal_standing="active",
    supplier=SUPPLIER,
    supplier_active=True,
    supplier_unfrozen=True,
    dataset=DATASET,
    dataset_classification="confidential",
    dataset_active=True,
    content_expires_us=NOW + DAY,
    has_grant=True,
    grant=GRANT,
    grant_form="file",
    grant_purpose="election-cards",
    grant_to=(CLIENT,),
    grant_active=True,
    grant_confirmed_until_us=CONFIRMED,
    contract=CONTRACT,
    contract_active=True,
    contract_starts_us=START,
    contract_ends_us=END,
    contract_purposes=("election-cards",),
    contract_countries=("BE", "NL"),
)


def changed(attributes: Attributes = ALLOWED, /, **fields: Any) -> Attributes:
    """A slice with some attributes changed."""
    return msgspec.structs.replace(attributes, **fields)


class World:
    """A register in memory. `damaged`: ids whose row does not match the ledger. `reads`: how often a row was asked."""

    def __init__(self) -> None:
        self.epoch = 1
        self.reads = 0
        self.rows: dict[str, Any] = {}
        self.damaged: set[str] = set()
        self.put(Supplier(id=SUPPLIER, name="drukwerk", title="Drukwerk BV", country="NL", tier="high"))
        self.put(Client(id=CLIENT, name="drukwerk-batch", supplier=SUPPLIER, keys=()))
        self.put(Client(id=OTHER, name="drukwerk-other", supplier=SUPPLIER, keys=()))
        self.put(Person(id=PERSON, name="drukwerk-ops", supplier=SUPPLIER, sealed=""))
        self.put(
            Dataset(id=DATASET, name="voters", owner=PERSON, classification="confidential", retention_days=90)
        )
        self.put(self.contract_row())
        self.put(self.grant_row())

    def contract_row(self, id: str = CONTRACT, **fields: Any) -> Contract:
        """A running contract."""
        plain: dict[str, Any] = {
            "name": "vwo",
            "supplier": SUPPLIER,
            "starts_us": START,
            "ends_us": END,
            "starts": "",
            "ends": "",
            "purposes": ("election-cards",),
            "countries": ("BE", "NL"),
        }
        return Contract(id=id, **(plain | fields))

    def grant_row(self, id: str = GRANT, **fields: Any) -> Grant:
        """A grant in force."""
        plain: dict[str, Any] = {
            "name": "voters-for-drukwerk",
            "dataset": DATASET,
            "contract": CONTRACT,
            "supplier": SUPPLIER,
            "purpose": "election-cards",
            "form": "file",
            "label": "voters",
            "to": (CLIENT,),
            "confirm": Confirmation(30, CONFIRMED),
        }
        return Grant(id=id, **(plain | fields))

    def put(self, row: Any) -> None:
        """Declare or change a row: a new epoch."""
        self.rows[row.id] = row
        self.epoch += 1

    def change(self, id: str, /, **fields: Any) -> None:
        """Change fields of a row."""
        self.put(msgspec.structs.replace(self.rows[id], **fields))

    def remove(self, id: str) -> None:
        """Take a row away."""
        del self.rows[id]
        self.epoch += 1

    def _get(self, kind: type[T], id: str) -> T | None:
        self.reads += 1
        if id in self.damaged:
            raise Corrupt("register-mismatch", "A row does not match.", f"table rows, row {id}: test")
        row = self.rows.get(id)
        return row if isinstance(row, kind) else None

    def moment(self) -> AbstractContextManager[None]:
        return nullcontext()

    def client(self, id: str) -> Client | None:
        return self._get(Client, id)

    def person(self, id: str) -> Person | None:
        return self._get(Person, id)

    def supplier(self, id: str) -> Supplier | None:
        return self._get(Supplier, id)

    def dataset(self, id: str) -> Dataset | None:
        return self._get(Dataset, id)

    def contract(self, id: str) -> Contract | None:
        return self._get(Contract, id)

    def grants_of(self, supplier: str) -> tuple[Grant, ...]:
        self.reads += 1
        found = [row for row in self.rows.values() if isinstance(row, Grant) and row.supplier == supplier]
        for row in found:
            self._get(Grant, row.id)
        return tuple(found)

    def grants(self, dataset: str, supplier: str) -> tuple[Grant, ...]:
        return tuple(row for row in self.grants_of(supplier) if row.dataset == dataset)
