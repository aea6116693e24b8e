"""What a principal may not for a while: until when, and what of it is left after a release."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from keten.core.clock import SECOND
from keten.core.errors import Invalid, NotFound
from keten.core.ids import new_id
from keten.exchange.standing import reasons_against
from keten.identity import restraints
from keten.identity.errors import Refused
from keten.identity.model import Client, Restraint
from keten.identity.pace import AT_ONCE, Pace, Slowed
from keten.ledger.writing import Writing
from keten.suppliers import freezing
from tests.unit.identity.keeping import Keeper
from tests.unit.identity.signing import NOW, ClientKey
from tests.unit.suppliers.instances import ACTOR, ESTATE, Instance

HOUR_US = 3600 * SECOND


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    made = Instance(tmp_path)
    yield made
    made.engine.dispose()
    made.reader.dispose()


def client_of(instance: Instance, client_id: str) -> Client:
    found = instance.register().client(client_id)
    assert found is not None
    return found


def test_each_part_ends_by_itself_and_a_longer_one_stays(instance: Instance) -> None:
    row_id = instance.apply(ESTATE).ids["client"]["drukwerk-batch"]
    now = instance.now_us
    long, short = now + 4 * HOUR_US, now + HOUR_US
    instance.write(lambda writing: restraints.suspend(writing, row_id, long, "one", ACTOR))
    instance.write(lambda writing: restraints.suspend(writing, row_id, short, "two", ACTOR))
    instance.write(lambda writing: restraints.slow(writing, row_id, short, 10, "three", ACTOR))
    client = client_of(instance, row_id)
    assert client.suspended_at(long - 1)
    assert not client.suspended_at(long)
    assert (client.slowed_at(short - 1), client.slowed_at(short)) == (10, 0)
    assert reasons_against(instance.register(), client, long - 1) == ("suspended",)
    assert reasons_against(instance.register(), client, long) == ()
    instance.write(lambda writing: restraints.release(writing, row_id, "four", ACTOR, slowed_until_us=short))
    client = client_of(instance, row_id)
    assert not client.suspended_at(now)
    assert client.slowed_at(short - 1) == 10
    size = instance.size()
    assert instance.write(
        lambda writing: restraints.release(writing, row_id, "five", ACTOR, slowed_until_us=short)
    ) is None
    assert instance.size() == size


def test_several_in_one_transaction_follow_each_other(instance: Instance) -> None:
    row_id = instance.apply(ESTATE).ids["client"]["drukwerk-batch"]
    until = instance.now_us + HOUR_US

    def both(writing: Writing) -> None:
        restraints.slow(writing, row_id, until, 5, "one", ACTOR)
        restraints.suspend(writing, row_id, until, "two", ACTOR)

    instance.write(both)
    client = client_of(instance, row_id)
    assert client.suspended_at(until - 1)
    assert client.slowed_at(until - 1) == 5
    assert instance.kinds()[-2:] == ["identity.client.slowed", "identity.client.suspended"]


def test_a_supplier_is_frozen_and_released(instance: Instance) -> None:
    ids = instance.apply(ESTATE).ids
    supplier, until = ids["supplier"]["drukwerk"], instance.now_us + HOUR_US
    instance.write(lambda writing: freezing.freeze(writing, supplier, until, "one", ACTOR))
    register = instance.register()
    client = client_of(instance, ids["client"]["drukwerk-batch"])
    assert reasons_against(register, client, until - 1) == ("supplier-frozen",)
    assert reasons_against(register, client, until) == ()
    instance.write(lambda writing: freezing.release(writing, supplier, "two", ACTOR))
    assert reasons_against(instance.register(), client, until - 1) == ()
    assert instance.write(lambda writing: freezing.release(writing, supplier, "three", ACTOR)) is None


def test_what_cannot_be_is_refused_and_who_ended_is_left_alone(instance: Instance) -> None:
    row_id = instance.apply(ESTATE).ids["client"]["drukwerk-batch"]
    until = instance.now_us + HOUR_US
    for wrong in (
        lambda writing: restraints.suspend(writing, row_id, 1, "past", ACTOR),
        lambda writing: restraints.suspend(writing, row_id, until, " ", ACTOR),
        lambda writing: restraints.suspend(writing, row_id, until, "two\nlines", ACTOR),
        lambda writing: restraints.slow(writing, row_id, until, 0, "why", ACTOR),
    ):
        with pytest.raises(Invalid):
            instance.write(wrong)
    with pytest.raises(NotFound):
        instance.write(lambda writing: restraints.suspend(writing, new_id(), until, "why", ACTOR))
    instance.end("client", row_id)
    size = instance.size()
    assert instance.write(lambda writing: restraints.suspend(writing, row_id, until, "why", ACTOR)) is None
    assert instance.size() == size


def test_whoever_was_signed_out_signs_in_anew(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path)
    try:
        key = ClientKey()
        client = keeper.register(key)
        shown = key.public.fingerprint
        assert keeper.sign_in.standing(client.id, shown, NOW).id == client.id
        keeper.change(client, restraint=Restraint(anew_us=NOW))
        for began in (NOW - 1, NOW):
            with pytest.raises(Refused) as caught:
                keeper.sign_in.standing(client.id, shown, began)
            assert caught.value.code == "sign-in-again"
            assert caught.value.proven
        assert keeper.sign_in.standing(client.id, shown, NOW + 1).id == client.id
    finally:
        keeper.engine.dispose()


def test_a_rate_lets_a_few_together_and_then_one_at_a_time() -> None:
    pace = Pace()
    for _ in range(AT_ONCE):
        pace.require("one", 60, NOW)
    with pytest.raises(Slowed) as caught:
        pace.require("one", 60, NOW)
    assert caught.value.data == {"retry_after": "1"}
    pace.require("another", 60, NOW)
    with pytest.raises(Slowed):
        pace.require("one", 60, NOW + SECOND - 1)
    pace.require("one", 60, NOW + SECOND)
    with pytest.raises(Slowed):
        pace.require("one", 60, NOW + SECOND)


def test_over_a_long_time_it_is_so_many_a_minute() -> None:
    pace, passed, waits = Pace(), 0, set()
    for moment in range(NOW, NOW + 600 * SECOND, SECOND // 5):
        try:
            pace.require("one", 30, moment)
        except Slowed as error:
            waits.add(error.data["retry_after"])
        else:
            passed += 1
    assert 300 <= passed <= 300 + AT_ONCE
    assert waits == {"1", "2"}
