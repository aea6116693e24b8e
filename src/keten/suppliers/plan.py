"""The difference between an estate and the register. Pure: it reads rows that it is handed, and writes nothing.

What was ended stays ended, whatever the file says (law 6): its name is spent. And what makes a row what it is –
whose contract, which dataset under which contract – does not change under the same id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from keten.budgets.model import Beyond, Limit
from keten.core.clock import SECOND
from keten.core.errors import Corrupt, NotFound
from keten.core.ids import new_id
from keten.core.settings import duration
from keten.datasets.model import Column, Dataset, Source
from keten.identity.bad_networks import read_network
from keten.identity.keys import normalised
from keten.identity.model import Addresses, Client, Confirmation, EndableRow, Person
from keten.suppliers.changes import CHANGED, DECLARED, ENDED, KEPT_ENDED, Change
from keten.suppliers.confirmation import confirming
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
    SupplierSpec,
    SystemSpec,
)
from keten.suppliers.mistakes import Mistakes, shown
from keten.suppliers.model import USUAL_EVERY, Caseload, Contract, Grant, Organisation, Supplier
from keten.suppliers.moments import end_us, start_us, zone
from keten.suppliers.rules import REFUSE, purpose_label
from keten.systems.model import System

R = TypeVar("R", bound=EndableRow)
S = TypeVar("S", bound="_Spec")


class Present(Protocol):
    """The register as it is."""

    def organisation(self) -> Organisation | None:
        """The one row of the organisation; None before the first estate."""

    def each(self, word: str) -> Iterable[Any]:
        """Every row of a kind (supplier, person, client, contract, system, dataset, grant), in any order, once."""


class Opener(Protocol):
    """Opens what is sealed under a subject's key."""

    def open_for(self, subject: str, sealed: str) -> bytes:
        """The sealed bytes. `NotFound` when the subject's key was destroyed."""

    def fingerprint(self, word: str, name: str) -> str:
        """What is kept of the name of an erased row of a kind."""


class Plan(msgspec.Struct, frozen=True):
    """What to do. ids: kind → the estate's id → random id, of all that the estate names. names: the way back."""

    changes: list[Change]
    ids: dict[str, dict[str, str]]
    names: dict[str, str]


