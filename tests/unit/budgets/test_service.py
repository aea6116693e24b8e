"""Charging, in the one writer's transactions: never more than the budget, never twice for one object."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update
from sqlalchemy.exc import DBAPIError

from keten.budgets import service
from keten.budgets.model import UNLIMITED, Charged, Left, Limit, Recorded, Spent
from keten.budgets.rules import disagreements, kept_from, window, zone
from keten.budgets.service import Budgets
from keten.budgets.tables import budget_charges
from keten.core.clock import SECOND, from_rfc3339
from keten.core.db import database_error
from keten.core.errors import Invalid
from keten.core.ids import new_id
from keten.ledger.kinds import Kind
from keten.ledger.model import Draft
from keten.ledger.writing import Writing
from tests.unit.vault.house import DAY, NOW, House

TZ = "Europe/Amsterdam"
HOUR = 3600 * SECOND
OPENED = Kind("exchange.object.opened", "Only to be charged for.", {})
A, B, C = (new_id() for _ in range(3))
CLIENT, OTHER = new_id(), new_id()


class Grant(msgspec.Struct, frozen=True):
    """A grant, as far as budgets look at it."""

    budget_records: int
    budget_per: str = "day"
    id: str = "grant-for-drukwerk"

    @property
    def limits(self) -> tuple[Limit, ...]:
        """Its one limit."""
        return (Limit(self.budget_records, self.budget_per),) if self.budget_records > 0 else ()


def alone(windows: tuple[Left, ...]) -> Left | None:
    """The one window of a grant that has one, in short."""
    if not windows:
        return None
    (one,) = windows
    return Left(one.budget, one.spent, one.left, one.resets_us)


class Till:
    """Budgets with their writer."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.budgets = Budgets()

    @contextmanager
    def transaction(self) -> Iterator[Writing]:
        """As the writer does: commit or roll back, and say so."""
        done = False
        try:
            with self.house.writing() as writing:
                yield writing
            done = True
        finally:
            if done:
                self.budgets.commit()
            else:
                self.budgets.rollback()

    def open(
        self, writing: Writing, grant: Grant, object_id: str, records: int, client: str = CLIENT, at: int = 0
    ) -> Charged | Spent:
        """Charge and, unless refused, record the opening."""
        at = at or self.house.now
        answer = self.budgets.charge(writing, grant, client, object_id, records, at, TZ)
        if isinstance(answer, Charged):
            details = {"charged": answer.new, "window_us": answer.window_start_us}
            refs = {"grant": grant.id, "object": object_id}
            writing.record(Draft(OPENED, client, (client,), refs, details))
        return answer

    def once(self, grant: Grant, object_id: str, records: int, client: str = CLIENT) -> Charged | Spent:
        """One opening in a transaction of its own."""
        with self.transaction() as writing:
            return self.open(writing, grant, object_id, records, client)

    def left(self, grant: Grant, client: str = CLIENT) -> Left | None:
        with self.house.reading() as connection:
            return alone(service.left(connection, grant, client, self.house.now, TZ))

    def disagreements(self) -> list[str]:
        """Stored charges against the ledger."""
        recorded = [
            Recorded(
                index,
                payload.refs["grant"],
                payload.actor,
                payload.refs["object"],
                payload.details["window_us"],
                payload.details["charged"],
                from_rfc3339(payload.time),
            )
            for index, payload in enumerate(self.house.recorded())
            if payload.kind == OPENED.name and payload.details["window_us"]
        ]
        with self.house.reading() as connection:
            return list(disagreements(service.charges(connection), recorded, 0))

    def rows(self) -> list[Any]:
        with self.house.reading() as connection:
            return list(connection.execute(select(budget_charges)))


@pytest.fixture
def till(tmp_path: Path) -> Iterator[Till]:
    house = House(tmp_path)
    yield Till(house)
    house.engine.dispose()
    house.reader.dispose()


START = window(NOW, "day", zone(TZ)).start_us
END = window(NOW, "day", zone(TZ)).end_us


def test_distinct_objects_are_charged_once(till: Till) -> None:
    grant = Grant(100)
    assert till.once(grant, A, 60) == Charged(60, 40, START)
    assert till.once(grant, A, 60) == Charged(0, 40, START)
    assert till.once(grant, B, 40) == Charged(40, 0, START)
    assert till.once(grant, A, 60) == till.once(grant, B, 40) == Charged(0, 0, START)
    assert till.left(grant) == Left(100, 100, 0, END)
    assert sorted(row.idx for row in till.rows()) == [0, 2]
    assert till.disagreements() == []


