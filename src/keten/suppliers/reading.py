"""From an estate file to an `Estate`, or to every mistake in it with file and line (docs/formats/estate.md)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from keten.core.errors import Invalid
from keten.suppliers import rules
from keten.suppliers.document import MAX_BYTES, Document, List, Map, Node, Text, read_document
from keten.suppliers.estate import (
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
from keten.suppliers.mistakes import Mistakes, Place, plain, shown

S = TypeVar("S")
_NUMBER = re.compile(r"-?[0-9]{1,15}\Z")
_LARGE = re.compile(r"-?[0-9]{16,}\Z")

# The keys of each kind of item, and whether an item must have them.
_ESTATE = {
    "organisation": True,
    "people": False,
    "suppliers": False,
    "contracts": False,
    "systems": False,
    "datasets": False,
    "grants": False,
}
_ORGANISATION = {
    "name": True,
    "country": True,
    "timezone": True,
    "confirm_grants_days": False,
    "confirm_roles_days": False,
}
_PERSON = {"id": True, "email": True, "second_email": False, "roles": False}
_CLIENT = {"id": True, "keys": True}
_SUPPLIER = {
    "id": True,
    "name": True,
    "country": True,
    "tier": True,
    "people": False,
    "clients": False,
    "budget": False,
    "networks": False,
    "hosts": False,
}
_CONTRACT = {
    "id": True,
    "supplier": True,
    "starts": True,
    "ends": True,
    "purposes": True,
    "countries": False,
    "notify_within_hours": False,
}
_DATASET = {
    "id": True,
    "owner": True,
    "classification": True,
    "retention_days": False,
    "table": False,
    "source": False,
    "breaker": False,
    "confirm_days": False,
}
_SYSTEM = {"id": True, "name": True, "kind": True, "owner": True}
_SOURCE = {"system": True, "table": True, "key": True, "columns": True}
_TABLE = {"key": True, "columns": True}
_COLUMN = {"name": True, "category": True, "meaning": False}
_CASELOAD = {"dataset": True, "column": True, "outside": True}
_GRANT = {
    "id": True,
    "dataset": True,
    "contract": True,
    "purpose": True,
    "form": True,
    "to": False,
    "budget": False,
    "budgets": False,
    "columns": False,
    "caseload": False,
    "label": False,
}
_BUDGET = {"records": True, "per": True, "then": False, "most": False, "every": False}


def read_file(path: Path) -> Estate:
    """The estate in a file. Raises `Invalid`: "estate"; its public text has every mistake, one a line."""
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise Invalid("estate", f"{plain(str(path))}: {error.strerror or 'it cannot be read'}.") from error
    return parse(content, str(path))


def parse(content: bytes, file: str) -> Estate:
    """The estate in `content`; `file` is its name in messages.

    1. Read the document: YAML, within limits (`document.py`).
    2. Read its shape: keys, lists, texts and numbers where they belong.
    3. Check its sense (`rules.py`).

    Raises `Invalid` ("estate"); its public text has every mistake, one a line: `FILE:LINE: reason`.
    """
    mistakes = Mistakes()
    document = read_document(content, file, mistakes)  # 1
    estate = _Reader(document, mistakes).estate(file)  # 2
    if estate is not None:
        rules.check(estate, mistakes)  # 3
    if mistakes or estate is None:
        raise mistakes.refusal(file, document.line_of)
    return estate


class _Item:
    """One mapping of the file while it is read: what is there and how it must look. Blank when it was none."""

    def __init__(self, reader: _Reader, node: Node, place: Place, keys: Mapping[str, bool]) -> None:
        self._mistakes = reader.mistakes
        self._reader = reader
        self.place = place
        self.line = node.line
        self._pairs: dict[str, tuple[int, Node]] = {}
        if not isinstance(node, Map):
            if not (isinstance(node, Text) and node.refused):
                what = f"'{place[-1]}'" if place and isinstance(place[-1], str) else "this" if place else "an estate"
                needed = ", ".join(f"'{key}'" for key in keys if keys[key])
                self._mistakes.add(place, f"{what} must be a mapping with {needed}")
            self._mistakes.shut(place)
            return
        self._pairs = node.pairs
        for key in node.pairs:
            if key not in keys:
                hint = self._mistakes.suggest(key, keys)
                self._mistakes.add((*place, key), f"unknown key {shown(key)}{hint}")
        for key, required in keys.items():
            if required and key not in node.pairs:
                self._missing(key)

    def _missing(self, key: str) -> None:
        self._mistakes.add((*self.place, key), f"the key '{key}' is missing")
        self._mistakes.shut((*self.place, key))

    def text(self, key: str) -> str:
        """A text, as it is written; "" after a mistake or when there is none."""
        found = self._pairs.get(key)
        return "" if found is None else self._reader.text(found[1], (*self.place, key), f"'{key}'")

    def has(self, key: str) -> bool:
        """Whether the key is there."""
        return key in self._pairs

    def number(self, key: str, *, needed: bool = False) -> int:
        """A whole number without quotes; 0 after a mistake or when there is none.

        needed: it must be there, by what else is; what always must be stands in the keys of an item.
        """
        value = self.text(key)
        if key not in self._pairs:
            if needed:
                self._missing(key)
            return 0
        node = self._pairs[key][1]
        bare = isinstance(node, Text) and node.bare
        if bare and _NUMBER.match(value):
            return int(value)
        place = (*self.place, key)
        if bare and _LARGE.match(value):
            self._mistakes.add(place, f"'{key}' is too large")
        else:
            self._mistakes.add(place, f"'{key}' must be a whole number such as 24{'' if bare else ', without quotes'}")
        self._mistakes.shut(place)
        return 0

    def texts(self, key: str) -> tuple[str, ...] | None:
        """A list of texts; None when the key is not there."""
        if key not in self._pairs:
            return None
        place = (*self.place, key)
        node = self._list(key)
        return tuple(self._reader.text(item, (*place, at), f"an item of '{key}'") for at, item in enumerate(node))

    def items(self, key: str, keys: Mapping[str, bool], build: Callable[[_Item], S]) -> tuple[S, ...]:
        """A list of mappings, each built into something."""
        place = (*self.place, key)
        return tuple(build(_Item(self._reader, item, (*place, at), keys)) for at, item in enumerate(self._list(key)))

    def item(self, key: str, keys: Mapping[str, bool]) -> _Item | None:
        """One mapping; None when the key is not there."""
        found = self._pairs.get(key)
        return None if found is None else _Item(self._reader, found[1], (*self.place, key), keys)

    def _list(self, key: str) -> list[Node]:
        found = self._pairs.get(key)
        if found is None:
            return []
        node = found[1]
        if isinstance(node, List):
            return node.items
        place = (*self.place, key)
        if not (isinstance(node, Text) and node.refused):
            nothing = isinstance(node, Text) and node.nothing
            self._mistakes.add(
                place, f"'{key}' has nothing; leave it out, or write []" if nothing else f"'{key}' must be a list"
            )
        self._mistakes.shut(place)
        return []


class _Reader:
    """Reads the shape of an estate, noting mistakes and going on with what is right."""

    def __init__(self, document: Document, mistakes: Mistakes) -> None:
        self._root = document.root
        self.mistakes = mistakes

    def estate(self, file: str) -> Estate | None:
        """The estate; None when there is nothing to read further in. After mistakes, parts of it are blank."""
        root = self._root
        if root is None or (isinstance(root, Text) and root.nothing):
            self.mistakes.add((), "the file is empty")
            return None
        top = _Item(self, root, (), _ESTATE)
        if not isinstance(root, Map):
            return None
        named = top.item("organisation", _ORGANISATION)
        return Estate(
            organisation=_organisation(named) if named else OrganisationSpec(name="", country="", timezone=""),
            people=top.items("people", _PERSON, _person),
            suppliers=top.items("suppliers", _SUPPLIER, _supplier),
            contracts=top.items("contracts", _CONTRACT, _contract),
            systems=top.items("systems", _SYSTEM, _system),
            datasets=top.items("datasets", _DATASET, _dataset),
            grants=top.items("grants", _GRANT, _grant),
            file=file,
        )

    def text(self, node: Node, place: Place, what: str) -> str:
        """A scalar as it is written."""
        if isinstance(node, Text) and not node.nothing:
            return node.value
        if not (isinstance(node, Text) and node.refused):
            self.mistakes.add(place, f"{what} {'has no value' if isinstance(node, Text) else 'must be one value'}")
        self.mistakes.shut(place)
        return ""


def _organisation(item: _Item) -> OrganisationSpec:
    return OrganisationSpec(
        name=item.text("name"),
        country=item.text("country"),
        timezone=item.text("timezone"),
        confirm_grants_days=item.number("confirm_grants_days"),
        confirm_roles_days=item.number("confirm_roles_days"),
        line=item.line,
    )


def _person(item: _Item) -> PersonSpec:
    return PersonSpec(
        id=item.text("id"),
        email=item.text("email"),
        second_email=item.text("second_email"),
        roles=item.texts("roles") or (),
        line=item.line,
    )


def _client(item: _Item) -> ClientSpec:
    return ClientSpec(id=item.text("id"), keys=item.texts("keys") or (), line=item.line)


def _supplier(item: _Item) -> SupplierSpec:
    return SupplierSpec(
        id=item.text("id"),
        name=item.text("name"),
        country=item.text("country"),
        tier=item.text("tier"),
        people=item.items("people", _PERSON, _person),
        clients=item.items("clients", _CLIENT, _client),
        budget=_budget(item, "budget"),
        networks=item.texts("networks"),
        hosts=item.texts("hosts"),
        line=item.line,
    )


def _contract(item: _Item) -> ContractSpec:
    return ContractSpec(
        id=item.text("id"),
        supplier=item.text("supplier"),
        starts=item.text("starts"),
        ends=item.text("ends"),
        purposes=item.texts("purposes") or (),
        countries=item.texts("countries"),
        notify_within_hours=item.number("notify_within_hours"),
        line=item.line,
    )


def _dataset(item: _Item) -> DatasetSpec:
    return DatasetSpec(
        id=item.text("id"),
        owner=item.text("owner"),
        classification=item.text("classification"),
        retention_days=item.number("retention_days", needed=not item.has("source")),
        table=_table(item),
        source=_source(item),
        breaker=_budget(item, "breaker"),
        confirm_days=item.number("confirm_days"),
        line=item.line,
    )


def _system(item: _Item) -> SystemSpec:
    return SystemSpec(
        id=item.text("id"),
        name=item.text("name"),
        kind=item.text("kind"),
        owner=item.text("owner"),
        line=item.line,
    )


def _source(item: _Item) -> SourceSpec | None:
    source = item.item("source", _SOURCE)
    if source is None:
        return None
    return SourceSpec(
        system=source.text("system"),
        table=source.text("table"),
        key=source.text("key"),
        columns=source.items("columns", _COLUMN, _column),
    )


def _table(item: _Item) -> TableSpec | None:
    table = item.item("table", _TABLE)
    if table is None:
        return None
    return TableSpec(key=table.text("key"), columns=table.items("columns", _COLUMN, _column))


def _column(item: _Item) -> ColumnSpec:
    return ColumnSpec(name=item.text("name"), category=item.text("category"), meaning=item.text("meaning"))


def _budget(item: _Item, key: str) -> BudgetSpec | None:
    budget = item.item(key, _BUDGET)
    return None if budget is None else _limit(budget)


def _limit(item: _Item) -> BudgetSpec:
    return BudgetSpec(
        records=item.number("records"),
        per=item.text("per"),
        then=item.text("then"),
        most=item.number("most"),
        every=item.text("every"),
    )


def _caseload(item: _Item) -> CaseloadSpec | None:
    found = item.item("caseload", _CASELOAD)
    if found is None:
        return None
    return CaseloadSpec(dataset=found.text("dataset"), column=found.text("column"), outside=found.text("outside"))


def _grant(item: _Item) -> GrantSpec:
    return GrantSpec(
        id=item.text("id"),
        dataset=item.text("dataset"),
        contract=item.text("contract"),
        purpose=item.text("purpose"),
        form=item.text("form"),
        to=item.texts("to"),
        budget=_budget(item, "budget"),
        budgets=item.items("budgets", _BUDGET, _limit),
        columns=item.texts("columns"),
        caseload=_caseload(item),
        label=item.text("label"),
        line=item.line,
    )
