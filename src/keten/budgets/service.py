"""Charging budgets, in the transaction that records the access (law 12).

The table is the truth; counters in memory only spare its reading. A counter is complete or it is not there, so a
transaction that is rolled back is undone by letting go of the counters it touched.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby

from sqlalchemy import ColumnElement, Connection, Select, delete, func, insert, select

from keten.budgets import entries
from keten.budgets.extras import Extra, extra_of, extras
from keten.budgets.model import UNLIMITED, Budgeted, Charge, Charged, Left, Scope, Spent, Taken, Used, Window
from keten.budgets.rules import LONGEST_DAYS, kept_from, window, zone
from keten.budgets.running_out import Asked, refusal, threshold
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
    """What was spent in one window of a scope, and when last. `objects` None: too many to remember.

    reached: a number of records, and when it was reached, as it was last read from the table.
    """

    __slots__ = ("last_us", "objects", "reached", "spent", "window")

    def __init__(self, counted: Window) -> None:
        self.window = counted
        self.spent = 0
        self.last_us = 0
        self.reached = (-1, 0)
        self.objects: set[str] | None = set()

    def add(self, object_id: str, records: int, at_us: int) -> None:
        self.spent += records
        self.last_us = max(self.last_us, at_us)
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
        self._extras: dict[_Key, tuple[Extra, ...]] = {}  # beside the counters of a grant
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
        signed_in_us: int = 0,
    ) -> Charged | Spent:
        """`charge_all` of one object in the one scope of a grant and a client, over its first window."""
        if records < 0:
            raise Invalid("records", "The number of records is 0 or more.", str(records))
        if not grant.limits:
            return Charged(0, UNLIMITED, 0)
        scope = Scope("grant", grant.id, client_id, grant.limits[:1])
        taken = self.charge_all(writing, (scope,), ((object_id, records),), at_us, tz, signed_in_us)
        if isinstance(taken, Spent):
            return taken
        (counter,) = self._counters[grant.id, client_id]
        new = taken[0].records if taken else 0
        most = threshold(grant.limits[0], self._extra(scope, counter, grant.limits[0].per, at_us))
        return Charged(new, max(0, most - counter.spent), counter.window.start_us)

    def charge_all(  # what is charged, each by its name
        self,
        writing: Writing,
        scopes: Sequence[Scope],
        items: Sequence[tuple[str, int]],
        at_us: int,
        tz: str,
        signed_in_us: int = 0,
        room: int = 0,
    ) -> list[Taken] | Spent:
        """Charge an access that is about to be recorded: the caller's next entry must be the one that says so.

        items: objects, or records by their ids, each once, and for how many records each counts. signed_in_us: when
        the client signed in with what it shows; 0: not known. room: for how many records more there has to be room that
        are not charged: of those that are asked for and not there.
        A refusal changes nothing. Raises `Invalid` (budget-window, timezone-unknown).

        1. The windows that this moment falls in, and what was spent in them.
        2. What was charged in a window costs nothing again in it: a resumed download, a record that is known.
        3. Whole or not at all: what has more records than are left of any of the budgets is refused, unless its
           owner lets something else happen then, or has allowed more (`running_out`).
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
                extra = self._extra(scope, counter, limit.per, at_us)
                wanted += room
                if wanted and counter.spent + wanted > limit.records:  # 3
                    asked = Asked(wanted, counter.spent, counter.last_us, at_us, extra, signed_in_us)
                    reached = partial(_reached, writing.connection, (scope.owner, scope.of), counter)
                    refused = refusal(limit, asked, counter.window, reached, scope.word)
                    if refused is not None:
                        return refused
            fresh.append((scope, counters, [one for one in needed if one.counters]))
        taken = [one for scope, counters, needed in fresh for one in self._take(scope, counters, needed, at_us)]
        if taken:  # 4
            rows = [_row(one, at_us, writing.next_index) for one in taken]
            writing.connection.execute(_INSERT, rows if len(rows) > 1 else rows[0])
        return taken

    def unknown(self, connection: Connection, scope: Scope, items: Sequence[str], at_us: int, tz: str) -> int:
        """How many of these were not charged yet in the widest of a scope's windows."""
        counters = self._counters_of(connection, scope, at_us, tz)
        widest = min(counters, key=lambda counter: counter.window.start_us)
        return sum(not _has(connection, widest, scope, item) for item in items)

    def forget(self, grant: str, client: str) -> None:
        """What a client may still receive under a grant changes in this transaction: it is read anew.

        Must have its transaction to itself (`alone`).
        """
        self._drop((grant, client))

    def _extra(self, scope: Scope, counter: _Counter, per: str, at_us: int) -> int:
        found = self._extras.get((scope.owner, scope.of), ()) if scope.word == "grant" else ()
        return extra_of(found, per, counter.window.start_us, at_us) if found else 0

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

    def _take(
        self, scope: Scope, counters: tuple[_Counter, ...], needed: list[_Needed], at_us: int
    ) -> list[Taken]:
        """Count what is charged in one scope."""
        if not needed:
            return []
        self._touched.add((scope.owner, scope.of))
        before = sum(counter.remembered for counter in counters)
        for one in needed:
            for counter in one.counters:
                counter.add(one.item, one.records, at_us)
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
        if scope.word == "grant":
            allowed = extras(connection, scope.owner, scope.of)
            if allowed:
                self._extras[key] = allowed
        self._remembered += sum(counter.remembered for counter in counters)
        self._trim()
        return counters

    def _drop(self, key: _Key) -> None:
        self._extras.pop(key, None)
        dropped = self._counters.pop(key, None)
        if dropped is not None:
            self._remembered -= sum(counter.remembered for counter in dropped)

    def _trim(self) -> None:
        """Let go of the counters used longest ago; the newest stays, whatever it holds."""
        while len(self._counters) > 1 and (len(self._counters) > MAX_COUNTERS or self._remembered > MAX_REMEMBERED):
            self._drop(next(iter(self._counters)))


