"""An estate: what an organisation says about itself, its suppliers and what they may have (docs/formats/estate.md).

These types mirror the estate file key by key and go to the keeper as MessagePack. They hold what was written;
whether it makes sense is for `rules.py`. `line`: where an item begins in the file; 0 when it came from elsewhere.
"""

from __future__ import annotations

import msgspec

from keten.core.errors import Invalid

UNCHANGED = "unchanged"
"""Instead of a person's address: as it is in the register, from which no address is ever written out."""


class OrganisationSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`organisation:`. Days 0: nothing has to be confirmed."""

    name: str
    country: str
    timezone: str
    confirm_grants_days: int = 0
    confirm_roles_days: int = 0
    line: int = 0


class PersonSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """An item of `people:`. A supplier's person without roles is a member. second_email "": not given."""

    id: str
    email: str
    second_email: str = ""
    roles: tuple[str, ...] = ()
    line: int = 0


class BudgetSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A `budget:`, a `breaker:`, or an item of `budgets:`. then "": stop. most 0, every "": not given."""

    records: int
    per: str
    then: str = ""
    most: int = 0
    every: str = ""


class ClientSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """An item of a supplier's `clients:`."""

    id: str
    keys: tuple[str, ...]
    line: int = 0


class SupplierSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """An item of `suppliers:`. networks, hosts None: where its systems are is not known."""

    id: str
    name: str
    country: str
    tier: str
    people: tuple[PersonSpec, ...] = ()
    clients: tuple[ClientSpec, ...] = ()
    budget: BudgetSpec | None = None
    networks: tuple[str, ...] | None = None
    hosts: tuple[str, ...] | None = None
    line: int = 0


class ContractSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """An item of `contracts:`. countries None: the contract names none. notify_within_hours 0: none agreed."""

    id: str
    supplier: str
    starts: str
    ends: str
    purposes: tuple[str, ...]
    countries: tuple[str, ...] | None = None
    notify_within_hours: int = 0
    line: int = 0


class ColumnSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """An item of a table's `columns:`."""

    name: str
    category: str
    meaning: str = ""


class TableSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A dataset's `table:`."""

    key: str
    columns: tuple[ColumnSpec, ...]


class SourceSpec(TableSpec, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A dataset's `source:`: a table that stays in a system. table: its name there."""

    system: str
    table: str


class SystemSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """An item of `systems:`."""

    id: str
    name: str
    kind: str
    owner: str
    line: int = 0


class DatasetSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """An item of `datasets:`. confirm_days 0: as the organisation says."""

    id: str
    owner: str
    classification: str
    retention_days: int
    table: TableSpec | None = None
    breaker: BudgetSpec | None = None
    source: SourceSpec | None = None
    confirm_days: int = 0
    line: int = 0

    @property
    def shape(self) -> TableSpec | None:
        """The key and columns of a table, wherever it is; None: its content is files."""
        return self.source or self.table


class CaseloadSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A grant's `caseload:`. outside: "refuse", or how many records one outside of it counts for."""

    dataset: str
    column: str
    outside: str


class GrantSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """An item of `grants:`. to None: everyone of the supplier. label "": the purpose. columns None: all.

    budgets: instead of one budget, one for each window.
    """

    id: str
    dataset: str
    contract: str
    purpose: str
    form: str
    to: tuple[str, ...] | None = None
    budget: BudgetSpec | None = None
    budgets: tuple[BudgetSpec, ...] = ()
    columns: tuple[str, ...] | None = None
    caseload: CaseloadSpec | None = None
    label: str = ""
    line: int = 0


class Estate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole estate. `file`: its name, for messages."""

    organisation: OrganisationSpec
    people: tuple[PersonSpec, ...] = ()
    suppliers: tuple[SupplierSpec, ...] = ()
    contracts: tuple[ContractSpec, ...] = ()
    systems: tuple[SystemSpec, ...] = ()
    datasets: tuple[DatasetSpec, ...] = ()
    grants: tuple[GrantSpec, ...] = ()
    file: str = "estate"


def encode(estate: Estate) -> bytes:
    """An estate on its way to the keeper."""
    return msgspec.msgpack.encode(estate)


def decode(data: bytes | msgspec.Raw) -> Estate:
    """An estate as it arrived. Its types are right; its sense is not checked yet. Raises `Invalid` ("estate")."""
    try:
        return msgspec.msgpack.decode(data, type=Estate)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid("estate", "This is not an estate.", type(error).__name__) from error