class _Spec(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def line(self) -> int: ...


class _Of(msgspec.Struct, frozen=True):
    """A principal's spec and its supplier's name ("": the organisation)."""

    supplier: str
    spec: PersonSpec | ClientSpec

    @property
    def id(self) -> str:
        return self.spec.id

    @property
    def line(self) -> int:
        return self.spec.line


def difference(
    estate: Estate, present: Present, opener: Opener, now_us: int, fresh: Callable[[], str] = new_id, actor: str = ""
) -> Plan:
    """What has to change so that the register says what `estate` says. The estate has passed `rules.checked`.

    now_us: what has to be confirmed from now on is confirmed by this estate, at this moment. actor: who applies it, as
    entries name it; no person confirms its own roles so.

    Changes come in the order in which rows refer to each other; within a kind as in the file, then what ends.
    Raises `Invalid` ("estate") with all changes that can't be made, `Corrupt` ("register-mismatch").
    """
    planner = _Planner(estate, present, opener, now_us, fresh, actor)
    planner.run()
    return Plan(planner.changes, planner.ids, planner.names)


class _Planner:
    def __init__(
        self, estate: Estate, present: Present, opener: Opener, now_us: int, fresh: Callable[[], str], actor: str
    ) -> None:
        self._estate = estate
        self._present = present
        self._opener = opener
        self._now_us = now_us
        self._fresh = fresh
        self._actor = actor
        self._refused = Mistakes()
        self._zone = zone(estate.organisation.timezone) or ZoneInfo("UTC")
        self._contract_of: dict[str, str] = {spec.id: spec.supplier for spec in estate.contracts}
        self._confirm_of: dict[str, int] = {spec.id: spec.confirm_days for spec in estate.datasets}
        self.changes: list[Change] = []
        self.ids: dict[str, dict[str, str]] = {}
        self.names: dict[str, str] = {}
        self._resolved: dict[str, Addresses] = {}

    def run(self) -> None:
        estate = self._estate
        self._organisation()
        people = [_Of("", one) for one in estate.people]
        people += [_Of(supplier.id, one) for supplier in estate.suppliers for one in supplier.people]
        clients = [_Of(supplier.id, one) for supplier in estate.suppliers for one in supplier.clients]
        self._kind("supplier", estate.suppliers, self._supplier)
        self._kind("person", people, self._person, ("supplier",))
        self._kind("client", clients, self._client, ("supplier",))
        self._kind("contract", estate.contracts, self._contract, ("supplier",))
        self._kind("system", estate.systems, self._system)
        self._kind("dataset", estate.datasets, self._dataset)
        self._kind("grant", estate.grants, self._grant, ("dataset", "contract", "form"))
        if self._refused:
            raise self._refused.refusal(estate.file, lambda _place: 0)

    def _organisation(self) -> None:
        spec = self._estate.organisation
        before = self._present.organisation()
        row_id = before.id if before else self._fresh()
        after = Organisation(
            id=row_id,
            name=spec.name,
            country=spec.country,
            timezone=spec.timezone,
            confirm_grants_days=spec.confirm_grants_days,
            confirm_roles_days=spec.confirm_roles_days,
        )
        self.ids["organisation"] = {spec.name: row_id}
        if before != after:
            change = CHANGED if before else DECLARED
            self.changes.append(Change("organisation", spec.name, row_id, change, before, after))

    def _kind(
        self,
        word: str,
        specs: Iterable[S],
        build: Callable[[S, str, R | None], R],
        fixed: tuple[str, ...] = (),
    ) -> None:
        """Compare the rows of one kind, in two passes over each side."""
        wanted = {spec.id: spec for spec in specs}
        ids: dict[str, str] = {}
        noticed: dict[str, Change] = {}
        ends: list[Change] = []
        erased: dict[str, R] = {}
        for row in self._present.each(word):
            if fingerprint := getattr(row, "erased", ""):
                erased[fingerprint] = row
            self._remember(word, row.name, row.id)
            spec = wanted.get(row.name)
            if spec is None:
                if row.ended is None:
                    ends.append(Change(word, row.name, row.id, ENDED, row))
                continue
            if row.name in ids:
                raise Corrupt(
                    "register-mismatch",
                    "Two rows of the register have the same name; nothing was changed.",
                    f"{word} {row.name}: {ids[row.name]} and {row.id}",
                )
            ids[row.name] = row.id
            change = self._compared(word, spec, row, build, fixed)
            if change is not None:
                noticed[row.name] = change
        for name, spec in wanted.items():
            if name in noticed:
                self.changes.append(noticed[name])
            elif erased and (row := erased.get(self._opener.fingerprint(word, name))) is not None:
                ids[name] = row.id  # it stays what it is: an erased row, that ended
                self._remember(word, name, row.id)
                self.changes.append(Change(word, name, row.id, KEPT_ENDED, row))
            elif name not in ids:
                ids[name] = row_id = self._fresh()
                self._remember(word, name, row_id)
                after = build(spec, row_id, None)
                self.changes.append(Change(word, name, row_id, DECLARED, None, after, self._resolved.get(row_id)))
        self.changes.extend(sorted(ends, key=lambda change: change.name))
        self.ids[word] = ids

    def _compared(
        self, word: str, spec: S, row: R, build: Callable[[S, str, R | None], R], fixed: tuple[str, ...]
    ) -> Change | None:
        """What becomes of a row that the estate names."""
        if row.ended is not None:
            return Change(word, row.name, row.id, KEPT_ENDED, row)
        try:
            after = build(spec, row.id, row)
        except _Erased:
            self._refuse(word, spec, "what was known of this person was erased; take them out, or give a new id")
            return None
        if after == row:
            return None
        for field in fixed:
            old, new = getattr(row, field), getattr(after, field)
            if old != new:
                told = f"{shown(self.names.get(old, old))} to {shown(self.names.get(new, new))}"
                self._refuse(word, spec, f"its {field} can't change (from {told}); give it a new id")
        addresses = self._resolved.get(row.id) if isinstance(after, Person) and not after.sealed else None
        return Change(word, row.name, row.id, CHANGED, row, after, addresses)

    def _refuse(self, word: str, spec: _Spec, reason: str) -> None:
        self._refused.add_line(spec.line, f"{word} {shown(spec.id)}: {reason}")

    def _remember(self, word: str, name: str, row_id: str) -> None:
        if word != "grant":  # nothing refers to a grant
            self.names[row_id] = name

    # ---- a row from its spec ---------------------------------------------------------------------------------

    def _supplier(self, spec: SupplierSpec, row_id: str, before: Supplier | None) -> Supplier:
        return Supplier(
            id=row_id,
            name=spec.id,
            title=spec.name,
            country=spec.country,
            tier=spec.tier,
            budget=_limit(spec.budget),
            frozen=before.frozen if before else None,  # an estate gives nobody back what was taken meanwhile
            networks=tuple(sorted(str(read_network(text)) for text in spec.networks or ())),
            hosts=tuple(sorted(text.lower() for text in spec.hosts or ())),
        )

    def _person(self, of: _Of, row_id: str, before: Person | None) -> Person:
        """`sealed` stays as it is while the addresses do; "" asks for a new one."""
        roles = tuple(sorted(of.spec.roles)) if isinstance(of.spec, PersonSpec) else ()
        addresses = self._resolved[row_id] = self._addresses_for(of, before)
        sealed = before.sealed if before is not None and addresses == self._addresses_of(before) else ""
        return Person(
            id=row_id,
            name=of.id,
            supplier=self._supplier_id(of.supplier),
            sealed=sealed,
            roles=roles,
            restraint=before.restraint if before else None,
            confirm=self._person_confirm(roles, before),
        )

    def _person_confirm(self, roles: tuple[str, ...], before: Person | None) -> Confirmation | None:
        """Other roles than before are confirmed by who applies the estate, unless that is the person itself."""
        days = self._estate.organisation.confirm_roles_days if roles else 0
        kept = before is not None and (set(roles) <= set(before.roles) or self._actor == f"person:{before.id}")
        return confirming(days, before.confirm if before is not None and kept else None, self._now_us)

    def _client(self, of: _Of, row_id: str, before: Client | None) -> Client:
        lines = of.spec.keys if isinstance(of.spec, ClientSpec) else ()
        keys = tuple(sorted(normalised(line) for line in lines))
        restraint = before.restraint if before else None
        return Client(id=row_id, name=of.id, supplier=self._supplier_id(of.supplier), keys=keys, restraint=restraint)

    def _contract(self, spec: ContractSpec, row_id: str, _before: Contract | None) -> Contract:
        return Contract(
            id=row_id,
            name=spec.id,
            supplier=self._supplier_id(spec.supplier),
            starts_us=start_us(spec.starts, self._zone),
            ends_us=end_us(spec.ends, self._zone),
            starts=spec.starts,
            ends=spec.ends,
            purposes=tuple(sorted(spec.purposes)),
            countries=tuple(sorted(spec.countries or ())),
            notify_within_hours=spec.notify_within_hours,
        )

    def _dataset(self, spec: DatasetSpec, row_id: str, _before: Dataset | None) -> Dataset:
        return Dataset(
            id=row_id,
            name=spec.id,
            owner=self.ids["person"][spec.owner],
            classification=spec.classification,
            retention_days=spec.retention_days,
            key=spec.shape.key if spec.shape else "",
            columns=tuple(Column(*msgspec.structs.astuple(one)) for one in spec.shape.columns) if spec.shape else (),
            breaker=_limit(spec.breaker),
            source=Source(self.ids["system"][spec.source.system], spec.source.table) if spec.source else None,
            confirm_days=spec.confirm_days,
        )

    def _system(self, spec: SystemSpec, row_id: str, _before: System | None) -> System:
        owner = self.ids["person"][spec.owner]
        return System(id=row_id, name=spec.id, title=spec.name, kind=spec.kind, owner=owner)

    def _grant(self, spec: GrantSpec, row_id: str, before: Grant | None) -> Grant:
        principals = self.ids["person"] | self.ids["client"]  # a name in `to` is one of them alone (rules)
        limits = [_limited(one) for one in (spec.budget, *spec.budgets) if one is not None]
        return Grant(
            id=row_id,
            name=spec.id,
            dataset=self.ids["dataset"][spec.dataset],
            contract=self.ids["contract"][spec.contract],
            supplier=self._supplier_id(self._contract_of[spec.contract]),
            purpose=spec.purpose,
            form=spec.form,
            label=purpose_label(spec),
            to=tuple(sorted(principals[name] for name in spec.to or ())),
            budget_records=limits[0].records if limits else 0,
            budget_per=limits[0].per if limits else "",
            budget_beyond=limits[0].beyond if limits else None,
            more_budgets=tuple(limits[1:]),
            columns=tuple(sorted(spec.columns or ())),
            caseload=self._caseload(spec.caseload),
            confirm=confirming(
                self._confirm_of[spec.dataset] or self._estate.organisation.confirm_grants_days,
                before.confirm if before else None,
                self._now_us,
            ),
        )

    def _caseload(self, spec: CaseloadSpec | None) -> Caseload | None:
        if spec is None:
            return None
        outside = 0 if spec.outside == REFUSE else int(spec.outside)
        return Caseload(self.ids["dataset"][spec.dataset], spec.column, outside)

    def _supplier_id(self, name: str) -> str:
        return self.ids["supplier"][name] if name else ""

    def _addresses_for(self, of: _Of, before: Person | None) -> Addresses:
        """What a person's addresses become: `UNCHANGED` is as in the register; so is a second one beside it."""
        email, second = (of.spec.email, of.spec.second_email) if isinstance(of.spec, PersonSpec) else ("", "")
        if before is None:
            if UNCHANGED in (email, second):
                told = f"an e-mail address that is '{UNCHANGED}' needs one in the register; write it"
                self._refuse("person", of, told)
            return Addresses(email, second)
        held = self._addresses_of(before)
        kept = second == UNCHANGED or (email == UNCHANGED and not second)
        found = Addresses(held.email if email == UNCHANGED else email, held.second if kept else second)
        if found.second.lower() == found.email.lower():
            self._refuse("person", of, "its second e-mail address would be the first again; write both")
        return found

    def _addresses_of(self, row: Person) -> Addresses:
        try:
            return msgspec.json.decode(self._opener.open_for(row.id, row.sealed), type=Addresses)
        except NotFound as error:
            raise _Erased from error
        except msgspec.MsgspecError as error:
            raise Corrupt("personal-damaged", "Stored personal data is damaged.", f"person {row.id}") from error


def _limit(spec: BudgetSpec | None) -> Limit | None:
    return None if spec is None else _limited(spec)


def _limited(spec: BudgetSpec) -> Limit:
    if spec.then == "delay":
        return Limit(
            spec.records,
            spec.per,
            Beyond("delay", spec.most, duration(spec.every or USUAL_EVERY) * SECOND),
        )
    return Limit(spec.records, spec.per, Beyond("step-up", spec.most) if spec.then == "step-up" else None)


class _Erased(Exception):
    """The key of a person's data was destroyed."""
