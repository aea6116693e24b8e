"""Stored charges against the entries that made them, as `ledger verify` asks: changed or gone, each is named."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from sqlalchemy import Connection, delete, insert, update

from keten.budgets import entries
from keten.budgets.checking import ANSWERED, OPENED, ChargesCheck, Opened
from keten.budgets.model import Recorded
from keten.budgets.tables import budget_charges
from keten.core.clock import SECOND, from_rfc3339, rfc3339
from keten.ledger.kinds import Kind
from keten.ledger.model import Draft
from tests.unit.vault.house import NOW, House

DAY_US = 86_400 * SECOND
KIND = Kind(OPENED, "Only to be charged for.", {})


def opened(window_us: int = 5, charged: int = 10) -> Opened:
    text = msgspec.json.encode(
        {
            "time": rfc3339(NOW),
            "actor": "client",
            "refs": {"grant": "grant", "object": "object"},
            "details": {"window_us": window_us, "charged": charged},
        }
    )
    return msgspec.json.decode(text, type=ChargesCheck.reads)  # type: ignore[return-value]  # which is `Opened`


def test_it_reads_the_entries_that_open_something() -> None:
    check = ChargesCheck()
    assert check.kinds == {OPENED, ANSWERED, entries.WINDOW_SPENT.name}
    assert check.name == "budgets"


def test_what_entries_say_is_gathered_where_there_was_a_budget() -> None:
    gathered = ChargesCheck().gather([(3, opened()), (4, opened(window_us=0)), (6, opened(charged=0))])
    assert gathered == [
        Recorded(3, "grant", "client", "object", 5, 10, NOW),
        Recorded(6, "grant", "client", "object", 5, 0, NOW),
    ]
    bare = msgspec.json.decode(b'{"time":"%s","actor":"client"}' % rfc3339(NOW).encode(), type=Opened)
    assert ChargesCheck().gather([(3, bare)]) == []


def row(index: int, window_start_us: int, records: int = 10) -> dict[str, object]:
    named = {"grant": "grant", "client": "client", "object": "object"}
    return named | {"window_start_us": window_start_us, "records": records, "at_us": NOW, "idx": index}


def found(house: House, gathered: list[list[Recorded]]) -> list[str]:
    with house.reading() as connection:
        faults = list(ChargesCheck().faults(connection, gathered))
    assert all((fault.where, fault.table) == ("budgets", "budget_charges") for fault in faults)
    return [fault.what for fault in faults]


def change(house: House, doing: Callable[[Connection], object]) -> None:
    with house.writing() as writing:
        writing.record(Draft(KIND, "client"))
        doing(writing.connection)


def test_charges_and_entries_that_agree_have_no_fault(house: House) -> None:
    gathered = [[Recorded(3, "grant", "client", "object", NOW, 10, NOW)], [], [Recorded(4, "g", "c", "o", NOW, 0, NOW)]]
    change(house, lambda connection: connection.execute(insert(budget_charges), row(3, NOW)))
    assert found(house, gathered) == []
    change(house, lambda connection: connection.execute(update(budget_charges).values(records=9)))
    assert ["entry 3" in what for what in found(house, gathered)] == [True]
    change(house, lambda connection: connection.execute(delete(budget_charges)))
    assert ["is not stored" in what for what in found(house, gathered)] == [True]


@pytest.mark.parametrize(("days", "named"), [(63, True), (64, True), (65, False)])
def test_a_charge_may_be_gone_once_two_of_the_longest_windows_are_over(house: House, days: int, named: bool) -> None:
    change(house, lambda _connection: None)
    newest = from_rfc3339(house.recorded()[-1].time)
    window_us = newest - days * DAY_US
    missing = [[Recorded(3, "grant", "client", "object", window_us, 10, window_us)]]
    assert bool(found(house, missing)) is named
