"""The register's verbs: plan and apply an estate, and end a row. They run inside the writer's transaction.

`apply` and `end` of several callers are serialised by the one writer. `apply` must have its transaction to itself
(`alone`), for it reads every row, checked, and what was written before it in the same transaction has no entry yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count
from typing import Any, Protocol

import msgspec
from sqlalchemy import Connection

from keten.core.errors import Conflict, Corrupt, Denied, Invalid, NotFound
from keten.datasets.model import Dataset
from keten.identity.model import Addresses, Client, EndableRow, Person
from keten.identity.recovery import channels
from keten.identity.rows import Rows
from keten.ledger.model import Entry
from keten.ledger.query import Filter, find
from keten.ledger.writing import Writing
from keten.suppliers import rules
from keten.suppliers.changes import CHANGED, DECLARED, ENDED, Change, is_inside, summaries
from keten.suppliers.estate import Estate
from keten.suppliers.model import Organisation
from keten.suppliers.plan import Plan, difference
from keten.suppliers.present import Written, estate_of
from keten.suppliers.rows import BY_WORD, organisation
from keten.vault.sweeping import reschedule

NOT_IN_ESTATE = "no longer in the estate"
MAX_REASON = 500
MOST_INSIDE = 20
_NEW = "new-"  # no random id has a dash


class SubjectSeals(Protocol):
    """What is personal, under each subject's own key (`keten.vault.personal.Seals`)."""

    def seal_for(self, subject: str, data: bytes) -> str:
        """`data` under the subject's key, as base64; the key is made when there is none."""

    def make_key(self, subject: str) -> None:
        """Give a subject its key, unless it has one."""

    def open_for(self, subject: str, sealed: str) -> bytes:
        """What `seal_for` sealed. `NotFound` when the subject's key was destroyed."""

    def fingerprint(self, word: str, name: str) -> str:
        """What is kept of the name of an erased row of a kind."""


class AppliedEstate(msgspec.Struct, frozen=True):
    """What `apply` did.

    changes: one for each row that changed or stays ended: {"kind", "name", "id", "change", "fields"}.
    ids: kind → the estate's id → random id.
    damaged: objects that do not match the ledger, so that their retention could not be changed.
    """

    changes: list[dict[str, Any]]
    ids: dict[str, dict[str, str]]
    damaged: tuple[str, ...] = ()


class Ending(msgspec.Struct, frozen=True):
    """How ending a row went. `already`: it had ended before, and nothing was recorded (`index` None)."""

    row: EndableRow
    already: bool
    index: int | None = None


def plan(
    connection: Connection,
    estate: Estate,
    seals: SubjectSeals,
    now_us: int,
    *,
    outside_only: bool = False,
    actor: str = "",
) -> Plan:
    """What `apply` would do; the id of what is not there yet is "". Raises what `apply` raises; writes nothing."""
    rules.checked(estate)
    made = difference(estate, _Rows(connection), seals, now_us, _unmade(), actor)
    if outside_only:
        _require_outside(made.changes)
    changes = [msgspec.structs.replace(change, id=_made(change.id)) for change in made.changes]
    ids = {kind: {name: _made(row_id) for name, row_id in named.items()} for kind, named in made.ids.items()}
    return Plan(changes, ids, made.names)


def prepare(connection: Connection, estate: Estate, seals: SubjectSeals, now_us: int, actor: str) -> Plan:
    """Steps 1 and 2 of `apply`, ahead of the writer's transaction: with many rows they take their time.

    What it gives is for `apply` of the same estate, as long as the register has not changed.
    """
    rules.checked(estate)  # 1
    return difference(estate, _Rows(connection), seals, now_us, actor=actor)  # 2


def base(connection: Connection) -> int:
    """As of when the register is: another number after each change that an estate or a revocation makes; never 0."""
    newest = 0
    for rows in (organisation, *BY_WORD.values()):
        for kind in rows.kinds:
            for entry in find(connection, Filter(kind=kind.name, newest_first=True, limit=1)):
                newest = max(newest, entry.index)
    return newest + 1


def require_base(connection: Connection, seen: int) -> None:
    """Raises `Conflict` ("register-changed") when the register is not as of `seen` any more."""
    if base(connection) != seen:
        public = "The register was changed by somebody else since you looked: look at the difference again."
        raise Conflict("register-changed", public)


def changed_since(connection: Connection, seen: int, most: int) -> list[Entry]:
    """What estates and revocations changed since the register was as of `seen`, oldest first, at most so many."""
    found: list[Entry] = []
    for rows in (organisation, *BY_WORD.values()):
        for kind in rows.kinds:
            found.extend(find(connection, Filter(kind=kind.name, after=seen - 1, limit=most)))
    return sorted(found, key=lambda entry: entry.index)[:most]


def present(connection: Connection) -> Written:
    """The register as an estate. Raises `Corrupt` ("register-mismatch")."""
    return estate_of(_Rows(connection))


