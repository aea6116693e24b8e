"""Asking for more, and the answer: for one client and window, within the ceiling, and over by itself."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from sqlalchemy import update

from keten.budgets import asking
from keten.budgets.model import Beyond, Limit, Scope, Spent
from keten.budgets.row import LAPSES_US, More
from keten.budgets.rules import window, zone
from keten.budgets.service import Budgets, left, spend_rest
from keten.budgets.tables import budget_requests
from keten.core.clock import SECOND
from keten.core.errors import Busy, Conflict, Invalid, KetenError, NotFound
from keten.core.ids import new_id
from keten.ledger.kinds import Kind
from keten.ledger.model import Draft
from tests.unit.vault.house import DAY, House

TZ = "Europe/Amsterdam"
ANSWERED = Kind("exchange.lookup.answered", "Only to be charged for.", {})
CLIENT, OTHER, SUPPLIER, DATASET = (new_id() for _ in range(4))
ANNA = "operator:anna"


class Grant(msgspec.Struct, frozen=True):
    """A grant, as far as budgets look at it."""

    limits: tuple[Limit, ...] = (Limit(3, "day"),)
    id: str = "a" * 26


class Desk:
    """Who asks, who answers, and what is charged."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.budgets = Budgets()

    def do(self, verb: Any, *what: Any) -> More:
        """A verb of `asking`, in a transaction of its own, as the keeper runs it."""
        with self.house.writing() as writing:
            made: tuple[More, int] = verb(writing, *what)
            self.budgets.forget(made[0].grant, made[0].client)
        return made[0]

    def ask(self, grant: Grant, records: int = 2, client: str = CLIENT) -> More:
        return self.do(asking.ask, grant, asking.Wish(client, SUPPLIER, DATASET, records, "sealed"), TZ, {})

    def allow(self, request: More, grant: Grant, records: int = 0, until_us: int = 0) -> More:
        return self.do(asking.allow, request, grant, records, until_us, TZ, ANNA)

    def take(self, grant: Grant, client: str = CLIENT, supplier: int = 0) -> str:
        """Charge one record more."""
        scopes = [Scope("grant", grant.id, client, grant.limits)]
        if supplier:
            scopes.append(Scope("supplier", SUPPLIER, DATASET, (Limit(supplier, "day"),)))
        with self.house.writing() as writing:
            taken = self.budgets.charge_all(writing, scopes, [(new_id(), 1)], self.house.now, TZ)
            writing.record(Draft(ANSWERED, client))
        self.budgets.commit()
        return taken.scope if isinstance(taken, Spent) else "given"

    def takes(self, grant: Grant, client: str = CLIENT) -> int:
        """How many more are given, one by one."""
        return next(count for count in range(100) if self.take(grant, client) != "given")


@pytest.fixture
def desk(house: House) -> Desk:
    return Desk(house)


def code_of(run: Any, *what: Any) -> str:
    with pytest.raises(KetenError) as told:
        run(*what)
    return told.value.code


def test_what_is_allowed_is_given_once_to_that_client_and_ends_with_the_window(desk: Desk) -> None:
    grant = Grant((Limit(3, "day"), Limit(50, "month")))
    assert desk.takes(grant) == 3
    request = desk.ask(grant, 4)
    assert request.per == "day", "the window with the least left"
    assert desk.take(grant) == "grant"
    allowed = desk.allow(request, grant)
    assert (allowed.extra, allowed.until_us) == (4, window(desk.house.now, "day", zone(TZ)).end_us)
    desk.budgets = Budgets()  # a keeper that starts anew knows it as well
    assert desk.takes(grant) == 4
    assert desk.takes(grant, OTHER) == 3, "nobody else's"
    with desk.house.reader.connect() as connection:
        day, month = left(connection, grant, CLIENT, desk.house.now, TZ)
    assert (day.budget, day.extra, day.left, month.extra, month.spent) == (7, 4, 0, 0, 7)
    desk.house.now += DAY
    assert desk.takes(grant) == 3, "over by itself"


