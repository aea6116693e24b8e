"""What happens when a budget runs out: never past its ceiling, never faster than its pace, durable over restarts."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keten.budgets.model import Beyond, Limit, Recorded, Scope, Spent, Taken, Window
from keten.budgets.rules import disagreements
from keten.budgets.running_out import Asked, refusal
from keten.budgets.service import Budgets, charges
from keten.core.clock import SECOND
from keten.core.ids import new_id
from keten.ledger.kinds import Kind
from keten.ledger.model import Draft
from tests.unit.vault.house import NOW, House

MINUTE = 60 * SECOND
TZ = "Europe/Amsterdam"
ANSWERED = Kind("exchange.lookup.answered", "Only to be charged for.", {})
CLIENT, GRANT = new_id(), new_id()
DAY_WINDOW = Window(NOW, NOW + 24 * 60 * MINUTE)

steps = st.lists(
    st.tuples(st.integers(0, 90 * SECOND), st.integers(1, 4), st.booleans()), min_size=1, max_size=60
)


def limits(then: Literal["delay", "step-up"], extra: int = 0) -> Limit:
    return Limit(5 + extra, "day", Beyond(then, 12, MINUTE if then == "delay" else 0))


@given(steps, st.integers(0, 20))
def test_slowly_is_at_most_one_record_for_each_pause_and_never_past_the_ceiling(
    made: list[tuple[int, int, bool]], extra: int
) -> None:
    limit, now_us, spent, last_us, past = limits("delay"), NOW, 0, 0, []
    for waits, wanted, _anew in made:
        now_us += waits
        asked = Asked(wanted, spent, last_us, now_us, extra)
        told = refusal(limit, asked, DAY_WINDOW, lambda _most: 0, "grant")
        if told is None:
            spent, last_us = spent + wanted, now_us
            past += [now_us] * max(0, min(wanted, spent - min(5 + extra, 12)))
        elif told.code == "budget-slow":
            later = Asked(wanted, spent, last_us, told.resets_us, extra)
            assert refusal(limit, later, DAY_WINDOW, lambda _most: 0, "grant") is None, "what it is told is true"
        assert spent <= 12
    for count, at_us in enumerate(past, 1):
        assert count * MINUTE <= at_us - NOW, "no more than one for each minute that passed"


@given(steps, st.integers(0, 20))
def test_signing_in_anew_is_needed_once_and_never_lifts_the_ceiling(
    made: list[tuple[int, int, bool]], extra: int
) -> None:
    limit, most = limits("step-up"), min(5 + extra, 12)
    now_us, spent, last_us, within_us, signed_us = NOW, 0, 0, 0, NOW
    for waits, wanted, anew in made:
        now_us += waits + 1
        signed_us = now_us - 1 if anew else signed_us
        asked = Asked(wanted, spent, last_us, now_us, extra, signed_us)
        reached = within_us
        told = refusal(limit, asked, DAY_WINDOW, lambda _most, at=reached: at, "grant")  # type: ignore[misc]
        if told is None:
            assert spent + wanted <= most or signed_us > within_us, "only who signed in after it ran out"
            spent, last_us = spent + wanted, now_us
            within_us = now_us if spent <= most else within_us
        else:
            assert spent + wanted > 12 or signed_us <= max(last_us if spent < most else within_us, NOW)
        assert spent <= 12


class Till:
    """Budgets with their writer, which starts anew before each charge: what it knows, it knows from the table."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.said: list[Recorded] = []

    def charge(
        self, limit: Limit, at_us: int, count: int = 1, signed_us: int = 0, budgets: Budgets | None = None
    ) -> list[Taken] | Spent:
        scope = Scope("grant", GRANT, CLIENT, (limit,))
        with self.house.writing() as writing:
            index = writing.next_index
            items = [(new_id(), 1) for _ in range(count)]
            taken = (budgets or Budgets()).charge_all(writing, (scope,), items, at_us, TZ, signed_us)
            writing.record(Draft(ANSWERED, CLIENT))
        if not isinstance(taken, Spent):
            self.said += [
                Recorded(index, one.owner, one.of, one.object, one.window_start_us, one.records, at_us) for one in taken
            ]
        return taken


@pytest.mark.parametrize("restarts", [True, False])
def test_the_pace_and_the_moment_are_those_of_the_table(house: House, restarts: bool) -> None:
    till, kept = Till(house), Budgets()

    def charge(limit: Limit, at_us: int, count: int = 1, signed_us: int = 0) -> str:
        taken = till.charge(limit, at_us, count, signed_us, None if restarts else kept)
        return taken.code if isinstance(taken, Spent) else "given"

    slow = limits("delay")
    assert charge(slow, NOW, 5) == "given"
    assert [charge(slow, NOW + after) for after in (0, MINUTE - 1, MINUTE, MINUTE + 1, 2 * MINUTE)] == [
        "budget-slow",
        "budget-slow",
        "given",
        "budget-slow",
        "given",
    ]
    assert charge(slow, NOW + 4 * MINUTE, 3) == "budget-slow", "three take three minutes"
    assert charge(slow, NOW + 5 * MINUTE, 3) == "given"
    assert charge(slow, NOW + 60 * MINUTE, 3) == "budget-spent", "13 of 12"
    # The same window, now with the other rule: what counts is when the budget itself was reached.
    anew = limits("step-up")
    assert charge(anew, NOW + 61 * MINUTE) == "budget-step-up"
    assert charge(anew, NOW + 61 * MINUTE, signed_us=NOW) == "budget-step-up"
    assert charge(anew, NOW + 61 * MINUTE, signed_us=NOW + 1) == "given"
    assert charge(anew, NOW + 62 * MINUTE, signed_us=NOW + 1) == "given"
    assert charge(anew, NOW + 63 * MINUTE, signed_us=NOW + 63 * MINUTE) == "budget-spent"
    with house.reader.connect() as connection:
        assert list(disagreements(charges(connection), till.said, 0)) == []


def test_what_is_known_costs_nothing_where_the_budget_was_lowered(house: House) -> None:
    budgets, item = Budgets(), new_id()
    for limit in (Limit(5, "day"), Limit(1, "day")):
        with house.writing() as writing:
            scope = Scope("grant", GRANT, CLIENT, (limit,))
            items = [(item, 3)]
            assert not isinstance(budgets.charge_all(writing, (scope,), items, NOW, TZ), Spent)
            writing.record(Draft(ANSWERED, CLIENT))
        budgets.commit()
