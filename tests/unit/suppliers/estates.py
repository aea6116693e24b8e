"""Any estate that is right, over few names, so that estates made one after the other have much in common."""

from __future__ import annotations

from typing import Any

import msgspec
import yaml
from hypothesis import strategies as st

from keten.datasets.model import CATEGORIES, CLASSIFICATIONS
from keten.identity.roles import STAFF as ROLES
from keten.suppliers.countries import COUNTRIES
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
from keten.suppliers.model import BUDGET_WINDOWS, TIERS
from tests.unit.suppliers.instances import key_line

SUPPLIERS = ("drukwerk", "vervoer", "archief")
PURPOSES = ("election-cards", "rides", "storage.2026")
# What makes a row what it is follows from its name, so that no estate is refused after another.
CONTRACTS = {"vwo-1": "drukwerk", "vwo-2": "drukwerk", "vwo-3": "vervoer", "vwo-4": "archief"}
DATASETS = {"voters": ("file", "intake"), "patients": ("lookup", "release")}  # and in which forms each is granted
SYSTEMS = {"burgerzaken": "postgres", "archive": "sqlite"}
COLUMNS = ("bsn", "name", "ward")
GRANTS = {
    f"{dataset}-{contract}-{form}": (dataset, contract, form)
    for dataset, forms in DATASETS.items()
    for contract in CONTRACTS
    for form in forms
}
CLIENTS = {f"{supplier}-{part}": supplier for supplier in SUPPLIERS for part in ("batch", "app")}
PEOPLE = {f"{supplier}-ops": supplier for supplier in SUPPLIERS}
TITLES = st.sampled_from(["Drukwerk BV", "Zorgvervoer Zuid", "Ärchief & Zn: #1", "yes", "2026-01-01", "- x", "'q'"])
BUDGETS = st.builds(BudgetSpec, records=st.integers(1, 10**9), per=st.sampled_from(BUDGET_WINDOWS))
_MOST = st.integers(10**9, 10**12)
# Of a grant, which may go on past it.
OWN_BUDGETS = BUDGETS | st.one_of(
    st.builds(msgspec.structs.replace, BUDGETS, then=st.just("stop")),
    st.builds(msgspec.structs.replace, BUDGETS, then=st.just("step-up"), most=_MOST),
    st.builds(msgspec.structs.replace, BUDGETS, then=st.just("delay"), most=_MOST, every=st.sampled_from(["", "5m"])),
)
COUNTRY = st.sampled_from(sorted(COUNTRIES))


def some(names: Any) -> st.SearchStrategy[list[str]]:
    """Any of the names, in any order."""
    return st.lists(st.sampled_from(sorted(names)), unique=True).map(list)


@st.composite
def estates(draw: st.DrawFn) -> Estate:
    """An estate without mistakes."""
    suppliers = draw(some(SUPPLIERS))
    people = tuple(
        PersonSpec(
            id=name,
            email=f"{name}{draw(st.integers(0, 2))}@gemeente.example",
            roles=tuple(draw(some(ROLES))),
        )
        for name in draw(st.permutations(["dpo", "archivist"]))
    )
    contracts = tuple(_contract(draw, name) for name in draw(some(CONTRACTS)) if CONTRACTS[name] in suppliers)
    systems = tuple(
        SystemSpec(id=name, name=draw(TITLES), kind=SYSTEMS[name], owner="dpo") for name in draw(some(SYSTEMS))
    )
    datasets = tuple(
        DatasetSpec(
            id=name,
            owner=draw(st.sampled_from(["dpo", "archivist"])),
            classification=draw(st.sampled_from(CLASSIFICATIONS)),
            **_kept(draw, name, systems),
            breaker=draw(st.none() | BUDGETS),
        )
        for name in draw(some(DATASETS))
    )
    specs = tuple(_supplier(draw, name) for name in suppliers)
    clients = {client.id: spec.id for spec in specs for client in spec.clients}
    known = {contract.id: contract for contract in contracts}
    there = {dataset.id for dataset in datasets}
    grants = tuple(
        _grant(draw, name, known[contract], clients)
        for name in draw(some(GRANTS))
        for dataset, contract, _form in [GRANTS[name]]
        if dataset in there and contract in known
    )
    return Estate(
        organisation=OrganisationSpec(
            name=draw(TITLES),
            country=draw(COUNTRY),
            timezone=draw(st.sampled_from(["Europe/Amsterdam", "UTC", "America/Havana", "Asia/Kathmandu"])),
        ),
        people=people,
        suppliers=specs,
        contracts=contracts,
        systems=systems,
        datasets=datasets,
        grants=grants,
        file="estate.yaml",
    )