def test_an_object_that_exceeds_what_is_left_is_refused_whole(till: Till) -> None:
    grant = Grant(100)
    assert till.once(grant, A, 101) == Spent(100, 100, END, per="day")
    assert till.once(grant, A, 100) == Charged(100, 0, START)
    assert till.once(grant, B, 1) == Spent(0, 100, END, per="day")
    assert till.once(grant, C, 0) == Charged(0, 0, START)
    assert till.house.kinds() == [OPENED.name] * 2


def test_no_limit_leaves_no_rows(till: Till) -> None:
    for records in (0, -5):
        assert till.once(Grant(records), A, 10**9) == Charged(0, UNLIMITED, 0)
        assert till.left(Grant(records)) is None
    assert till.rows() == []


def test_grants_and_clients_have_budgets_of_their_own(till: Till) -> None:
    one, other = Grant(10), Grant(10, id="another")
    for grant, client in ((one, CLIENT), (one, OTHER), (other, CLIENT)):
        assert till.once(grant, A, 10, client) == Charged(10, 0, START)
    assert isinstance(till.once(one, B, 1), Spent)


def test_a_window_that_is_over_counts_no_more(till: Till) -> None:
    grant = Grant(10)
    till.house.now = END - 1
    assert till.once(grant, A, 10) == Charged(10, 0, START)
    till.house.now = END
    assert till.once(grant, A, 10) == Charged(10, 0, END)  # distinct within a window, not for ever
    assert till.left(grant) == Left(10, 10, 0, window(END, "day", zone(TZ)).end_us)
    assert till.disagreements() == []


def test_a_keeper_that_starts_anew_remembers(till: Till) -> None:
    grant = Grant(100)
    till.once(grant, A, 60)
    till.budgets = Budgets()
    assert till.once(grant, A, 60) == Charged(0, 40, START)
    assert till.once(grant, B, 41) == Spent(40, 100, END, per="day")
    till.house.now = END
    till.budgets = Budgets()
    assert till.once(grant, B, 41) == Charged(41, 59, END)


def test_a_budget_that_is_lowered_or_raised_holds_at_once(till: Till) -> None:
    till.once(Grant(100), A, 60)
    assert till.once(Grant(50), B, 1) == Spent(0, 50, END, per="day")
    assert till.left(Grant(50)) == Left(50, 60, 0, END)
    assert till.once(Grant(50), A, 60) == Charged(0, 0, START)
    assert till.once(Grant(200), B, 140) == Charged(140, 0, START)


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize(("before", "after"), [("day", "month"), ("month", "day"), ("hour", "week"), ("week", "hour")])
def test_a_window_that_is_redefined_is_not_refilled(till: Till, before: str, after: str, fresh: bool) -> None:
    till.once(Grant(100, before), A, 60)
    if fresh:
        till.budgets = Budgets()
    answer = till.once(Grant(100, after), B, 41)
    assert isinstance(answer, Spent)
    assert answer.left == 40
    assert till.once(Grant(100, after), A, 60).left == 40
    assert till.once(Grant(100, before), A, 60).left == 40


def test_what_was_charged_before_the_new_window_began_does_not_count_in_it(till: Till) -> None:
    till.once(Grant(100, "month"), A, 60)
    till.house.now += DAY
    assert till.once(Grant(100, "day"), A, 60) == Charged(60, 40, window(till.house.now, "day", zone(TZ)).start_us)
    # In the month the object was charged twice, by two budgets; it is one object all the same.
    assert till.left(Grant(100, "month")) is not None
    assert till.once(Grant(100, "month"), B, 41).left == 40


def test_several_accesses_share_a_transaction(till: Till) -> None:
    grant = Grant(100)
    with till.transaction() as writing:
        assert till.open(writing, grant, A, 60) == Charged(60, 40, START)
        assert till.open(writing, grant, A, 60) == Charged(0, 40, START)
        assert till.open(writing, grant, B, 41) == Spent(40, 100, END, per="day")
        assert till.open(writing, grant, B, 40) == Charged(40, 0, START)
    assert till.left(grant) == Left(100, 100, 0, END)
    assert till.disagreements() == []


class Killed(Exception):
    """The process ended before the commit."""


def killed() -> None:
    raise Killed


def rolled_back(till: Till, grant: Grant, objects: list[tuple[str, int]]) -> None:
    with till.transaction() as writing:
        for object_id, records in objects:
            till.open(writing, grant, object_id, records)
        killed()


def test_what_is_rolled_back_was_not_charged(till: Till) -> None:
    grant = Grant(100)
    till.once(grant, A, 30)
    with pytest.raises(Killed):
        rolled_back(till, grant, [(B, 40), (C, 30)])
    assert till.left(grant) == Left(100, 30, 70, END)
    assert till.once(grant, B, 40) == Charged(40, 30, START)
    assert till.once(grant, C, 31) == Spent(30, 100, END, per="day")
    assert till.disagreements() == []