def _require_outside(changes: Iterable[Change]) -> None:
    """Raises `Denied` ("estate-inside"); its public text has a line for each change of the organisation's own."""
    inside = [f"{change.kind} {change.name}" for change in changes if is_inside(change)]
    if inside:
        shown = [*inside[:MOST_INSIDE], *(["…"] if len(inside) > MOST_INSIDE else [])]
        raise Denied("estate-inside", "\n".join(shown), f"{len(inside)} changes of the organisation's own")


def apply(
    writing: Writing,
    estate: Estate,
    actor: str,
    seals: SubjectSeals,
    prepared: Plan | None = None,
    *,
    outside_only: bool = False,
) -> AppliedEstate:
    """Make the register match `estate`, all or nothing.

    1. Check the estate again; whoever sent it is not believed.
    2. Compare it with the register as this transaction sees it, each row checked against its last entry.
    3. Write what is new, then what changed, then what ends; each with its entry.
    4. Where a dataset's retention changed, change the end of what it holds.

    outside_only: refuse what changes the organisation's own (`changes.is_inside`), as `Denied` ("estate-inside").
    prepared: what `prepare` gave for this estate, when the caller knows (by its epoch) that the register has not
    changed since; then 1 and 2 are done. Applying twice changes nothing and records nothing. Raises `Invalid`
    ("estate") with every mistake or change that can't be made, `Corrupt` ("register-mismatch"), `Conflict`
    ("transaction-shared") after other changes in the transaction, ("row-gone") when a changed row is not there.
    """
    if writing.changed:
        raise Conflict("transaction-shared", "An estate must be applied in a transaction of its own.")
    if prepared is None:
        prepared = prepare(writing.connection, estate, seals, writing.time_us, actor)  # 1, 2
    made = prepared
    if outside_only:
        _require_outside(made.changes)
    for wanted in (DECLARED, CHANGED, ENDED):  # 3
        for change in made.changes:
            if change.change == wanted:
                _write(writing, change, actor, seals)
    damaged: list[str] = []
    for change in made.changes:  # 4
        before, after = change.before, change.after
        if isinstance(before, Dataset) and isinstance(after, Dataset) and before.retention_days != after.retention_days:
            damaged.extend(reschedule(writing, after.id, after.retention_days, actor).damaged)
    return AppliedEstate(summaries(made.changes, made.names), made.ids, tuple(damaged))


def end(writing: Writing, kind: str, row_id: str, reason: str, actor: str) -> Ending:
    """End one row for ever: a supplier, person, client, contract, system, dataset or grant, by random id.

    What depends on it is left as it is: a decision looks at each of the rows it needs. Ending twice is no error, and
    told apart. Raises `NotFound` ("absent"), `Invalid` ("kind", "reason"), `Corrupt` ("register-mismatch").
    """
    rows = BY_WORD.get(kind)
    if rows is None:
        raise Invalid("kind", f"Only these can end: {', '.join(BY_WORD)}.", kind[:60])
    if not reason.strip() or len(reason) > MAX_REASON or not reason.isprintable():
        raise Invalid("reason", f"A reason is one line of at most {MAX_REASON} characters.")
    row = rows.current(writing, row_id)
    if row is None:
        raise NotFound("absent", f"There is no such {kind}.", row_id[:60])
    if row.ended is not None:
        return Ending(row, already=True)
    after = rows.end(writing, row, reason, actor)
    return Ending(after, already=False, index=writing.next_index - 1)


class _Rows:
    """The register as one connection sees it, checked row by row."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def organisation(self) -> Organisation | None:
        found = list(organisation.each(self._connection))
        if len(found) > 1:
            raise Corrupt("register-mismatch", "There is more than one organisation.", f"{len(found)} rows")
        return found[0] if found else None

    def each(self, word: str) -> Iterable[Any]:
        return BY_WORD[word].each(self._connection)


def _unmade() -> Callable[[], str]:
    """Ids for a plan: what no row has, for what would be new."""
    numbers = count(1)
    return lambda: f"{_NEW}{next(numbers)}"


def _made(row_id: str) -> str:
    return "" if row_id.startswith(_NEW) else row_id


def _write(writing: Writing, change: Change, actor: str, seals: SubjectSeals) -> None:
    rows: Rows[Any] = organisation if change.kind == "organisation" else BY_WORD[change.kind]
    before, after = change.before, change.after
    if isinstance(after, Person) and change.addresses is not None:
        sealed = seals.seal_for(after.id, msgspec.json.encode(change.addresses))
        after = msgspec.structs.replace(after, sealed=sealed)
        former = _addresses(before, seals) if isinstance(before, Person) else None
        channels.follow(writing, after.id, former, change.addresses, actor, seals)
    if change.change == ENDED:
        BY_WORD[change.kind].end(writing, before, NOT_IN_ESTATE, actor)
    elif change.change == DECLARED:
        rows.declare(writing, after, actor)
        if isinstance(after, Person | Client):
            seals.make_key(after.id)  # before any backup has the row in it
    else:
        rows.change(writing, before, after, actor)


def _addresses(row: Person, seals: SubjectSeals) -> Addresses:
    return msgspec.json.decode(seals.open_for(row.id, row.sealed), type=Addresses)
