"""Several budgets at once: each holds, over every window, and what one of them refuses is charged to none."""

from __future__ import annotations

import random
from collections import defaultdict

from hypothesis import example, given, settings
from hypothesis import strategies as st

from keten.budgets.model import Charge, Limit, Recorded, Scope, Spent, Taken, Used
from keten.budgets.rules import disagreements, window, zone
from keten.budgets.service import Budgets, charges
from keten.core.ids import new_id
from keten.ledger.kinds import Kind
from keten.ledger.model import Draft
from tests.unit.vault.house import DAY, NOW, House

TZ = "Europe/Amsterdam"
ANSWERED = Kind("exchange.lookup.answered", "Only to be charged for.", {})
CLIENT, OTHER, GRANT, SUPPLIER, DATASET = (new_id() for _ in range(5))
RECORDS = [new_id() for _ in range(40)]


def scopes(grant: tuple[Limit, ...], supplier: int = 0, breaker: int = 0, client: str = CLIENT) -> tuple[Scope, ...]:
    found = [Scope("grant", GRANT, client, grant)]
    if supplier:
        found.append(Scope("supplier", SUPPLIER, DATASET, (Limit(supplier, "day"),)))
    if breaker:
        found.append(Scope("dataset", DATASET, "", (Limit(breaker, "day"),)))
    return tuple(found)