def test_a_refusal_changes_nothing(till: Till) -> None:
    grant = Grant(10)
    with till.transaction() as writing:
        for _ in range(3):
            assert till.open(writing, grant, A, 11) == Spent(10, 10, END, per="day")
    assert till.rows() == []
    assert till.once(grant, B, 10) == Charged(10, 0, START)


def test_what_makes_no_sense_is_refused_without_a_trace(till: Till) -> None:
    with till.transaction() as writing:
        for grant, records, tz in ((Grant(10), -1, TZ), (Grant(10, "year"), 1, TZ), (Grant(10), 1, "Europe/Utopia")):
            with pytest.raises(Invalid):
                till.budgets.charge(writing, grant, CLIENT, A, records, NOW, tz)
    with pytest.raises(Invalid), till.house.reading() as connection:
        service.left(connection, Grant(10, "year"), CLIENT, NOW, TZ)
    assert till.rows() == []


def test_a_clock_that_goes_back_finds_what_was_charged_then(till: Till) -> None:
    grant = Grant(10)
    till.once(grant, A, 10)
    with till.transaction() as writing:
        assert till.open(writing, grant, B, 10, at=NOW + DAY) == Charged(10, 0, END)
    with till.transaction() as writing:
        assert till.open(writing, grant, B, 1, at=NOW) == Spent(0, 10, END, per="day")


def test_counters_in_memory_are_bounded_and_forget_nothing(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MAX_COUNTERS", 3)
    monkeypatch.setattr(service, "MAX_OBJECTS", 4)
    monkeypatch.setattr(service, "MAX_REMEMBERED", 10)
    grant = Grant(10)
    clients = [new_id() for _ in range(8)]
    objects = [new_id() for _ in range(10)]
    for object_id in objects:
        for client in clients:
            assert till.once(grant, object_id, 1, client).left == 10 - 1 - objects.index(object_id)
            assert len(till.budgets._counters) <= 3
            held = sum(one.remembered for some in till.budgets._counters.values() for one in some)
            assert till.budgets._remembered == held <= 10
    for client in clients:
        assert till.once(grant, objects[3], 1, client) == Charged(0, 0, START)
        assert till.once(grant, A, 1, client) == Spent(0, 10, END, per="day")
    with pytest.raises(Killed):
        rolled_back(till, Grant(20), [(A, 5), (B, 5)])
    assert till.once(Grant(20), C, 10) == Charged(10, 10, START)
    assert till.disagreements() == []


def test_one_counter_of_very_many_objects_reads_the_table(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MAX_OBJECTS", 3)
    grant = Grant(1000)
    objects = [new_id() for _ in range(20)]
    with till.transaction() as writing:
        for object_id in objects:
            till.open(writing, grant, object_id, 1)
        for object_id in objects:  # also what is not committed yet
            assert till.open(writing, grant, object_id, 1) == Charged(0, 980, START)
    with pytest.raises(Killed):
        rolled_back(till, grant, [(A, 100)])
    assert till.once(grant, A, 100) == Charged(100, 880, START)
    till.budgets = Budgets()
    assert till.once(grant, objects[0], 1) == Charged(0, 880, START)


def test_charges_of_windows_that_are_over_are_dropped(till: Till) -> None:
    grant = Grant(1000)
    made = []
    for day in range(0, 80, 4):
        till.house.now = NOW + day * DAY
        till.once(grant, new_id(), 10)
        made.append(till.house.now)
    horizon = kept_from(till.house.now, zone(TZ))
    kept = [at for at in made if at >= horizon]
    dropped = 0
    while True:
        with till.transaction() as writing:
            some = service.drop_old(writing, till.house.now, TZ, limit=7)
        assert some <= 7
        if not some:
            break
        dropped += some
    assert dropped == len(made) - len(kept)
    assert sorted(row.at_us for row in till.rows()) == kept
    till.budgets = Budgets()
    assert till.left(Grant(1000, "month")) is not None
    month = window(till.house.now, "month", zone(TZ))
    assert till.once(Grant(1000, "month"), A, 0).left == 1000 - 10 * sum(at >= month.start_us for at in made)


def test_dropping_what_is_not_there(till: Till) -> None:
    with till.transaction() as writing:
        assert service.drop_old(writing, NOW, TZ) == 0


def test_a_charge_that_somebody_changed_is_named(till: Till) -> None:
    till.once(Grant(100), A, 60)
    assert till.disagreements() == []
    with till.house.engine.begin() as connection:
        connection.execute(update(budget_charges).values(records=1))
    assert len(till.disagreements()) == 1
    with till.house.engine.begin() as connection:
        connection.execute(budget_charges.delete())
    assert len(till.disagreements()) == 1


def test_a_full_disk_charges_nothing(till: Till) -> None:
    grant = Grant(10**9)
    with till.house.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    spent = 0
    failed = ""
    for _ in range(400):
        try:
            till.once(grant, new_id(), 7)
        except DBAPIError as error:
            failed = database_error(error).code
            break
        spent += 7
    assert failed == "disk-full"
    assert till.left(grant) == Left(10**9, spent, 10**9 - spent, END)
    with till.house.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=1073741823")
    assert till.once(grant, A, 3).left == 10**9 - spent - 3
    assert till.disagreements() == []


STEP = st.tuples(
    st.sampled_from(["open", "open", "open", "kill", "restart", "hour", "day", "month"]),
    st.integers(0, 5),
    st.integers(0, 1),
    st.integers(0, 6),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(STEP, max_size=30),
    budget=st.integers(1, 15),
    per=st.sampled_from(["hour", "day", "week", "month"]),
)
def test_any_sequence_stays_within_the_budget(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int, int]], budget: int, per: str
) -> None:
    """Against a model: transactions of several accesses, some rolled back, some after a restart."""
    house = House(tmp_path_factory.mktemp("till"))
    till = Till(house)
    grant = Grant(budget, per)
    records = [0, 1, 2, 5, 9, 14]
    objects = [new_id() for _ in records]
    clients = [CLIENT, OTHER]
    charged: dict[tuple[str, int], dict[str, int]] = {}
    randomness = random.Random(1)
    for what, which, who, extra in steps:
        if what == "restart":
            till.budgets = Budgets()
        elif what in ("hour", "day", "month"):
            house.now += {"hour": HOUR, "day": DAY, "month": 31 * DAY}[what]
        else:
            counted = window(house.now, per, zone(TZ))
            tried = [(which, who)] + [(randomness.randrange(6), randomness.randrange(2)) for _ in range(extra)]
            trial = {key: dict(value) for key, value in charged.items()}
            try:
                with till.transaction() as writing:
                    for one, client in tried:
                        mine = trial.setdefault((clients[client], counted.start_us), {})
                        answer = till.open(writing, grant, objects[one], records[one], clients[client])
                        left = budget - sum(mine.values())
                        if objects[one] in mine:
                            assert answer == Charged(0, left, counted.start_us)
                        elif records[one] > left:
                            assert answer == Spent(left, budget, counted.end_us, per=per)
                        else:
                            mine[objects[one]] = records[one]
                            assert answer == Charged(records[one], left - records[one], counted.start_us)
                    if what == "kill":
                        killed()
            except Killed:
                continue
            charged = trial
        held = sum(one.remembered for some in till.budgets._counters.values() for one in some)
        assert till.budgets._remembered == held
    assert all(sum(mine.values()) <= budget for mine in charged.values())
    assert till.disagreements() == []
    house.engine.dispose()
    house.reader.dispose()


