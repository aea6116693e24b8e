"""The one door for records: from a key to a recorded, charged answer, or a refusal.

Steps 3 to 5 of a request's way (docs/architecture.md), as for objects (`opening.py`); what is read in between stays in
the keeper until all of them are done:

3. Decide, under the very grant that is named (`Lookups.evaluate`). Then find the records, and whose case they are.
4. Charge: the client's budget, its supplier's, the dataset's breaker. Misses are scored (`budgets.misses`).
5. Record, in the same transaction.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from keten.budgets import misses
from keten.budgets.model import Scope, Spent
from keten.core.errors import Corrupt, Invalid, Unavailable
from keten.exchange import entries
from keten.exchange.opening import Door, Refusals, Stale, charges_of, refs_of, scopes_of
from keten.exchange.sealed_tables import SealedTables, Version
from keten.exchange.sourced import UNAVAILABLE, Sourced, sourced
from keten.ledger.kinds import Kind
from keten.ledger.model import Draft
from keten.ledger.writing import Writing
from keten.policy.model import Allow
from keten.policy.service import Decisions, Outcome
from keten.suppliers.model import Grant
from keten.suppliers.register import Register
from keten.vault.personal import subject_erased
from keten.vault.record_ids import normal_key
from keten.vault.sealed_table import Value

T = TypeVar("T")
MOST_KEYS = 50
MAX_CASE = 200
NEAR = 8  # keys that are numbers so close to each other are neighbours
_REMEMBERED, _CLIENTS = 64, 10_000


class Lookup(msgspec.Struct, frozen=True):
    """What is asked: the records of these keys, for a case, under the grant of this id. `columns`: none for all.

    began_us: when the client signed in with what it shows.
    """

    client: str
    grant: str
    keys: tuple[str, ...]
    case: str
    country: str
    channel: str
    address: str
    columns: tuple[str, ...] = ()
    began_us: int = 0


class Ready(msgspec.Struct, frozen=True):
    """A lookup that was decided upon. For one that is allowed: where to find the records, and what they cost.

    names: the columns of what is found, in its order. records: how many the table has. failed: why the records could
    not be had, a code of docs/formats/reasons.md.
    """

    lookup: Lookup
    outcome: Outcome
    epoch: int
    columns: tuple[str, ...] = ()
    table: Version | Sourced | None = None
    caseload: Version | Sourced | None = None
    names: tuple[str, ...] = ()
    records: int = 0
    failed: str = ""
    client_name: str = ""
    scopes: tuple[Scope, ...] = ()
    timezone: str = "UTC"
    near: int = 0


class Found(msgspec.Struct, frozen=True):
    """One key's record: its id, its values (None: there is none), and whether it is outside of the caseload."""

    record: str
    values: list[Value] | None
    outside: bool = False


class Answered(msgspec.Struct, frozen=True):
    """What was recorded. `reasons`: of a refusal. `records`: one for each key, None where there is none."""

    index: int
    reasons: tuple[str, ...] = ()
    records: tuple[dict[str, Value] | None, ...] = ()
    spent: Spent | None = None
    stopped_until_us: int = 0


