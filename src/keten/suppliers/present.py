"""From the register back to an estate file, which applied again changes nothing (docs/formats/estate.md).

No address of a person is in it: those are sealed, and `unchanged` stands for each. What has ended is left out, but for
what something that stands still refers to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import msgspec
import yaml

from keten.budgets.model import Limit
from keten.core.clock import SECOND, rfc3339
from keten.datasets.model import Dataset
from keten.identity.model import Client, EndableRow, Person
from keten.suppliers.estate import (
    UNCHANGED,
    BudgetSpec,
    CaseloadSpec,
    ClientSpec,
    ColumnSpec,
    ContractSpec,
    DatasetSpec,
    Estate,
    GrantSpec,
    OrganisationSpec,
    PersonSpec,
    SourceSpec,
    SupplierSpec,
    SystemSpec,
    TableSpec,
)
from keten.suppliers.model import Caseload, Contract, Grant, Organisation, Supplier
from keten.suppliers.plan import Present
from keten.suppliers.rules import REFUSE
from keten.systems.model import System

WIDTH = 120
_UNITS = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))
_SECTIONS = ("people", "suppliers", "contracts", "systems", "datasets", "grants")


class Written(msgspec.Struct, frozen=True):
    """The register as an estate. ended: kind and name of what is in it and over for ever, with since when and why."""

    estate: Estate
    ended: dict[tuple[str, str], str]


class _Named(Protocol):
    @property
    def id(self) -> str: ...


def estate_of(present: Present) -> Written:
    """The register as an estate; its items by name.

    1. Every row that stands, and, over again, every row that one of these refers to.
    2. Each as the estate file has it, with names for ids.

    Raises `Corrupt` ("register-mismatch") as `present` does: of a register with a row that does not hold, no file is
    made, for it would end what it leaves out.
    """
    rows = {word: {row.id: row for row in present.each(word)} for word in _WORDS}
    chosen = _chosen(rows)  # 1
    writing = _Writing(rows, chosen)  # 2
    organisation = present.organisation()
    estate = Estate(
        organisation=_organisation(organisation),
        people=tuple(writing.people("")),
        suppliers=tuple(writing.supplier(row) for row in writing.rows("supplier")),
        contracts=tuple(writing.contract(row) for row in writing.rows("contract")),
        systems=tuple(writing.system(row) for row in writing.rows("system")),
        datasets=tuple(writing.dataset(row) for row in writing.rows("dataset")),
        grants=tuple(writing.grant(row) for row in writing.rows("grant")),
    )
    ended = {
        (word, row.name): f"{rfc3339(row.ended.at_us)}: {row.ended.reason}"
        for word in _WORDS
        for row in writing.rows(word)
        if row.ended is not None
    }
    return Written(estate, ended)


def text_of(written: Written, heading: str = "") -> str:
    """The estate as YAML that `reading.parse` reads. heading: lines of a comment at its top."""
    parts = [f"# {line}\n" for line in heading.splitlines()]
    parts.append(_yaml({"organisation": _plain(written.estate.organisation)}))
    words = {"people": "person"} | {f"{word}s": word for word in _WORDS}
    for section in _SECTIONS:
        items: tuple[_Named, ...] = getattr(written.estate, section)
        if not items:
            continue
        parts.append(f"\n{section}:\n")
        for item in items:
            since = written.ended.get((words[section], item.id))
            parts.append(f"  # ended {since}\n" if since else "")
            parts.append(_indented(_yaml([_plain(item)])))
    return "".join(parts)


_WORDS = ("supplier", "person", "client", "contract", "system", "dataset", "grant")


def _references(row: EndableRow) -> Iterator[tuple[str, str]]:
    """What a row names: the kind, and the id."""
    match row:
        case Person() | Client():
            yield "supplier", row.supplier
        case Contract():
            yield "supplier", row.supplier
        case System():
            yield "person", row.owner
        case Dataset():
            yield "person", row.owner
            if row.source is not None:
                yield "system", row.source.system
        case Grant():
            yield from (("dataset", row.dataset), ("contract", row.contract), ("supplier", row.supplier))
            yield from ((word, one) for one in row.to for word in ("client", "person"))
            if row.caseload is not None:
                yield "dataset", row.caseload.dataset


def _chosen(rows: Mapping[str, Mapping[str, EndableRow]]) -> set[str]:
    waiting = [row for some in rows.values() for row in some.values() if row.ended is None]
    chosen = {row.id for row in waiting}
    while waiting:
        for word, row_id in _references(waiting.pop()):
            found = rows[word].get(row_id)
            if found is not None and row_id not in chosen:
                chosen.add(row_id)
                waiting.append(found)
    return chosen


class _Writing:
    """Rows as specs. Names are those of rows; an id stays where there is no row of it."""

    def __init__(self, rows: Mapping[str, Mapping[str, Any]], chosen: set[str]) -> None:
        self._rows = rows
        self._chosen = chosen
        self._names: dict[str, str] = {row.id: row.name for some in rows.values() for row in some.values()}
        self._of: dict[tuple[str, str], list[Any]] = {}
        self._grants_under: dict[str, list[Grant]] = {}
        for grant in self.rows("grant"):
            self._grants_under.setdefault(grant.contract, []).append(grant)
        for word in ("person", "client"):
            for row in self.rows(word):
                self._of.setdefault((word, row.supplier), []).append(row)

    def rows(self, word: str) -> list[Any]:
        """What is written of a kind, by name. Of whom was erased only an id is left, which no file names."""
        found = (row for row in self._rows[word].values() if row.id in self._chosen and not getattr(row, "erased", ""))
        return sorted(found, key=lambda row: row.name)

    def people(self, supplier: str) -> Iterator[PersonSpec]:
        """The people of a supplier (id), "" for the organisation's own."""
        for row in self._of.get(("person", supplier), ()):
            yield PersonSpec(id=row.name, email=UNCHANGED, roles=row.roles)

    def supplier(self, row: Supplier) -> SupplierSpec:
        """A supplier with its people and clients."""
        clients = (ClientSpec(id=one.name, keys=one.keys) for one in self._of.get(("client", row.id), ()))
        return SupplierSpec(
            id=row.name,
            name=row.title,
            country=row.country,
            tier=row.tier,
            people=tuple(self.people(row.id)),
            clients=tuple(clients),
            budget=_limit(row.budget) if row.budget else None,
            networks=row.networks or None,
            hosts=row.hosts or None,
        )

    def contract(self, row: Contract) -> ContractSpec:
        """A contract, with its moments as they were written.

        One that had ended when it was to get another purpose stayed as it was; a grant for it was declared, and gives
        nothing. In a file the contract has to name it.
        """
        purposes = set(row.purposes)
        if row.ended is not None:
            purposes |= {one.purpose for one in self._grants_under.get(row.id, ())}
        return ContractSpec(
            id=row.name,
            supplier=self._name(row.supplier),
            starts=row.starts,
            ends=row.ends,
            purposes=tuple(sorted(purposes)),
            countries=row.countries or None,
            notify_within_hours=row.notify_within_hours,
        )

    def system(self, row: System) -> SystemSpec:
        """A system."""
        return SystemSpec(id=row.name, name=row.title, kind=row.kind, owner=self._name(row.owner))

    def dataset(self, row: Dataset) -> DatasetSpec:
        """A dataset: files, a table, or a table that stays in a system."""
        columns = tuple(ColumnSpec(name=one.name, category=one.category, meaning=one.meaning) for one in row.columns)
        source = None
        if row.source is not None:
            system = self._name(row.source.system)
            source = SourceSpec(system=system, table=row.source.table, key=row.key, columns=columns)
        return DatasetSpec(
            id=row.name,
            owner=self._name(row.owner),
            classification=row.classification,
            retention_days=row.retention_days,
            table=TableSpec(key=row.key, columns=columns) if columns and source is None else None,
            source=source,
            breaker=_limit(row.breaker) if row.breaker else None,
            confirm_days=row.confirm_days,
        )

    def grant(self, row: Grant) -> GrantSpec:
        """A grant."""
        limits = tuple(_limit(one) for one in row.limits)
        return GrantSpec(
            id=row.name,
            dataset=self._name(row.dataset),
            contract=self._name(row.contract),
            purpose=row.purpose,
            form=row.form,
            to=tuple(sorted(self._name(one) for one in row.to)) or None,
            budget=limits[0] if len(limits) == 1 else None,
            budgets=limits if len(limits) > 1 else (),
            columns=row.columns or None,
            caseload=self._caseload(row.caseload) if row.caseload else None,
            label="" if row.label == row.purpose else row.label,
        )

    def _caseload(self, found: Caseload) -> CaseloadSpec:
        outside = str(found.outside) if found.outside else REFUSE
        return CaseloadSpec(dataset=self._name(found.dataset), column=found.column, outside=outside)

    def _name(self, row_id: str) -> str:
        return self._names.get(row_id, row_id)