# ---- to the record and the microsecond -------------------------------------------------------------------------------


def test_less_than_nothing_is_refused(till: Till) -> None:
    with pytest.raises(Invalid) as caught:
        till.once(Grant(100), A, -1)
    assert (caught.value.code, caught.value.reason) == ("records", "-1")
    assert till.rows() == []


def test_a_budget_of_one_record_is_a_budget(till: Till) -> None:
    grant = Grant(1)
    assert till.left(grant) == Left(1, 0, 1, END)
    assert till.once(grant, A, 1) == Charged(1, 0, START)
    assert till.left(grant) == Left(1, 1, 0, END)


def test_a_charge_counts_in_the_window_of_its_moment_alone(till: Till) -> None:
    grant = Grant(100)
    for moment, object_id in ((START, A), (END - 1, B), (END, C)):
        with till.transaction() as writing:
            till.open(writing, grant, object_id, 10, at=moment)
    with till.house.reading() as connection:
        spent = [alone(service.left(connection, grant, CLIENT, at, TZ)) for at in (START, END - 1, END)]
    assert [one.spent for one in spent if one is not None] == [20, 20, 10]


def test_only_what_counts_in_no_window_is_dropped_the_oldest_first(till: Till) -> None:
    horizon = kept_from(NOW, zone(TZ))
    moments = [horizon - 3, horizon - 2, horizon - 1, horizon, horizon + HOUR // 2]  # the last: over in UTC, not here
    for number, moment in enumerate(moments):
        with till.transaction() as writing:
            till.open(writing, Grant(100), f"{number}" * 26, 1, at=moment)
    left_over = []
    for limit in (2, 2, 2):
        with till.transaction() as writing:
            dropped = service.drop_old(writing, NOW, TZ, limit)
        left_over.append((dropped, sorted(row.at_us for row in till.rows())))
    assert left_over == [(2, moments[2:]), (1, moments[3:]), (0, moments[3:])]