def left(connection: Connection, grant: Budgeted, client_id: str, at_us: int, tz: str) -> tuple[Left, ...]:
    """What is left of a client's budget under a grant at a moment, for each of its windows, from the table.

    Raises `Invalid` (budget-window, timezone-unknown).
    """
    allowed = extras(connection, grant.id, client_id)
    found = []
    for limit in grant.limits:
        counted = window(at_us, limit.per, zone(tz))
        spent = _load(connection, (grant.id, client_id), counted).spent
        extra = extra_of(allowed, limit.per, counted.start_us, at_us)
        most = threshold(limit, extra)
        beyond = limit.beyond
        found.append(
            Left(
                most,
                spent,
                max(0, most - spent),
                counted.end_us,
                counted.start_us,
                limit.per,
                extra,
                beyond.then if beyond else "stop",
                beyond.most if beyond else 0,
            )
        )
    return tuple(found)


def spend_rest(writing: Writing, grant: Budgeted, client_id: str, tz: str, actor: str) -> int:
    """Charge what is left of the windows that run now, with an entry of its own; how many records that were.

    For when it is not known what was received in them: up to the ceiling, where something happens past the budget.
    Raises `Invalid` (budget-window, timezone-unknown).
    """
    windows = left(writing.connection, grant, client_id, writing.time_us, tz)
    rest = max((max(one.budget, one.most) - one.spent for one in windows), default=0)
    if rest <= 0:
        return 0
    started = max(one.starts_us for one in windows)
    nothing = new_id()  # an object that there is not
    refs = {"grant": grant.id, "client": client_id, "object": nothing}
    details = {"window_us": started, "charged": rest}
    index = writing.record(Draft(entries.WINDOW_SPENT, actor, (client_id,), refs, details))
    row = {
        "grant": grant.id,
        "client": client_id,
        "object": nothing,
        "window_start_us": started,
        "records": rest,
        "at_us": writing.time_us,
        "idx": index,
    }
    writing.connection.execute(_INSERT, row)
    return rest


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
    for object_id, records, _first_us, last_us in connection.execute(_charged(key, counted)):
        counter.add(object_id, records, last_us)
    return counter


def _charged(key: _Key, counted: Window) -> Select[str, int, int, int]:
    """What was charged in a window: object, records, when first and when last.

    An object is counted once, also where the budget's window was redefined and it was charged in both; and by what it
    cost at first: whatever it was charged later was for a shorter window, in which it was new again.
    """
    table = budget_charges.c
    many = select(
        table.object,
        func.min(table.idx).label("idx"),
        func.min(table.at_us).label("first_us"),
        func.max(table.at_us).label("last_us"),
    )
    each = many.where(_of(key, counted)).group_by(table.object).subquery()
    grant, client = key
    first = (
        (table.grant == grant) & (table.client == client) & (table.object == each.c.object) & (table.idx == each.c.idx)
    )
    return select(each.c.object, table.records, each.c.first_us, each.c.last_us).join_from(each, budget_charges, first)


def _reached(connection: Connection, key: _Key, counter: _Counter, records: int) -> int:
    """When the last charge was made with which no more than so many records had been charged; 0: there is none."""
    if counter.reached[0] != records:
        statement = _charged(key, counter.window).order_by("first_us")
        spent, at = 0, 0
        for at_us, together in groupby(connection.execute(statement), key=lambda row: int(row[2])):
            spent += sum(int(row[1]) for row in together)
            if spent > records:
                break
            at = at_us
        counter.reached = (records, at)
    return counter.reached[1]


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
