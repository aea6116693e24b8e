"""Refusals at the door go with the writer's transaction, and none is lost between an entry and a count."""

from __future__ import annotations

from keten.exchange.refusals import MINUTE_US, SINGLE, DoorRefusals

MANY = 3 * SINGLE


def asked(refusals: DoorRefusals, times: int, now_us: int = 0) -> int:
    """How many of them get an entry of their own."""
    return sum(refusals.admit("client", ("absent",), now_us) for _ in range(times))


def counted(refusals: DoorRefusals, now_us: int = MINUTE_US) -> list[int]:
    return [draft.details["count"] for draft in refusals.due(now_us)]


def test_what_did_not_happen_is_not_counted() -> None:
    refusals = DoorRefusals()
    assert asked(refusals, MANY) == SINGLE
    refusals.rollback()
    assert counted(refusals) == []
    assert asked(refusals, MANY) == SINGLE
    refusals.commit()
    refusals.rollback()
    assert counted(refusals) == [MANY - SINGLE]
    assert counted(refusals) == []


def test_none_is_lost_when_the_minute_ends_within_a_transaction() -> None:
    for before in (1, SINGLE, MANY):
        refusals = DoorRefusals()
        own = asked(refusals, before)
        refusals.commit()
        own += asked(refusals, MANY)
        told = counted(refusals)
        refusals.commit()
        told += counted(refusals)
        assert own == SINGLE
        assert own + sum(told) == before + MANY