def _supplier(draw: st.DrawFn, name: str) -> SupplierSpec:
    return SupplierSpec(
        id=name,
        name=draw(TITLES),
        country=draw(COUNTRY),
        tier=draw(st.sampled_from(TIERS)),
        people=tuple(
            PersonSpec(id=one, email=f"{one}{draw(st.integers(0, 2))}@{name}.example")
            for one in draw(some([one for one, of in PEOPLE.items() if of == name]))
        ),
        clients=tuple(
            ClientSpec(id=one, keys=tuple(key_line(f"{one}-{seed}") for seed in draw(_SEEDS)))
            for one in draw(some([one for one, of in CLIENTS.items() if of == name]))
        ),
        budget=draw(st.none() | BUDGETS),
    )


def _kept(draw: st.DrawFn, name: str, systems: tuple[SystemSpec, ...]) -> dict[str, Any]:
    where = _where(draw, systems) if "lookup" in DATASETS[name] else {}
    return {**where, "retention_days": 0 if "source" in where else draw(st.integers(0, 3650))}


def _where(draw: st.DrawFn, systems: tuple[SystemSpec, ...]) -> dict[str, Any]:
    """A table that is put, or one that stays in a system."""
    table = _table(draw)
    if not systems or draw(st.booleans()):
        return {"table": table}
    system = draw(st.sampled_from(systems)).id
    named = draw(st.sampled_from(["public.people", "app.People of 2026"]))
    return {"source": SourceSpec(system=system, table=named, key=table.key, columns=table.columns)}


def _table(draw: st.DrawFn) -> TableSpec:
    columns = tuple(
        ColumnSpec(name=name, category=draw(st.sampled_from(CATEGORIES)), meaning=draw(st.sampled_from(["", "a: b"])))
        for name in draw(st.permutations(COLUMNS))
    )
    return TableSpec(key="bsn", columns=columns)


_SEEDS = st.lists(st.integers(0, 2), min_size=1, max_size=2, unique=True)


def _contract(draw: st.DrawFn, name: str) -> ContractSpec:
    return ContractSpec(
        id=name,
        supplier=CONTRACTS[name],
        starts=draw(st.sampled_from(["2026-01-01", "2026-03-29", "2025-10-26T02:30:00+01:00"])),
        ends=draw(st.sampled_from(["2026-12-31", "2026-10-25", "2027-03-28T12:00:00Z"])),
        purposes=tuple(draw(st.lists(st.sampled_from(PURPOSES), min_size=1, unique=True))),
        countries=draw(st.none() | st.lists(COUNTRY, min_size=1, max_size=4, unique=True).map(tuple)),
        notify_within_hours=draw(st.integers(0, 72)),
    )


def _grant(draw: st.DrawFn, name: str, contract: ContractSpec, clients: dict[str, str]) -> GrantSpec:
    dataset, _, form = GRANTS[name]
    own = sorted(client for client, of in clients.items() if of == contract.supplier)
    to = None
    everyone: bool = draw(st.booleans())
    if own and not everyone:
        to = tuple(draw(st.lists(st.sampled_from(own), min_size=1, unique=True)))
    budget = draw(OWN_BUDGETS) if form in ("lookup", "release") or draw(st.booleans()) else None
    budgets: tuple[BudgetSpec, ...] = ()
    columns, caseload = None, None
    if form == "lookup":
        columns = draw(st.none() | st.lists(st.sampled_from(COLUMNS), min_size=1, unique=True).map(tuple))
        outside = draw(st.sampled_from(["refuse", "1", "1000"]))
        caseload = draw(st.none() | st.just(CaseloadSpec(dataset=dataset, column="ward", outside=outside)))
        if draw(st.booleans()):
            budgets, budget = tuple(draw(st.lists(OWN_BUDGETS, min_size=1, unique_by=lambda one: one.per))), None
    return GrantSpec(
        id=name,
        dataset=dataset,
        contract=contract.id,
        purpose=draw(st.sampled_from(contract.purposes)),
        form=form,
        to=to,
        budget=budget,
        budgets=budgets,
        columns=columns,
        caseload=caseload,
        label=draw(st.sampled_from(["", "Cards 2026", "x"])),
    )


def without_lines(estate: Estate) -> Estate:
    """The same estate, as if it came from no file."""
    plain = msgspec.to_builtins(estate)
    return msgspec.convert(_clean(plain), Estate)


def written(estate: Estate) -> str:
    """The estate as a file."""
    plain = _clean(msgspec.to_builtins(estate))
    del plain["file"]
    text: str = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)
    return text


def _clean(value: Any) -> Any:
    """Without lines, and without what is left out."""
    if isinstance(value, dict):
        left_out = {"budgets": (), "meaning": ""}
        return {
            key: _clean(item)
            for key, item in value.items()
            if key != "line" and item is not None and item != left_out.get(key)
        }
    if isinstance(value, (list, tuple)):
        return [_clean(item) for item in value]
    return value
