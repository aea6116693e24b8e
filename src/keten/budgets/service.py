"""Charging budgets, in the transaction that records the access (law 12).

The table is the truth; counters in memory only spare its reading. A counter is complete or it is not there, so a
transaction that is rolled back is undone by letting go of the counters it touched.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select

from keten.budgets import entries
from keten.budgets.model import UNLIMITED, Budgeted, Charge, Charged, Left, Limit, Scope, Spent, Taken, Used, Window
from keten.budgets.rules import LONGEST_DAYS, kept_from, window, zone
from keten.budgets.tables import budget_charges
from keten.core.errors import Invalid
from keten.core.ids import new_id
from keten.ledger.model import Draft
from keten.ledger.writing import Writing

__all__ = ["Budgets", "Charged", "Left", "Spent", "charges", "drop_old", "left", "spend_rest"]

MAX_COUNTERS = 50_000
MAX_OBJECTS = 10_000  # remembered per counter; past that, whether an object was charged is read from the table
MAX_REMEMBERED = 500_000  # objects remembered by all counters together
_LONGEST_US = LONGEST_DAYS * 86_400_000_000
_INSERT = insert(budget_charges)
_Key = tuple[str, str]


class _Counter:
    """What was spent in one window of a scope. `objects` None: too many to remember."""

    __slots__ = ("objects", "spent", "window")

    def __init__(self, counted: Window) -> None:
        self.window = counted
        self.spent = 0
        self.objects: set[str] | None = set()

    def add(self, object_id: str, records: int) -> None:
        self.spent += records
        if self.objects is not None:
            self.objects.add(object_id)
            if len(self.objects) > MAX_OBJECTS:
                self.objects = None

    @property
    def remembered(self) -> int:
        return 0 if self.objects is None else len(self.objects)


class _Needed:
    """An object that is asked for, and the counters in whose windows it was not charged yet."""

    __slots__ = ("counters", "item", "records")

    def __init__(self, item: str, records: int) -> None:
        self.item = item
        self.records = records
        self.counters: list[_Counter] = []

    @property
    def start_us(self) -> int:
        """The start of the window that begins last: an earlier charge of it, in a longer window, was before that."""
        return max(counter.window.start_us for counter in self.counters)


class Budgets:
    """Counters over `budget_charges`, within the writer's transaction, which ends with `commit` or `rollback`."""

    def __init__(self) -> None:
        self._counters: OrderedDict[_Key, tuple[_Counter, ...]] = OrderedDict()  # one for each limit of a scope
        self._remembered = 0
        self._touched: set[_Key] = set()
        self._windows: dict[tuple[str, str], Window] = {}

    def charge(
        self,
        writing: Writing,
        grant: Budgeted,
        client_id: str,
        object_id: str,
        records: int,
        at_us: int,
        tz: str,
    ) -> Charged | Spent:
        """`charge_all` of one object in the one scope of a grant and a client."""
        if records < 0:
            raise Invalid("records", "The number of records is 0 or more.", str(records))
        if grant.budget_records <= 0:
            return Charged(0, UNLIMITED, 0)
        scope = Scope("grant", grant.id, client_id, (Limit(grant.budget_records, grant.budget_per),))
        taken = self.charge_all(writing, (scope,), ((object_id, records),), at_us, tz)
        if isinstance(taken, Spent):
            return taken
        (counter,) = self._counters[grant.id, client_id]
        new = taken[0].records if taken else 0
        return Charged(new, max(0, grant.budget_records - counter.spent), counter.window.start_us)

    def charge_all(
        self, writing: Writing, scopes: Sequence[Scope], items: Sequence[tuple[str, int]], at_us: int, tz: str
    ) -> list[Taken] | Spent:
        """Charge an access that is about to be recorded: the caller's next entry must be the one that says so.

        items: objects, or records by their ids, each once, and for how many records each counts.
        A refusal changes nothing. Raises `Invalid` (budget-window, timezone-unknown).

        1. The windows that this moment falls in, and what was spent in them.
        2. What was charged in a window costs nothing again in it: a resumed download, a record that is known.
        3. Whole or not at all: what has more records than are left of any of the budgets is refused.
        4. The charges are stored in the transaction of the entry that follows.
        """
        fresh: list[tuple[Scope, tuple[_Counter, ...], list[_Needed]]] = []
        for scope in scopes:
            counters = self._counters_of(writing.connection, scope, at_us, tz)  # 1
            needed = [_Needed(item, records) for item, records in items]
            for limit, counter in zip(scope.limits, counters, strict=True):
                wanted = 0
                for one in needed:
                    if not _has(writing.connection, counter, scope, one.item):  # 2
                        wanted += one.records
                        one.counters.append(counter)
                available = max(0, limit.records - counter.spent)
                if wanted > available:  # 3
                    return Spent(available, limit.records, counter.window.end_us, scope.word)
            fresh.append((scope, counters, [one for one in needed if one.counters]))
        taken = [one for scope, counters, needed in fresh for one in self._take(scope, counters, needed)]
        if taken:  # 4
            rows = [_row(one, at_us, writing.next_index) for one in taken]
            writing.connection.execute(_INSERT, rows if len(rows) > 1 else rows[0])
        return taken

    def unknown(self, connection: Connection, scope: Scope, items: Sequence[str], at_us: int, tz: str) -> int:
        """How many of these were not charged yet in the widest of a scope's windows."""
        counters = self._counters_of(connection, scope, at_us, tz)
        widest = min(counters, key=lambda counter: counter.window.start_us)
        return sum(not _has(connection, widest, scope, item) for item in items)

    def used(self, scope: Scope) -> tuple[Used, ...]:
        """How full each of a scope's windows is, right after a charge of it in this transaction; () otherwise."""
        counters = self._counters.get((scope.owner, scope.of), ())
        return tuple(
            Used(limit.per, counter.spent, limit.records)
            for limit, counter in zip(scope.limits, counters, strict=False)
        )

    def commit(self) -> None:
        """The transaction is durable."""
        self._touched.clear()

    def rollback(self) -> None:
        """The transaction did not happen: what it touched is read from the table again."""
        for key in self._touched:
            self._drop(key)
        self._touched.clear()

    def _take(self, scope: Scope, counters: tuple[_Counter, ...], needed: list[_Needed]) -> list[Taken]:
        """Count what is charged in one scope."""
        if not needed:
            return []
        self._touched.add((scope.owner, scope.of))
        before = sum(counter.remembered for counter in counters)
        for one in needed:
            for counter in one.counters:
                counter.add(one.item, one.records)
        self._remembered += sum(counter.remembered for counter in counters) - before
        self._trim()
        return [Taken(scope.word, scope.owner, scope.of, one.item, one.start_us, one.records) for one in needed]

    def _window(self, at_us: int, per: str, tz: str) -> Window:
        found = self._windows.get((per, tz))
        if found is None or not found.start_us <= at_us < found.end_us:
            found = window(at_us, per, zone(tz))
            self._windows[per, tz] = found
        return found

    def _counters_of(self, connection: Connection, scope: Scope, at_us: int, tz: str) -> tuple[_Counter, ...]:
        key = (scope.owner, scope.of)
        windows = [self._window(at_us, limit.per, tz) for limit in scope.limits]
        found = self._counters.get(key)
        if found is not None and [counter.window for counter in found] == windows:
            self._counters.move_to_end(key)
            return found
        self._drop(key)
        over = found is not None and max(counter.window.end_us for counter in found)
        counters = tuple(
            # every charge passes here, so none was made since the last of those windows ended
            _Counter(counted) if over and over <= counted.start_us else _load(connection, key, counted)
            for counted in windows
        )
        self._counters[key] = counters
        self._remembered += sum(counter.remembered for counter in counters)
        self._trim()
        return counters

    def _drop(self, key: _Key) -> None:
        dropped = self._counters.pop(key, None)
        if dropped is not None:
            self._remembered -= sum(counter.remembered for counter in dropped)

    def _trim(self) -> None:
        """Let go of the counters used longest ago; the newest stays, whatever it holds."""
        while len(self._counters) > 1 and (len(self._counters) > MAX_COUNTERS or self._remembered > MAX_REMEMBERED):
            self._drop(next(iter(self._counters)))