def test_an_extra_ends_at_its_moment_is_withdrawn_and_lifts_nobody_elses_budget(desk: Desk) -> None:
    grant = Grant()
    now_us = desk.house.now
    first = desk.allow(desk.ask(grant, 5), grant, 3, now_us + 60 * SECOND)
    assert code_of(desk.allow, first, grant) == "request-closed"
    assert [desk.take(grant, supplier=4) for _ in range(5)] == ["given"] * 4 + ["supplier"]
    desk.house.now += 60 * SECOND
    assert desk.take(grant) == "grant", "4 of 3 since it is over"
    second = desk.allow(desk.ask(grant, 5), grant)
    assert desk.take(grant) == "given"
    desk.do(asking.withdraw, second, ANNA)
    assert desk.take(grant) == "grant"
    assert code_of(desk.do, asking.withdraw, desk_get(desk, second.id), ANNA) == "request-closed"


def desk_get(desk: Desk, request: str) -> More:
    with desk.house.reader.connect() as connection:
        return asking.get(connection, request)


def test_the_ceiling_and_the_window_bound_what_can_be_allowed(desk: Desk) -> None:
    grant = Grant((Limit(3, "day", Beyond("step-up", 6)),))
    request = desk.ask(grant, 9)
    assert code_of(desk.allow, request, grant) == "past-ceiling"
    for until_us in (desk.house.now, 1, window(desk.house.now, "day", zone(TZ)).end_us + 1):
        assert code_of(desk.allow, request, grant, 1, until_us) == "until"
    for records in (-1, 10**10):
        assert code_of(desk.allow, request, grant, records) == "more-records"
    assert code_of(desk.allow, request, Grant((Limit(3, "week"),))) == "budget-changed"
    desk.allow(request, grant, 2)
    assert code_of(desk.allow, desk.ask(grant), grant, 2) == "past-ceiling", "in all"
    assert desk.takes(grant) == 5


def test_one_at_a_time_and_a_few_a_day(desk: Desk) -> None:
    grant = Grant()
    assert code_of(desk.ask, Grant(())) == "no-budget"
    for _each in range(asking.MOST_A_DAY):
        request = desk.ask(grant)
        with pytest.raises(Conflict, match="asked already"):
            desk.ask(grant)
        desk.do(asking.refuse, request, "no", ANNA)
    with pytest.raises(Busy, match="5 times within a day"):
        desk.ask(grant)
    desk.ask(grant, client=OTHER)
    desk.house.now += DAY
    request = desk.ask(grant)
    desk.house.now += LAPSES_US
    assert code_of(desk.allow, request, grant) == "request-closed", "nobody answered for a week"
    assert desk.ask(grant).state == "open"


def test_a_refusal_says_why_and_what_is_malformed_is_refused(desk: Desk) -> None:
    request = desk.ask(Grant())
    for why in ("", " ", "x" * 501, "two\nlines"):
        assert code_of(desk.do, asking.refuse, request, why, ANNA) == "more-why"
    assert desk.do(asking.refuse, request, " no ", ANNA).why == "no"
    for records, why, case in ((0, "x", ""), (10**10, "x", ""), (1, "", ""), (1, "x", "\n"), (1, "x", "y" * 201)):
        with pytest.raises(Invalid):
            asking.checked(records, why, case)
    with desk.house.reader.connect() as connection, pytest.raises(NotFound):
        asking.get(connection, "../../x")


def test_a_row_that_does_not_match_its_entry_allows_nothing(desk: Desk) -> None:
    grant = Grant()
    assert desk.takes(grant) == 3
    allowed = desk.allow(desk.ask(grant), grant, 1)
    forged = msgspec.json.encode(msgspec.structs.replace(allowed, extra=1000))
    with desk.house.engine.begin() as connection:
        connection.execute(update(budget_requests).values(body=forged))
    desk.budgets = Budgets()
    assert desk.take(grant) == "grant"


def test_a_restored_instance_gives_nothing_that_was_allowed_before(desk: Desk) -> None:
    grant = Grant((Limit(3, "day"), Limit(20, "month", Beyond("delay", 30, SECOND))))
    desk.allow(desk.ask(grant, 5), grant)
    with desk.house.writing() as writing:
        assert asking.withdraw_all(writing, ANNA, "restored") == 1
    with desk.house.writing() as writing:
        assert asking.withdraw_all(writing, ANNA, "restored") == 0
        assert spend_rest(writing, grant, CLIENT, TZ, ANNA) == 30, "up to the ceiling of any window"
    desk.budgets = Budgets()
    assert desk.take(grant) == "grant"
