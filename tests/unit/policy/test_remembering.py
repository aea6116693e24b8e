"""What was decided is remembered as long as it holds, and no longer."""

import random
import tracemalloc
from typing import Any

import pytest

from keten.core.clock import SECOND
from keten.core.ids import new_id
from keten.policy.engine import Engine
from keten.policy.model import Allow
from keten.policy.service import Decisions, replay
from tests.unit.policy.asking import Counting, ask, reasons
from tests.unit.policy.worlds import (
    CLIENT,
    CONTRACT,
    DATASET,
    DAY,
    END,
    ENDED,
    GRANT,
    NOW,
    OTHER,
    START,
    World,
    changed,
    made_id,
)


def test_an_allow_is_decided_once_while_it_holds(decisions: Decisions, world: World, counting: Counting) -> None:
    first = ask(decisions)
    world.reads = 0
    for at_us in (NOW, NOW + 1, NOW + DAY, END - 1):
        again = ask(decisions, at_us)
        assert again.decision == first.decision
        assert again.attributes == changed(first.attributes, time_us=at_us)
        assert replay(again.attributes, counting.text) == again.decision
    assert (world.reads, len(counting.decided)) == (0, 1)


def test_an_allow_is_never_given_at_or_after_its_end(decisions: Decisions) -> None:
    assert isinstance(ask(decisions, END - 1).decision, Allow)
    assert reasons(ask(decisions, END)) == ("contract-ended",)
    assert reasons(ask(decisions, END + DAY)) == ("contract-ended",)
    assert isinstance(ask(decisions, END - 1).decision, Allow)  # 'keten decide --at' asks about other moments
    assert isinstance(ask(decisions, NOW, object_expires_us=NOW + 1).decision, Allow)
    assert reasons(ask(decisions, NOW + 1, object_expires_us=NOW + 1)) == ("content-expired",)


def test_an_allow_is_never_given_for_an_earlier_moment(decisions: Decisions) -> None:
    assert isinstance(ask(decisions, START).decision, Allow)
    assert reasons(ask(decisions, START - 1)) == ("contract-not-started",)


def test_a_deny_ends_with_what_it_rests_on(decisions: Decisions) -> None:
    """A refusal is remembered for a second at most, and never past the moment from which it would be another."""
    assert reasons(ask(decisions, START - 2)) == ("contract-not-started",)
    assert reasons(ask(decisions, START - 1)) == ("contract-not-started",)
    assert isinstance(ask(decisions, START).decision, Allow)
    assert reasons(ask(decisions, END - 1, country="US")) == ("country-not-allowed",)
    assert reasons(ask(decisions, END, country="US")) == ("contract-ended", "country-not-allowed")


def test_a_deny_is_remembered_for_a_second(decisions: Decisions, counting: Counting) -> None:
    for at_us in (NOW, NOW + 1, NOW + SECOND - 1):
        assert reasons(ask(decisions, at_us, country="US")) == ("country-not-allowed",)
    assert len(counting.decided) == 1
    ask(decisions, NOW + SECOND, country="US")
    assert len(counting.decided) == 2
    for at_us in (END, END + SECOND - 1):  # nothing is to come any more
        assert reasons(ask(decisions, at_us)) == ("contract-ended",)
    assert len(counting.decided) == 3


def test_a_mismatch_is_remembered_for_a_second(decisions: Decisions, world: World) -> None:
    world.damaged.add(GRANT)
    assert reasons(ask(decisions)) == ("register-mismatch",)
    world.damaged.clear()
    world.reads = 0
    assert reasons(ask(decisions, NOW + SECOND - 1)) == ("register-mismatch",)
    assert world.reads == 0
    assert isinstance(ask(decisions, NOW + SECOND).decision, Allow)


def test_each_part_of_the_question_counts(decisions: Decisions, world: World) -> None:
    world.change(CONTRACT, countries=("NL",))
    assert isinstance(ask(decisions).decision, Allow)
    assert reasons(ask(decisions, country="BE")) == ("country-not-allowed",)
    assert reasons(ask(decisions, country="")) == ("country-unknown",)
    assert reasons(ask(decisions, client_id=OTHER)) == ("not-addressed",)
    assert reasons(ask(decisions, purpose="care")) == ("purpose-not-covered",)
    assert reasons(ask(decisions, object_expires_us=NOW)) == ("content-expired",)
    assert reasons(ask(decisions, dataset_id=made_id(404))) == ("absent",)
    assert isinstance(ask(decisions, action="list").decision, Allow)
    assert isinstance(ask(decisions).decision, Allow)


def test_a_change_during_a_decision_is_not_remembered_as_of_before(
    decisions: Decisions, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The register changes after its rows were read: that answer is of the epoch before, and is not kept."""
    read = world.contract

    def changing(contract_id: str) -> Any:
        found = read(contract_id)
        monkeypatch.undo()
        world.change(GRANT, ended=ENDED)
        return found

    monkeypatch.setattr(world, "contract", changing)
    ask(decisions)
    assert reasons(ask(decisions)) == ("revoked",)


def test_random_questions_are_answered_as_if_nothing_were_remembered(world: World, counting: Counting) -> None:
    """Times forwards and backwards, changes in between: a fresh service gives the same answer every time."""
    chance = random.Random(11)
    moments = [START - 1, START, NOW, NOW + 1, NOW + SECOND, END - 1, END, END + SECOND]
    remembering = Decisions(world, counting, allows=8, denies=4)
    for _ in range(1500):
        if chance.random() < 0.05:
            world.change(CONTRACT, ends_us=chance.choice([NOW + 1, END]), countries=chance.choice([(), ("NL",)]))
        if chance.random() < 0.03:
            world.change(GRANT, ended=chance.choice([None, ENDED]), to=chance.choice([(), (CLIENT,)]))
        question: dict[str, Any] = {
            "client_id": chance.choice([CLIENT, OTHER]),
            "dataset_id": chance.choice([DATASET, DATASET, made_id(404)]),
            "country": chance.choice(["", "NL", "US"]),
            "object_expires_us": chance.choice([0, 0, NOW + 1]),
        }
        at_us = chance.choice(moments)
        remembered = ask(remembering, at_us, **question)
        assert remembered == ask(Decisions(world, counting), at_us, **question), (at_us, question)
        client, country = question["client_id"], question["country"]
        listed = remembering.shares(client, country, at_us)
        assert listed == Decisions(world, counting).shares(client, country, at_us)


def test_memory_is_bounded_and_guesses_push_nothing_out(world: World, engine: Engine) -> None:
    decisions = Decisions(world, engine, allows=100, denies=50, listings=10)
    ask(decisions)

    def guess(times: int) -> None:
        for _ in range(times):
            ask(decisions, dataset_id=new_id())
            decisions.shares(new_id(), "NL", NOW)

    tracemalloc.start()
    try:
        guess(100)
        before = tracemalloc.get_traced_memory()[0]
        guess(300)
        assert tracemalloc.get_traced_memory()[0] - before < 100_000
    finally:
        tracemalloc.stop()
    world.reads = 0
    assert isinstance(ask(decisions).decision, Allow)
    assert world.reads == 0
    assert (len(decisions._allows), len(decisions._denies), len(decisions._listings)) == (1, 50, 10)
    for number in range(200):
        ask(decisions, object_expires_us=NOW + 1 + number)
    assert len(decisions._allows) == 100
