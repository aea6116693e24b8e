"""Rows of people's sessions: what the keeper did not seal signs nobody in, and what is over stays over."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any, cast

import msgspec
import pytest
from sqlalchemy import Connection, create_engine, update

from keten.core.ids import decode_id
from keten.identity.errors import Refused
from keten.identity.people_model import PersonSession
from keten.identity.people_tables import person_sessions
from keten.identity.person_sessions import HOUR_US, MINUTE_US, PersonSessions, limits_of
from keten.ledger.writing import Writing

KEY, BROWSER, PERSON, PASSKEY = b"k" * 32, "b" * 64, "p" * 26, "q" * 26
NOW = 1_800_000_000_000_000


class Within(msgspec.Struct, frozen=True):
    """All that these verbs use of a transaction."""

    connection: Any


@pytest.fixture
def writing() -> Iterator[Writing]:
    engine = create_engine("sqlite://")
    person_sessions.create(engine)
    with engine.begin() as connection:
        yield cast("Writing", Within(connection))
    engine.dispose()


def opened(writing: Writing, key: bytes = KEY, roles: tuple[str, ...] = ("auditor",)) -> tuple[str, PersonSession]:
    secret, session = PersonSessions.make(PERSON, PASSKEY, "console", BROWSER, "192.0.2.0/24", roles, NOW)
    PersonSessions(key).insert(writing, session)
    return secret, session


def loaded(connection: Connection, now_us: int = NOW) -> PersonSessions:
    sessions = PersonSessions(KEY)
    sessions.load(connection, now_us)
    return sessions


def test_a_secret_has_128_bits_and_is_kept_as_a_hash(writing: Writing) -> None:
    made = [opened(writing) for _each in range(50)]
    assert len({secret for secret, _session in made}) == len({session.id for _secret, session in made}) == 50
    rows = repr(writing.connection.execute(person_sessions.select()).fetchall())
    for secret, session in made:
        assert len(decode_id(secret)) == 16
        assert session.hash == sha256(secret.encode()).hexdigest()
        assert secret not in rows
        assert session.hash in rows


def test_a_session_outlives_a_restart(writing: Writing) -> None:
    secret, session = opened(writing)
    assert loaded(writing.connection).get(secret, "console", BROWSER, NOW) == session


def test_one_that_was_written_by_somebody_else_is_none(
    writing: Writing, caplog: pytest.LogCaptureFixture
) -> None:
    secret, _session = opened(writing, key=b"x" * 32)
    sessions = loaded(writing.connection)
    with pytest.raises(Refused, match="session-ended"):
        sessions.get(secret, "console", BROWSER, NOW)
    assert "was not written by this keeper" in caplog.text


@pytest.mark.parametrize(
    "lie",
    [
        {"person": "r" * 26},
        {"face": "portal"},
        {"expires_us": NOW + 10**15},
        {"asserted_us": NOW + 1},
        {"browser": "c" * 64},
        {"seal": b""},
        {"seal": "no bytes"},
        {"used_us": "not a number"},
    ],
    ids=lambda lie: next(iter(lie)),
)
def test_one_that_was_changed_is_none(writing: Writing, lie: dict[str, Any]) -> None:
    opened(writing)
    columns = ", ".join(f"{name} = :{name}" for name in lie)
    writing.connection.exec_driver_sql(f"UPDATE person_sessions SET {columns}", lie)
    assert len(loaded(writing.connection)) == 0


def test_what_was_noted_of_its_use_is_sealed_too(writing: Writing) -> None:
    secret, session = opened(writing)
    sessions = loaded(writing.connection)
    assert sessions.touch(session, NOW + 2 * MINUTE_US)
    used = sessions.now(session)
    assert used is not None
    sessions.note(writing, used)
    again = loaded(writing.connection, NOW + 2 * MINUTE_US)
    assert again.get(secret, "console", BROWSER, NOW + 2 * MINUTE_US).used_us == NOW + 2 * MINUTE_US
    writing.connection.execute(update(person_sessions).values(used_us=NOW + 3 * MINUTE_US))
    assert len(loaded(writing.connection)) == 0


def test_it_ends_where_it_lies_still_and_at_its_end_at_the_latest(writing: Writing) -> None:
    idle, most = limits_of(("administrator", "auditor"))
    assert (idle, most) == (15 * MINUTE_US, 12 * HOUR_US)
    secret, session = opened(writing, roles=("administrator",))
    sessions = loaded(writing.connection)
    assert sessions.get(secret, "console", BROWSER, NOW + idle - 1) == session
    with pytest.raises(Refused, match="session-ended"):
        sessions.get(secret, "console", BROWSER, NOW + idle)
    assert len(loaded(writing.connection, NOW + idle)) == 0


def test_a_passkey_takes_its_sessions_along(writing: Writing) -> None:
    _secret, session = opened(writing)
    assert PersonSessions.remove_of_passkey(writing, "other" * 5) == ()
    assert PersonSessions.remove_of_passkey(writing, PASSKEY) == (session.id,)
    assert len(loaded(writing.connection)) == 0