def left(connection: Connection, grant: Budgeted, client_id: str, at_us: int, tz: str) -> Left | None:
    """What is left of a client's budget under a grant at a moment, from the table; None without a limit.

    Raises `Invalid` (budget-window, timezone-unknown).
    """
    if grant.budget_records <= 0:
        return None
    counted = window(at_us, grant.budget_per, zone(tz))
    spent = _load(connection, (grant.id, client_id), counted).spent
    return Left(grant.budget_records, spent, max(0, grant.budget_records - spent), counted.end_us)


def spend_rest(writing: Writing, grant: Budgeted, client_id: str, tz: str, actor: str) -> int:
    """Charge what is left of the window that runs now, with an entry of its own; how many records that were.

    For when it is not known what was received in it. Raises `Invalid` (budget-window, timezone-unknown).
    """
    rest = left(writing.connection, grant, client_id, writing.time_us, tz)
    if rest is None or rest.left <= 0:
        return 0
    started = window(writing.time_us, grant.budget_per, zone(tz)).start_us
    nothing = new_id()  # an object that there is not
    refs = {"grant": grant.id, "client": client_id, "object": nothing}
    details = {"window_us": started, "charged": rest.left}
    index = writing.record(Draft(entries.WINDOW_SPENT, actor, (client_id,), refs, details))
    row = {
        "grant": grant.id,
        "client": client_id,
        "object": nothing,
        "window_start_us": started,
        "records": rest.left,
        "at_us": writing.time_us,
        "idx": index,
    }
    writing.connection.execute(_INSERT, row)
    return rest.left