class Till:
    """Budgets with their writer; remembers what entries would say."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.budgets = Budgets()
        self.said: list[Recorded] = []

    def charge(self, who: tuple[Scope, ...], *items: str, at_us: int = NOW, cost: int = 1) -> list[Taken] | Spent:
        """As the writer does."""
        with self.house.writing() as writing:
            index = writing.next_index
            taken = self.budgets.charge_all(writing, who, [(item, cost) for item in items], at_us, TZ)
            writing.record(Draft(ANSWERED, CLIENT))
        self.budgets.commit()
        if not isinstance(taken, Spent):
            self.said += [
                Recorded(index, one.owner, one.of, one.object, one.window_start_us, one.records, at_us) for one in taken
            ]
        return taken

    def stored(self) -> list[Charge]:
        with self.house.reader.connect() as connection:
            return list(charges(connection))

    def restarted(self) -> None:
        """What a keeper that starts anew remembers."""
        self.budgets = Budgets()


def test_how_full_each_window_is_after_a_charge(house: House) -> None:
    till = Till(house)
    (own,) = scopes((Limit(10, "day"), Limit(40, "month")))
    assert till.budgets.used(own) == (), "nothing was charged: it is not known, and not guessed"
    till.charge((own,), *RECORDS[:3])
    assert till.budgets.used(own) == (Used("day", 3, 10), Used("month", 3, 40))
    till.charge((own,), *RECORDS[:3])
    assert till.budgets.used(own)[0].spent == 3, "what is known costs nothing again"
    till.restarted()
    till.charge((own,), RECORDS[3])
    assert [one.spent for one in till.budgets.used(own)] == [4, 4]


def test_the_narrowest_refuses_and_nobody_is_charged(house: House) -> None:
    till = Till(house)
    both = scopes((Limit(10, "day"),), supplier=3, breaker=5)
    taken = till.charge(both, *RECORDS[:3])
    assert not isinstance(taken, Spent)
    assert [one.word for one in taken] == ["grant"] * 3 + ["supplier"] * 3 + ["dataset"] * 3
    refused = till.charge(both, RECORDS[3])
    assert isinstance(refused, Spent)
    assert (refused.scope, refused.budget, refused.left) == ("supplier", 3, 0)
    assert till.charge(both, *RECORDS[:3]) == [], "what was received costs nothing again, in no scope"
    assert len(till.stored()) == 9
    assert list(disagreements(till.stored(), till.said, 0)) == []


def test_another_client_shares_what_its_supplier_has(house: House) -> None:
    till = Till(house)
    till.charge(scopes((Limit(10, "day"),), supplier=3), *RECORDS[:2])
    other = scopes((Limit(10, "day"),), supplier=3, client=OTHER)
    taken = till.charge(other, RECORDS[0], RECORDS[2])
    assert not isinstance(taken, Spent)
    assert [(one.word, one.object) for one in taken] == [
        ("grant", RECORDS[0]),
        ("grant", RECORDS[2]),
        ("supplier", RECORDS[2]),
    ], "a record that the supplier has is no new one to it"
    assert isinstance(till.charge(other, RECORDS[3]), Spent)


def test_windows_hold_side_by_side(house: House) -> None:
    till = Till(house)
    who = scopes((Limit(2, "hour"), Limit(3, "day")))
    hour = 3_600_000_000
    assert len(till.charge(who, *RECORDS[:2])) == 2  # type: ignore[arg-type]  # charged
    assert isinstance(till.charge(who, RECORDS[2]), Spent)
    till.restarted()
    assert len(till.charge(who, RECORDS[2], at_us=NOW + hour)) == 1  # type: ignore[arg-type]  # charged
    refused = till.charge(who, RECORDS[3], at_us=NOW + hour)
    assert isinstance(refused, Spent)
    assert (refused.budget, refused.resets_us) == (3, window(NOW, "day", zone(TZ)).end_us)
    again = till.charge(who, RECORDS[0], at_us=NOW + hour)
    assert not isinstance(again, Spent), "new in this hour, known in this day"
    assert len(again) == 1
    assert isinstance(till.charge(who, RECORDS[1], at_us=NOW + hour), Spent), "the hour's two are used"


def test_a_week_over_the_end_of_a_month(house: House) -> None:
    """Charged in a week that began in the month before: it counts in the new month as well, and only once."""
    till = Till(house)
    who = scopes((Limit(5, "week"), Limit(5, "month")))
    tz = zone(TZ)
    end = window(NOW, "month", tz).end_us
    while window(end - 1, "week", tz) != window(end, "week", tz):
        end = window(end, "month", tz).end_us
    till.charge(who, RECORDS[0], at_us=end - 1)
    taken = till.charge(who, RECORDS[0], at_us=end)
    assert not isinstance(taken, Spent)
    assert len(taken) == 1
    assert till.charge(who, RECORDS[0], at_us=end + 1) == []
    assert list(disagreements(till.stored(), till.said, 0)) == []


def test_a_window_that_is_added_counts_what_was_received_before(house: House) -> None:
    till = Till(house)
    till.charge(scopes((Limit(10, "day"),)), *RECORDS[:4])
    refused = till.charge(scopes((Limit(10, "day"), Limit(4, "month"))), RECORDS[4])
    assert isinstance(refused, Spent)
    assert refused.budget == 4


def test_what_cost_more_the_second_time_counts_in_the_day_as_at_first_also_after_a_restart(house: House) -> None:
    till = Till(house)
    who = scopes((Limit(10, "hour"), Limit(4, "day")))
    hour = 3_600_000_000
    till.charge(who, *RECORDS[:3])
    till.charge(who, RECORDS[0], at_us=NOW + hour, cost=2)
    assert [one.spent for one in till.budgets.used(who[0])] == [2, 3]
    till.restarted()
    assert len(till.charge(who, RECORDS[3], at_us=NOW + hour + 1)) == 1  # type: ignore[arg-type]  # charged
    assert [one.spent for one in till.budgets.used(who[0])] == [3, 4]
    assert list(disagreements(till.stored(), till.said, 0)) == []


@settings(max_examples=25, deadline=None)
@example(seed=2661949)
@given(seed=st.integers(0, 2**32))
def test_against_a_model(tmp_path_factory: object, seed: int) -> None:
    """Any sequence of accesses, restarts and moments: no window of any scope ever holds more than its limit."""
    chance = random.Random(seed)
    house = House(tmp_path_factory.mktemp("h"))  # type: ignore[attr-defined]  # pytest's
    try:
        till = Till(house)
        limits = (Limit(chance.randint(1, 6), "hour"), Limit(chance.randint(1, 9), "day"))
        supplier, at_us = chance.randint(1, 12), NOW
        spent: dict[tuple[str, str, str, int], dict[str, int]] = defaultdict(dict)
        for _ in range(40):
            at_us += chance.choice((1, 60_000_000, 1_800_000_000, DAY))
            client = chance.choice((CLIENT, OTHER))
            who = scopes(limits, supplier=supplier, client=client)
            items = chance.sample(RECORDS, chance.randint(1, 3))
            cost = chance.choice((1, 1, 2))
            held = [
                (spent[one.owner, one.of, limit.per, window(at_us, limit.per, zone(TZ)).start_us], limit)
                for one in who
                for limit in one.limits
            ]
            fits = all(
                sum(known.values()) + cost * sum(item not in known for item in items) <= limit.records
                for known, limit in held
            )
            taken = till.charge(who, *items, at_us=at_us, cost=cost)
            assert isinstance(taken, Spent) != fits
            if fits:
                for known, _limit in held:
                    known.update({item: known.get(item, cost) for item in items})
            if chance.random() < 0.1:
                till.restarted()
        assert list(disagreements(till.stored(), till.said, 0)) == []
    finally:
        house.engine.dispose()
        house.reader.dispose()