def _organisation(row: Organisation | None) -> OrganisationSpec:
    if row is None:
        return OrganisationSpec(name="", country="", timezone="")
    return OrganisationSpec(
        name=row.name,
        country=row.country,
        timezone=row.timezone,
        confirm_grants_days=row.confirm_grants_days,
        confirm_roles_days=row.confirm_roles_days,
    )


def _limit(limit: Limit) -> BudgetSpec:
    beyond = limit.beyond
    if beyond is None:
        return BudgetSpec(records=limit.records, per=limit.per)
    every = _duration(beyond.every_us // SECOND) if beyond.every_us else ""
    return BudgetSpec(records=limit.records, per=limit.per, then=beyond.then, most=beyond.most, every=every)


def _duration(seconds: int) -> str:
    unit, length = next((unit, length) for unit, length in _UNITS if seconds % length == 0)
    return f"{seconds // length}{unit}"


def _plain(spec: Any) -> dict[str, Any]:
    """A spec as mappings and lists, in the order of the format; what is not given is left out."""
    found: dict[str, Any] = msgspec.to_builtins(spec)
    if isinstance(spec, SupplierSpec):  # the empty lists of it are given by no one
        found["people"] = [_plain(one) for one in spec.people]
        found["clients"] = [_plain(one) for one in spec.clients]
    if isinstance(spec, DatasetSpec) and spec.source is not None:
        found.pop("retention_days")
    return {name: value for name, value in found.items() if name != "line" and value not in (None, (), [])}


def _yaml(value: Any) -> str:
    made: str = yaml.dump(
        value, Dumper=yaml.CSafeDumper, default_flow_style=False, sort_keys=False, allow_unicode=True, width=WIDTH
    )
    return made


def _indented(text: str) -> str:
    return "".join(f"  {line}\n" if line else "\n" for line in text.splitlines())