class Lookups:
    """Evaluates and records lookups."""

    def __init__(
        self,
        door: Door,
        register: Register,
        decisions: Decisions,
        tables: SealedTables,
        scores: misses.Scores,
    ) -> None:
        self._door = door
        self._register = register
        self._decisions = decisions
        self._tables = tables
        self._scores = scores
        self._recent: OrderedDict[str, deque[int]] = OrderedDict()
        self._missed: OrderedDict[str, deque[str]] = OrderedDict()
        self._seen = -1

    def evaluate(self, lookup: Lookup, now_us: int) -> Ready:
        """Step 3. Raises `Invalid` (record-key, keys, case, columns), `Unavailable` ("table-empty"), `Corrupt`."""
        lookup = _checked(lookup)
        epoch = self._door.fresh()
        if epoch != self._seen:
            self._tables.invalidate()
            self._seen = epoch
        outcome = self._decide(lookup, now_us)
        grant = outcome.grant
        if not isinstance(outcome.decision, Allow) or grant is None:
            return Ready(lookup, outcome, epoch)
        dataset, supplier = self._register.dataset(grant.dataset), self._register.supplier(grant.supplier)
        client = self._register.client(lookup.client) or self._register.person(lookup.client)
        organisation = self._register.organisation()
        if dataset is None or client is None:
            raise Unavailable("table-empty", "There is nothing to look up yet.", f"dataset {grant.dataset}")
        if dataset.source is not None:
            names = columns = _columns(lookup, grant, tuple(column.name for column in dataset.columns))
            table: Version | Sourced | None = sourced(self._register, dataset, dataset.source, columns)
            records = 0
        else:
            table = version = self._newest(grant.dataset)
            names, records = version.table.columns.names, version.table.records
            columns = _columns(lookup, grant, names)
        caseload = self._caseload(grant)
        gone = table is None or (grant.caseload is not None and caseload is None)
        return Ready(
            lookup,
            outcome,
            epoch,
            columns,
            table,
            caseload,
            names,
            records,
            UNAVAILABLE if gone else "",
            client.name,
            scopes_of(grant, lookup.client, supplier, dataset),
            organisation.timezone if organisation else "UTC",
            self._near(lookup),
        )

    def _decide(self, lookup: Lookup, now_us: int) -> Outcome:
        try:
            named = self._register.grant(lookup.grant)
            dataset = named.dataset if named is not None else ""
            return self._decisions.access(lookup.client, dataset, "lookup", lookup.country, now_us, grant=lookup.grant)
        except Corrupt as error:
            if error.code != "register-mismatch":
                raise
            return self._decisions.mismatch(lookup.client, "lookup", lookup.country, now_us, error.reason)

    def _newest(self, dataset: str) -> Version:
        version = self._tables.newest(dataset)
        if version is None:
            raise Unavailable("table-empty", "There is nothing to look up yet.", f"dataset {dataset}")
        return version

    def _caseload(self, grant: Grant) -> Version | Sourced | None:
        """Where the grant's caseload is; None: it has none, or that of a system which ended."""
        if grant.caseload is None:
            return None
        dataset = self._register.dataset(grant.caseload.dataset)
        if dataset is not None and dataset.source is not None:
            return sourced(self._register, dataset, dataset.source, (grant.caseload.column,))
        return self._newest(grant.caseload.dataset)

    def _near(self, lookup: Lookup) -> int:
        """How many keys are numbers next to one that this client asked for last; forgotten with the process."""
        recent = _of_client(self._recent, lookup.client)
        near = 0
        for key in lookup.keys:
            if key.isascii() and key.isdigit():
                number = int(key)
                near += any(0 < abs(number - other) <= NEAR for other in recent)
                recent.append(number)
        return near

    def committing(
        self, ready: Ready, found: Sequence[Found], refusals: Refusals
    ) -> Callable[[Writing], Answered | None]:
        """Steps 4 and 5, to be run by the writer; None when a refusal was only counted."""
        return _Committing(
            self._door, self._scores, ready, found, refusals, _of_client(self._missed, ready.lookup.client)
        )


Looked = Sequence[tuple[str, list[Value] | None]]


def matched(ready: Ready, looked: Looked, cases: Looked) -> list[Found]:
    """The records of an allowed lookup, from what was found in its table, and in its caseload."""
    grant = ready.outcome.grant
    if ready.caseload is None or grant is None or grant.caseload is None:
        return [Found(record, values) for record, values in looked]
    caseload = ready.caseload
    names = caseload.columns if isinstance(caseload, Sourced) else caseload.table.columns.names
    place = names.index(grant.caseload.column) if grant.caseload.column in names else -1
    found = []
    for (record, values), (_id, case) in zip(looked, cases, strict=True):
        text = str(case[place]) if case is not None and place >= 0 else ""
        workers = text.replace(",", " ").replace(";", " ").split()
        found.append(Found(record, values, outside=values is not None and ready.client_name not in workers))
    return found


