"""What makes an estate right. Pure; the one place where it is said, for the file's reader and for the keeper alike."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from zoneinfo import ZoneInfo

from keten.core.errors import Invalid
from keten.core.ids import is_id
from keten.core.settings import duration
from keten.datasets.model import CATEGORIES, CLASSIFICATIONS
from keten.identity.bad_networks import read_network
from keten.identity.keys import normalised
from keten.identity.roles import STAFF, SUPPLIERS
from keten.suppliers.countries import COUNTRIES, meant
from keten.suppliers.estate import (
    UNCHANGED,
    BudgetSpec,
    CaseloadSpec,
    ClientSpec,
    ContractSpec,
    DatasetSpec,
    Estate,
    GrantSpec,
    PersonSpec,
    SourceSpec,
    SupplierSpec,
    SystemSpec,
    TableSpec,
)
from keten.suppliers.mistakes import Mistakes, Place, shown
from keten.suppliers.model import BUDGET_WINDOWS, FORMS, THEN, TIERS
from keten.suppliers.moments import end_us, start_us, zone, zone_names
from keten.systems.model import KINDS, lacks_schema

MAX_KEYS = 2  # the one in use and the one that follows it
MAX_NUMBER = 10**12
MAX_DAYS = 365 * 200
MAX_CONFIRM_DAYS = 365 * 5
MAX_HOURS = 24 * 365
MAX_EVERY = 24 * 3600
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}\Z")
_ID_SHAPE = "lowercase letters, digits, '.', '_' and '-', beginning with a letter or digit, at most 100"
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,98}[A-Za-z0-9_-])?\Z")
_LABEL_SHAPE = "letters, digits, spaces, '.', '_' and '-', at most 100; it becomes the name of a folder"
_EMAIL = re.compile(r"[^\s@<>(),;:\\\"\[\]]{1,64}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+[^\W\d_](?:[\w-]{0,61}[^\W_])\Z")
_NEEDS_BUDGET = {"release", "lookup"}
REFUSE = "refuse"
MAX_HOST = 253  # RFC 1035 §2.3.4, without the last dot
# At least two labels, the last of them no number: an address is a network.
_LABELS = r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)+"
_HOST = re.compile(rf"(?:\*\.)?{_LABELS}[A-Za-z](?:[A-Za-z0-9-]{{0,61}}[A-Za-z0-9])?\Z")
MAX_OUTSIDE = 1000
_COST = re.compile(r"[1-9][0-9]{0,3}\Z")


def check(estate: Estate, mistakes: Mistakes) -> None:
    """Note every mistake of `estate`. What follows from another mistake only is not told again."""
    _Checker(estate, mistakes).run()


def checked(estate: Estate) -> None:
    """Raise `Invalid` ("estate") with every mistake, at the lines that the items themselves name."""
    mistakes = Mistakes()
    check(estate, mistakes)
    if mistakes:
        raise refusal(estate, mistakes)


def refusal(estate: Estate, mistakes: Mistakes) -> Invalid:
    """The refusal of an estate whose file is not at hand: lines are those of its items."""
    return mistakes.refusal(estate.file, lambda place: _item_line(estate, place))


def purpose_label(grant: GrantSpec) -> str:
    """The label of a grant: its own, or its purpose."""
    return grant.label or grant.purpose


def _item_line(estate: Estate, place: Place) -> int:
    """The line of the innermost item that holds a place."""
    line = 0
    found: object = estate
    for part in place:
        if isinstance(part, int):
            found = found[part] if isinstance(found, tuple) and part < len(found) else None
        else:
            found = getattr(found, part, None)
        line = getattr(found, "line", line)
    return line


class _Checker:
    """Walks through one estate, from what is named to what names it."""

    def __init__(self, estate: Estate, mistakes: Mistakes) -> None:
        self._estate = estate
        self._mistakes = mistakes
        self._zone = zone(estate.organisation.timezone) or ZoneInfo("UTC")
        self._people: dict[str, Place] = {}
        self._own_people: set[str] = set()
        self._supplier_of_person: dict[str, str] = {}
        self._suppliers: dict[str, Place] = {}
        self._clients: dict[str, Place] = {}
        self._client_of: dict[str, str] = {}
        self._keys: dict[str, Place] = {}
        self._places: dict[str, Place] = {}
        self._contracts: dict[str, ContractSpec] = {}
        self._systems: dict[str, SystemSpec] = {}
        self._datasets: dict[str, Place] = {}
        self._tables: dict[str, TableSpec | None] = {}

    def run(self) -> None:
        """All of it."""
        estate = self._estate
        self._organisation()
        for at, person in enumerate(estate.people):
            self._person(person, ("people", at))
            self._own_people.add(person.id)
        for at, supplier in enumerate(estate.suppliers):
            self._supplier(supplier, ("suppliers", at))
        seen: dict[str, Place] = {}
        for at, contract in enumerate(estate.contracts):
            self._contract(contract, ("contracts", at), seen)
        named: dict[str, Place] = {}
        for at, system in enumerate(estate.systems):
            self._system(system, ("systems", at), named)
        for at, dataset in enumerate(estate.datasets):
            self._dataset(dataset, ("datasets", at))
        grants: dict[str, Place] = {}
        for at, grant in enumerate(estate.grants):
            self._grant(grant, ("grants", at), grants)

    # ---- each kind of item -----------------------------------------------------------------------------------

    def _organisation(self) -> None:
        organisation = self._estate.organisation
        place: Place = ("organisation",)
        self._title(organisation.name, (*place, "name"))
        self._country(organisation.country, (*place, "country"))
        if zone(organisation.timezone) is None:
            hint = self._mistakes.suggest(organisation.timezone, zone_names()) or "; Europe/Amsterdam is one"
            self._mistakes.add((*place, "timezone"), f"unknown time zone {shown(organisation.timezone)}{hint}")
        for key in ("confirm_grants_days", "confirm_roles_days"):
            self._between(getattr(organisation, key), 0, MAX_CONFIRM_DAYS, (*place, key))

    def _person(self, person: PersonSpec, place: Place, roles: tuple[str, ...] = STAFF) -> None:
        self._own_id("person", person.id, place, self._people)
        # What was written instead of an address may be personal too, so it is never repeated.
        if person.email != UNCHANGED and not _is_address(person.email):
            self._mistakes.add((*place, "email"), "this is not an e-mail address")
        if person.second_email not in ("", UNCHANGED) and not _is_address(person.second_email):
            self._mistakes.add((*place, "second_email"), "this is not an e-mail address")
        elif person.second_email != UNCHANGED and person.second_email.lower() == person.email.lower():
            self._mistakes.add((*place, "second_email"), "this is the first address again; it must be another mailbox")
        self._distinct(person.roles, (*place, "roles"))
        for at, role in enumerate(person.roles):
            self._one_of(role, roles, (*place, "roles", at), "role")

    def _supplier(self, supplier: SupplierSpec, place: Place) -> None:
        self._own_id("supplier", supplier.id, place, self._suppliers)
        self._title(supplier.name, (*place, "name"))
        self._country(supplier.country, (*place, "country"))
        self._one_of(supplier.tier, TIERS, (*place, "tier"), "tier")
        for at, person in enumerate(supplier.people):
            self._person(person, (*place, "people", at), SUPPLIERS)
            self._supplier_of_person.setdefault(person.id, supplier.id)
        for at, client in enumerate(supplier.clients):
            self._client(client, supplier, (*place, "clients", at))
        self._limit(supplier.budget, (*place, "budget"))
        self._stops(supplier.budget, (*place, "budget"))
        self._networks(supplier.networks, (*place, "networks"))
        self._hosts(supplier.hosts, (*place, "hosts"))

    def _networks(self, networks: tuple[str, ...] | None, place: Place) -> None:
        """Where a supplier's systems are; one place can't be two suppliers'."""
        if networks is not None:
            self._some(networks, place, "they are not known")
        for at, text in enumerate(networks or ()):
            try:
                self._place_of(str(read_network(text)), (*place, at))
            except ValueError as error:
                self._mistakes.add((*place, at), str(error))

    def _hosts(self, hosts: tuple[str, ...] | None, place: Place) -> None:
        if hosts is not None:
            self._some(hosts, place, "they are not known")
        for at, text in enumerate(hosts or ()):
            if len(text) > MAX_HOST or not _HOST.match(text):
                public = f"{shown(text)} is not a host such as files.example.org or *.example.org"
                self._mistakes.add((*place, at), public)
            else:
                self._place_of(text.lower(), (*place, at))

    def _place_of(self, name: str, place: Place) -> None:
        if name in self._places:
            self._mistakes.add(place, f"{shown(name)} is named already", self._places[name])
        self._places.setdefault(name, place)

    def _client(self, client: ClientSpec, supplier: SupplierSpec, place: Place) -> None:
        self._own_id("client", client.id, place, self._clients)
        self._client_of.setdefault(client.id, supplier.id)
        where = (*place, "keys")
        if not 1 <= len(client.keys) <= MAX_KEYS:
            self._mistakes.add(where, "a client has one key, or two while one takes over from the other")
        for at, line in enumerate(client.keys):
            try:
                key = normalised(line)
            except Invalid as error:
                self._mistakes.add((*where, at), error.public)
                continue
            if key in self._keys:
                self._mistakes.add((*where, at), "this key is in use already", self._keys[key])
            self._keys.setdefault(key, (*where, at))

    def _contract(self, contract: ContractSpec, place: Place, seen: dict[str, Place]) -> None:
        self._own_id("contract", contract.id, place, seen)
        self._contracts.setdefault(contract.id, contract)
        self._known(contract.supplier, self._suppliers, (*place, "supplier"), "supplier")
        starts = self._moment(contract.starts, (*place, "starts"), end=False)
        ends = self._moment(contract.ends, (*place, "ends"), end=True)
        if starts is not None and ends is not None and ends <= starts:
            which = f"it ends {shown(contract.ends)}, and starts {shown(contract.starts)}"
            self._mistakes.add((*place, "ends"), f"the contract ends before it starts: {which}")
        if not contract.purposes:
            self._mistakes.add((*place, "purposes"), "a contract needs at least one purpose")
        self._distinct(contract.purposes, (*place, "purposes"))
        for at, purpose in enumerate(contract.purposes):
            self._shape(purpose, (*place, "purposes", at), "purpose")
        if contract.countries is not None:
            self._some(contract.countries, (*place, "countries"), "the contract names no countries")
            for at, country in enumerate(contract.countries):
                self._country(country, (*place, "countries", at))
        self._between(contract.notify_within_hours, 0, MAX_HOURS, (*place, "notify_within_hours"))

    def _system(self, system: SystemSpec, place: Place, seen: dict[str, Place]) -> None:
        self._own_id("system", system.id, place, seen)
        self._systems.setdefault(system.id, system)
        self._title(system.name, (*place, "name"))
        self._one_of(system.kind, KINDS, (*place, "kind"), "kind")
        self._owner(system.owner, (*place, "owner"))

    def _owner(self, owner: str, place: Place) -> None:
        if owner in self._people and owner not in self._own_people:
            self._mistakes.add(place, "the owner must be one of the organisation's own people")
        else:
            self._known(owner, self._own_people, place, "person")

    def _dataset(self, dataset: DatasetSpec, place: Place) -> None:
        self._own_id("dataset", dataset.id, place, self._datasets)
        self._owner(dataset.owner, (*place, "owner"))
        self._one_of(dataset.classification, CLASSIFICATIONS, (*place, "classification"), "classification")
        self._between(dataset.retention_days, 0, MAX_DAYS, (*place, "retention_days"))
        self._between(dataset.confirm_days, 0, MAX_CONFIRM_DAYS, (*place, "confirm_days"))
        self._limit(dataset.breaker, (*place, "breaker"))
        self._stops(dataset.breaker, (*place, "breaker"))
        self._tables.setdefault(dataset.id, dataset.shape)
        if dataset.table is not None:
            self._table(dataset.table, (*place, "table"))
        if dataset.source is not None:
            if dataset.retention_days:
                self._mistakes.add((*place, "retention_days"), "a 'source' keeps its own content: leave this out")
            self._source(dataset.source, (*place, "source"))
            if dataset.table is not None:
                self._mistakes.add((*place, "source"), "give a 'table' that is put, or a 'source', not both")

    def _source(self, source: SourceSpec, place: Place) -> None:
        self._known(source.system, self._systems, (*place, "system"), "system")
        self._title(source.table, (*place, "table"))
        system = self._systems.get(source.system)
        if system is not None and lacks_schema(system.kind, source.table):
            self._mistakes.add((*place, "table"), "a table of PostgreSQL is named with its schema: public.persons")
        self._table(source, place)

    def _table(self, table: TableSpec, place: Place) -> None:
        names = tuple(column.name for column in table.columns)
        if not names:
            self._mistakes.add((*place, "columns"), "a table has at least one column")
        self._distinct(names, (*place, "columns"))
        for at, column in enumerate(table.columns):
            where = (*place, "columns", at)
            self._title(column.name, (*where, "name"))
            self._one_of(column.category, CATEGORIES, (*where, "category"), "category")
            if column.meaning:
                self._title(column.meaning, (*where, "meaning"))
        if names:
            self._known(table.key, names, (*place, "key"), "column")

    def _grant(self, grant: GrantSpec, place: Place, seen: dict[str, Place]) -> None:
        self._own_id("grant", grant.id, place, seen)
        self._known(grant.dataset, self._datasets, (*place, "dataset"), "dataset")
        self._known(grant.contract, self._contracts, (*place, "contract"), "contract")
        contract = self._contracts.get(grant.contract)
        if contract is not None and contract.purposes and grant.purpose not in contract.purposes:
            hint = self._mistakes.suggest(grant.purpose, contract.purposes)
            self._mistakes.add(
                (*place, "purpose"), f"contract {shown(contract.id)} lacks the purpose {shown(grant.purpose)}{hint}"
            )
        elif contract is None:
            self._shape(grant.purpose, (*place, "purpose"), "purpose")
        self._one_of(grant.form, FORMS, (*place, "form"), "form")
        if grant.to is not None:
            self._addressees(grant.to, contract, (*place, "to"))
        self._budget(grant, place)
        self._lookup(grant, place)
        if grant.label and not _LABEL.match(grant.label):
            self._mistakes.add((*place, "label"), f"a label has {_LABEL_SHAPE}")

    def _addressees(self, to: tuple[str, ...], contract: ContractSpec | None, place: Place) -> None:
        self._some(to, place, "everyone of the supplier is meant")
        for at, name in enumerate(to):
            self._addressee(name, contract, (*place, at))

    def _addressee(self, name: str, contract: ContractSpec | None, where: Place) -> None:
        """A client or a person of the supplier that the contract is with; the name must say which."""
        owners = {"client": self._client_of.get(name), "person": self._supplier_of_person.get(name)}
        found = [(word, owner) for word, owner in owners.items() if owner is not None]
        if len(found) > 1:
            self._mistakes.add(where, f"{shown(name)} is a client and a person; rename one of them")
        elif not found:
            why = "; it is a person of the organisation, not of a supplier" if name in self._own_people else ""
            hint = why or self._mistakes.suggest(name, [*self._clients, *self._supplier_of_person])
            self._mistakes.add(where, f"unknown client or person {shown(name)}{hint}")
        elif contract is not None and contract.supplier in self._suppliers and found[0][1] != contract.supplier:
            word, owner = found[0]
            self._mistakes.add(
                where, f"{word} {shown(name)} is of {shown(owner)}, the contract with {shown(contract.supplier)}"
            )

    def _budget(self, grant: GrantSpec, place: Place) -> None:
        if grant.budget is not None and grant.budgets:
            self._mistakes.add((*place, "budgets"), "give one 'budget', or several 'budgets', not both")
        if grant.budget is None and not grant.budgets and grant.form in _NEEDS_BUDGET:
            self._mistakes.add((*place, "budget"), f"a grant of form '{grant.form}' needs a budget")
        self._limit(grant.budget, (*place, "budget"))
        self._beyond(grant.budget, (*place, "budget"))
        for at, limit in enumerate(grant.budgets):
            self._limit(limit, (*place, "budgets", at))
            self._beyond(limit, (*place, "budgets", at))
        self._distinct((limit.per for limit in grant.budgets), (*place, "budgets"))

    def _limit(self, limit: BudgetSpec | None, place: Place) -> None:
        if limit is not None:
            self._between(limit.records, 1, MAX_NUMBER, (*place, "records"))
            self._one_of(limit.per, BUDGET_WINDOWS, (*place, "per"), "period")

    def _beyond(self, limit: BudgetSpec | None, place: Place) -> None:
        """What happens past a grant's budget: it goes on only up to a ceiling."""
        if limit is None:
            return
        if limit.then:
            self._one_of(limit.then, THEN, (*place, "then"), "word")
        goes_on = limit.then in THEN[1:]
        if goes_on and not limit.most:
            self._mistakes.add((*place, "most"), f"'then: {limit.then}' needs 'most', the ceiling past which it stops")
        elif goes_on:
            self._between(limit.most, limit.records, MAX_NUMBER, (*place, "most"))
        elif limit.most:
            self._mistakes.add((*place, "most"), "'most' goes with 'then: delay' or 'then: step-up'")
        if limit.every and limit.then != "delay":
            self._mistakes.add((*place, "every"), "'every' goes with 'then: delay'")
        elif limit.every:
            try:
                self._between(duration(limit.every), 1, MAX_EVERY, (*place, "every"))
            except ValueError as error:
                self._mistakes.add((*place, "every"), str(error))

    def _stops(self, limit: BudgetSpec | None, place: Place) -> None:
        """What many share always stops: it is no client's own to go on."""
        if limit is None:
            return
        for key, value in (("then", limit.then), ("most", limit.most), ("every", limit.every)):
            if value:
                self._mistakes.add((*place, key), f"only a grant's budget has '{key}'; this one stops")

    def _lookup(self, grant: GrantSpec, place: Place) -> None:
        """What goes with lookups, and only with them; a table is shared in no other way."""
        table = self._tables.get(grant.dataset)
        if grant.form != "lookup":
            self._no_lookup(grant, table, place)
            return
        if grant.dataset in self._tables and table is None:
            public = f"dataset {shown(grant.dataset)} is no table: give it a 'table', or a 'source'"
            self._mistakes.add((*place, "form"), public)
        if grant.columns is not None:
            self._some(grant.columns, (*place, "columns"), "all columns are meant")
            for at, name in enumerate(grant.columns):
                if table is not None:
                    self._known(name, [one.name for one in table.columns], (*place, "columns", at), "column")
        if grant.caseload is not None:
            self._caseload(grant.caseload, (*place, "caseload"))

    def _no_lookup(self, grant: GrantSpec, table: TableSpec | None, place: Place) -> None:
        for key, value in (("columns", grant.columns), ("caseload", grant.caseload)):
            if value is not None:
                self._mistakes.add((*place, key), f"only a grant of form 'lookup' has '{key}'")
        if table is not None and grant.form == "file":
            public = f"dataset {shown(grant.dataset)} is a table: its records are looked up, not given as a file"
            self._mistakes.add((*place, "form"), public)

    def _caseload(self, caseload: CaseloadSpec, where: Place) -> None:
        self._known(caseload.dataset, self._datasets, (*where, "dataset"), "dataset")
        cases = self._tables.get(caseload.dataset)
        if caseload.dataset in self._tables and cases is None:
            self._mistakes.add((*where, "dataset"), f"dataset {shown(caseload.dataset)} is no table")
        if cases is not None:
            self._known(caseload.column, [one.name for one in cases.columns], (*where, "column"), "column")
        cost = _COST.match(caseload.outside)
        if caseload.outside != REFUSE and (cost is None or int(cost[0]) > MAX_OUTSIDE):
            public = f"'outside' is {REFUSE}, or for how many records one outside counts: 1 to {MAX_OUTSIDE}"
            self._mistakes.add((*where, "outside"), public)

    # ---- what they have in common ----------------------------------------------------------------------------

    def _own_id(self, word: str, name: str, place: Place, seen: dict[str, Place]) -> None:
        where = (*place, "id")
        self._shape(name, where, "id")
        if name and name in seen:
            self._mistakes.add(where, f"the {word} id {shown(name)} is used already", (*seen[name], "id"))
        seen.setdefault(name, place)

    def _shape(self, name: str, place: Place, word: str) -> None:
        if not _ID.match(name):
            small = name.lower()
            hint = f"; {shown(small)} would do" if small != name and _ID.match(small) else ""
            an = "an" if word[0] in "aeiou" else "a"
            self._mistakes.add(place, f"{an} {word} has {_ID_SHAPE}; not {shown(name)}{hint}")
        elif is_id(name):
            self._mistakes.add(place, f"{shown(name)} looks like one of Keten's random ids; choose another name")

    def _known(self, name: str, known: Collection[str], place: Place, word: str) -> None:
        if name not in known:
            self._mistakes.add(place, f"unknown {word} {shown(name)}{self._mistakes.suggest(name, known)}")

    def _one_of(self, value: str, allowed: tuple[str, ...], place: Place, word: str) -> None:
        if value not in allowed:
            hint = self._mistakes.suggest(value, allowed)
            hint = hint or f"; it is one of {', '.join(allowed)}"
            self._mistakes.add(place, f"unknown {word} {shown(value)}{hint}")

    def _country(self, code: str, place: Place) -> None:
        if code not in COUNTRIES:
            right = meant(code)
            hint = f"; did you mean {shown(right)}?" if right else ""
            self._mistakes.add(place, f"{shown(code)} is not a country's two-letter code of ISO 3166-1{hint}")

    def _title(self, text: str, place: Place) -> None:
        if not 1 <= len(text) <= 200 or not text.isprintable() or text != text.strip():
            self._mistakes.add(place, "a name has 1 to 200 printable characters, none of them a space at its ends")

    def _between(self, number: int, least: int, most: int, place: Place) -> None:
        if not least <= number <= most:
            self._mistakes.add(place, f"'{place[-1]}' must be at least {least} and at most {most}, not {number}")

    def _moment(self, text: str, place: Place, *, end: bool) -> int | None:
        try:
            return end_us(text, self._zone) if end else start_us(text, self._zone)
        except ValueError as error:
            self._mistakes.add(place, f"{shown(text)}: {error}")
            return None

    def _some(self, values: tuple[str, ...], place: Place, left_out: str) -> None:
        if not values:
            self._mistakes.add(place, f"an empty list is not clear; leave '{place[-1]}' out when {left_out}")
        self._distinct(values, place)

    def _distinct(self, values: Iterable[str], place: Place) -> None:
        seen: dict[str, int] = {}
        for at, value in enumerate(values):
            if value and value in seen:
                self._mistakes.add((*place, at), f"{shown(value)} is in the list twice")
            seen.setdefault(value, at)


def _is_address(text: str) -> bool:
    return len(text) <= 254 and bool(_EMAIL.match(text))
