"""What counts once counts once: in memory, and across restarts in the database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, func, select

from keten.core.db import writing_engine
from keten.core.errors import Busy
from keten.identity.errors import Refused
from keten.identity.proof_tables import used_proofs
from keten.identity.replays import NEVER_US, SWEEP_ROWS, SWEEP_US, ReplayMemory, UsedProofs, proof_hash
from tests.cluster import place_in
from tests.unit.identity.signing import NOW

SECOND = 1_000_000


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = writing_engine(place_in(tmp_path))
    with engine.begin() as connection:
        used_proofs.create(connection)
    yield engine
    engine.dispose()


def rows_in(connection: Connection) -> int:
    return int(connection.execute(select(func.count()).select_from(used_proofs)).scalar_one())


def rows(engine: Engine) -> int:
    with engine.connect() as connection:
        return rows_in(connection)


@given(st.lists(st.binary(max_size=4), max_size=3), st.lists(st.binary(max_size=4), max_size=3))
def test_other_parts_have_another_hash(one: list[bytes], other: list[bytes]) -> None:
    assert (proof_hash("x", *one) == proof_hash("x", *other)) == (one == other)


def test_another_kind_has_another_hash() -> None:
    assert proof_hash("dpop", b"a") != proof_hash("assertion", b"a")


@given(st.integers(0, 120 * SECOND), st.integers(0, 120 * SECOND))
def test_a_proof_is_remembered_as_long_as_it_is_valid(valid_us: int, later_us: int) -> None:
    memory = ReplayMemory(10)
    memory.use(b"a", NOW + valid_us, NOW)
    if later_us <= valid_us:
        with pytest.raises(Refused):
            memory.use(b"a", NOW + valid_us, NOW + later_us)
    else:
        memory.require_new(b"b", NOW + later_us)


def test_memory_is_given_back() -> None:
    memory = ReplayMemory(100)
    for step in range(1000):
        now_us = NOW + step * SECOND
        memory.use(str(step).encode(), now_us + 60 * SECOND, now_us)
    assert len(memory) <= 72
    memory.require_new(b"x", NOW + 5000 * SECOND)
    assert len(memory) == 0


def test_a_full_memory_is_busy_and_keeps_what_it_has() -> None:
    memory = ReplayMemory(2)
    memory.use(b"a", NOW + SECOND, NOW)
    memory.use(b"b", NOW + SECOND, NOW)
    with pytest.raises(Busy):
        memory.use(b"c", NOW + SECOND, NOW)
    with pytest.raises(Refused):
        memory.use(b"a", NOW + SECOND, NOW)


def test_a_spent_proof_is_spent_after_a_restart(engine: Engine) -> None:
    hashed = proof_hash("ssh-session", b"s")
    with engine.begin() as connection:
        UsedProofs().spend(connection, hashed, NEVER_US, NOW)
    with engine.begin() as connection, pytest.raises(Refused) as caught:
        UsedProofs().spend(connection, hashed, NEVER_US, NOW + 10**15)
    assert caught.value.code == "proof-replayed"
    assert rows(engine) == 1


def test_twice_in_one_commit_is_noticed(engine: Engine) -> None:
    used = UsedProofs()
    with engine.begin() as connection:
        used.spend(connection, b"a", NOW, NOW)
        with pytest.raises(Refused):
            used.spend(connection, b"a", NOW, NOW)
    assert rows(engine) == 1


def test_what_was_rolled_back_is_not_spent(engine: Engine) -> None:
    used = UsedProofs()
    with engine.connect() as connection:
        connection.begin()
        used.spend(connection, b"a", NOW, NOW)
        connection.rollback()
    with engine.begin() as connection:
        used.spend(connection, b"a", NOW, NOW)
    assert rows(engine) == 1


def test_expired_proofs_are_swept_a_few_at_a_time_and_others_stay(engine: Engine) -> None:
    used = UsedProofs()
    many = SWEEP_ROWS + 500
    with engine.begin() as connection:
        for number in range(many):
            used.spend(connection, b"old%d" % number, NOW + SECOND, NOW)
        used.spend(connection, b"for ever", NEVER_US, NOW)
    later = NOW + 2 * SWEEP_US
    for step, left in enumerate([many + 1 + 1 - SWEEP_ROWS, 3, 4]):
        with engine.begin() as connection:
            moment = later + step * SWEEP_US
            used.spend(connection, b"new%d" % step, moment + 10**9, moment)
        assert rows(engine) == left
    with engine.begin() as connection, pytest.raises(Refused):
        used.spend(connection, b"for ever", NEVER_US, later)


def test_sweeping_is_done_once_a_minute(engine: Engine) -> None:
    used = UsedProofs()
    with engine.begin() as connection:
        used.spend(connection, b"a", NOW + 1, NOW)
        used.spend(connection, b"b", NOW + 100, NOW + 50)
        assert rows_in(connection) == 2
        used.spend(connection, b"c", NOW + SWEEP_US + 100, NOW + SWEEP_US)
        assert rows_in(connection) == 1