class _Committing:
    """One lookup, in the writer's transaction."""

    def __init__(  # what one lookup needs, each by its name
        self,
        door: Door,
        scores: misses.Scores,
        ready: Ready,
        found: Sequence[Found],
        refusals: Refusals,
        missed: deque[str],
    ) -> None:
        self._missed = missed
        self._door = door
        self._scores = scores
        self._ready = ready
        self._found = found
        self._refusals = refusals

    def __call__(self, writing: Writing) -> Answered | None:
        """Refuse, or charge and record.

        1. Still allowed, under the rows and at the moment of this transaction; and the records could be had.
        2. Not stopped for guessing; and the misses of this lookup don't stop it.
        3. Outside of the caseload: as if it were not there, or dearer, as the owner chose. Where nothing else was
           found, that is recorded as a refusal, and answered as what is not there is.
        4. Charge every budget that there is, before anything is given. What is not there needs as much room in them
           as if it were, or a spent budget would tell one from the other (law 8); it is charged nothing.
        5. Record; misses count from then on: what was refused told nothing, and forgives no guess.
        """
        ready, lookup = self._ready, self._ready.lookup
        decision, grant = ready.outcome.decision, ready.outcome.grant
        if not isinstance(decision, Allow) or grant is None:
            reasons = ("no-grant",) if isinstance(decision, Allow) else tuple(decision.reasons)
            return self._refuse(writing, reasons)
        if not self._door.holds(ready.epoch) or writing.time_us >= decision.valid_until_us:  # 1
            raise Stale("stale", "Decide again.")
        if ready.failed:
            return self._refuse(writing, (ready.failed,))
        cost = grant.caseload.outside if grant.caseload is not None else 0
        found = [self._present(writing, one) for one in self._found]
        outside = sum(one.outside for one in found)
        if not cost:  # 3
            found = [Found(one.record, None, outside=True) if one.outside else one for one in found]
        given = list({one.record: one for one in found if one.values is not None}.values())
        missed = sum(one.values is None and not one.outside for one in found)
        before = self._scores.read(writing.connection, grant.id, lookup.client)  # 2
        if before.stopped_until_us > writing.time_us:
            return self._refuse(writing, ("guessing",), stopped_until_us=before.stopped_until_us)
        wrong = self._wrong(found)
        score = self._scored(writing, misses.Score() if before.stopped_until_us else before, grant, given, wrong)
        if score.guesses:
            return self._stop(writing, grant, score, missed)
        # Before the charge: sealing may fail, and a charge must never stand without the entry that follows it.
        details: dict[str, Any] = {"outcome": "allow", "asked": len(lookup.keys)}
        draft = self._draft(writing, entries.LOOKUP_ANSWERED, details, given)
        items = [(one.record, cost if one.outside else 1) for one in given]
        room = sum(max(1, cost) for one in found if one.values is None)
        taken = self._door.charge_all(writing, ready.scopes, items, ready.timezone, lookup.began_us, room)  # 4
        if isinstance(taken, Spent):
            return self._refuse(writing, (taken.code,), spent=taken, scope=taken.scope)
        self._scores.write(writing.connection, grant.id, lookup.client, score)
        self._missed.extend(wrong)
        if outside and not given:
            told: dict[str, Any] = {"outside": outside, "missed": missed, "score": [score.quick, score.patient]}
            refused = self._refuse(writing, ("outside-caseload",), always=True, **told)
            return refused and Answered(refused.index, records=(None,) * len(found))
        details |= {
            "found": sum(one.values is not None for one in found),
            "missed": missed,
            "near": ready.near,
            "outside": outside,
            "columns": list(ready.columns),
            "records": ready.records,
            "charged": sum(one.records for one in taken if one.word == "grant"),
            "charges": charges_of(taken),
            **self._door.used(ready.scopes),
            "score": [score.quick, score.patient],
        }
        index = writing.record(draft)  # 5
        return Answered(index, records=tuple(self._shown(one) for one in found))

    def _wrong(self, found: Sequence[Found]) -> set[str]:
        """What is not there and was not asked for just before: a key that is wrong again and again is one mistake."""
        return {one.record for one in found if one.values is None and not one.outside}.difference(self._missed)

    def _scored(
        self, writing: Writing, before: misses.Score, grant: Grant, given: Sequence[Found], wrong: set[str]
    ) -> misses.Score:
        """Step 2. A record that is known proves nothing, or a few known keys would hide any number of guesses."""
        if not wrong and before == misses.Score():
            return before  # nothing can lower it
        scope = Scope("grant", grant.id, self._ready.lookup.client, grant.limits)
        fresh = self._door.unknown(writing, scope, [one.record for one in given], self._ready.timezone)
        return misses.scored(before, fresh, len(wrong))

    def _present(self, writing: Writing, one: Found) -> Found:
        """A record as it may be given: whoever was erased is not there any more, whatever the table still holds."""
        if one.values is not None and subject_erased(writing.connection, one.record):
            return Found(one.record, None)
        return one

    def _shown(self, one: Found) -> dict[str, Value] | None:
        if one.values is None:
            return None
        names = self._ready.names
        return {name: one.values[names.index(name)] for name in self._ready.columns}

    def _stop(self, writing: Writing, grant: Grant, score: misses.Score, missed: int) -> Answered | None:
        """Too many misses: nothing is given, and nothing for an hour."""
        until_us = writing.time_us + misses.STOPPED_US
        stopped = msgspec.structs.replace(score, stopped_until_us=until_us)
        self._scores.write(writing.connection, grant.id, self._ready.lookup.client, stopped)
        both = [score.quick, score.patient]
        return self._refuse(writing, ("guessing",), always=True, stopped_until_us=until_us, missed=missed, score=both)

    def _refuse(
        self,
        writing: Writing,
        reasons: tuple[str, ...],
        *,
        spent: Spent | None = None,
        stopped_until_us: int = 0,
        always: bool = False,
        **more: int | str | list[int],
    ) -> Answered | None:
        lookup = self._ready.lookup
        index = -1
        if always or self._refusals.admit(lookup.client, reasons, writing.time_us):  # what has an entry is not counted
            details: dict[str, Any] = {"outcome": "deny", "reasons": list(reasons), "asked": len(lookup.keys), **more}
            if stopped_until_us:
                details["stopped_until_us"] = stopped_until_us
            index = writing.record(self._draft(writing, entries.LOOKUP_REFUSED, details, ()))
        elif not (spent or stopped_until_us):
            return None
        return Answered(index, reasons, spent=spent, stopped_until_us=stopped_until_us)

    def _draft(self, writing: Writing, kind: Kind, details: dict[str, Any], given: Sequence[Found]) -> Draft:
        lookup, outcome, table = self._ready.lookup, self._ready.outcome, self._ready.table
        details |= {
            "channel": lookup.channel,
            "policies": list(outcome.decision.policies),
            "policy_hash": outcome.policy_hash,
            "attributes": outcome.attributes,
            **self._door.place(lookup.address),
        }
        personal = self._door.sealed_address(writing, lookup.client, f"{lookup.address} case {lookup.case}".strip())
        subjects = (lookup.client, *(one.record for one in given))
        refs = refs_of(outcome, table.found if isinstance(table, Version) else None)
        if isinstance(table, Sourced):
            refs["system"] = table.system
        if outcome.attributes.dataset:
            refs["dataset"] = outcome.attributes.dataset
        return Draft(kind, lookup.client, subjects, refs, details, personal)