def charges(connection: Connection) -> Iterator[Charge]:
    """Every charge that is stored, in the order of their entries: for `rules.disagreements`."""
    for row in connection.execute(select(budget_charges).order_by(budget_charges.c.idx)).mappings():
        yield Charge(**row)


def drop_old(writing: Writing, at_us: int, tz: str, limit: int = 10_000) -> int:
    """Delete charges of windows that are over, up to about `limit` of them; returns how many went."""
    horizon = kept_from(at_us, zone(tz))
    column = budget_charges.c.at_us
    last = select(column).where(column < horizon).order_by(column).offset(limit - 1).limit(1)
    until = writing.connection.execute(last).scalar()
    condition = column < horizon if until is None else column <= until
    return int(writing.connection.execute(delete(budget_charges).where(condition)).rowcount)


def _of(key: _Key, counted: Window) -> ColumnElement[bool]:
    """The charges that count in a window: by when they were made, so that redefining a budget does not refill it."""
    table = budget_charges.c
    grant, client = key
    return (
        (table.grant == grant)
        & (table.client == client)
        & (table.window_start_us >= counted.start_us - _LONGEST_US)
        & (table.at_us >= counted.start_us)
        & (table.at_us < counted.end_us)
    )


def _load(connection: Connection, key: _Key, counted: Window) -> _Counter:
    counter = _Counter(counted)
    table = budget_charges.c
    # An object is counted once, also where the budget's window was redefined and it was charged in both.
    statement = select(table.object, func.max(table.records)).where(_of(key, counted)).group_by(table.object)
    for object_id, records in connection.execute(statement):
        counter.add(object_id, records)
    return counter


def _has(connection: Connection, counter: _Counter, scope: Scope, object_id: str) -> bool:
    if counter.objects is not None:
        return object_id in counter.objects
    key = (scope.owner, scope.of)
    statement = select(budget_charges.c.idx).where(_of(key, counter.window), budget_charges.c.object == object_id)
    return connection.execute(statement.limit(1)).first() is not None


def _row(taken: Taken, at_us: int, index: int) -> dict[str, str | int]:
    return {
        "grant": taken.owner,
        "client": taken.of,
        "object": taken.object,
        "window_start_us": taken.window_start_us,
        "records": taken.records,
        "at_us": at_us,
        "idx": index,
    }