def _of_client(kept: OrderedDict[str, deque[T]], client: str) -> deque[T]:
    """The last few things of a client; forgotten with the process, and of those that were not here for long."""
    found = kept.setdefault(client, deque(maxlen=_REMEMBERED))
    kept.move_to_end(client)
    if len(kept) > _CLIENTS:
        kept.popitem(last=False)
    return found


def _checked(lookup: Lookup) -> Lookup:
    """The lookup with its keys normalised, each once, in the order in which they were asked."""
    if not 1 <= len(lookup.keys) <= MOST_KEYS:
        raise Invalid("keys", f"A lookup has 1 to {MOST_KEYS} keys.")
    if not 1 <= len(lookup.case) <= MAX_CASE or not lookup.case.isprintable():
        raise Invalid("case", f"A lookup names its case: 1 to {MAX_CASE} printable characters.")
    keys = tuple(dict.fromkeys(normal_key(key) for key in lookup.keys))
    if len(keys) != len(lookup.keys):
        raise Invalid("keys", "A key is asked for twice.")
    return msgspec.structs.replace(lookup, keys=keys)


def _columns(lookup: Lookup, grant: Grant, names: tuple[str, ...]) -> tuple[str, ...]:
    """Which to give, in the table's order. Raises `Invalid` ("columns") for one that is not granted."""
    granted = [name for name in names if not grant.columns or name in grant.columns]
    if not set(lookup.columns) <= set(granted):
        raise Invalid("columns", "A column is asked for that there is not, or that is not granted.")
    return tuple(name for name in granted if not lookup.columns or name in lookup.columns)
