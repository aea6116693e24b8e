"""SFTP sessions: random handles, bounded in number and time."""

from __future__ import annotations

import pytest

from keten.core.errors import Busy
from keten.core.ids import is_id, new_id
from keten.identity.errors import Refused
from keten.identity.sessions import Sessions
from tests.unit.identity.signing import NOW

HOUR_US = 3_600_000_000


def test_a_session_is_found_until_it_ends() -> None:
    sessions = Sessions(12, 5, 10)
    one = sessions.open("a", "SHA256:x", "s", NOW)
    assert is_id(one.id)
    assert sessions.get(one.id, NOW + 12 * HOUR_US - 1) == one
    with pytest.raises(Refused) as caught:
        sessions.get(one.id, NOW + 12 * HOUR_US)
    assert (caught.value.code, caught.value.client_id) == ("session-ended", "a")
    assert len(sessions) == 0


def test_what_was_never_opened_is_not_found() -> None:
    sessions = Sessions(12, 5, 10)
    for handle in ("", "x", new_id(), "\ud800"):
        with pytest.raises(Refused):
            sessions.get(handle, NOW)


def test_an_ended_session_is_gone_and_ending_twice_is_no_error() -> None:
    sessions = Sessions(12, 5, 10)
    one = sessions.open("a", "k", "s", NOW)
    assert sessions.end(one.id) == one
    assert sessions.end(one.id) is None
    with pytest.raises(Refused):
        sessions.get(one.id, NOW)
    assert sessions.all() == ()


def test_one_client_does_not_take_the_others_sessions() -> None:
    sessions = Sessions(12, 2, 10)
    sessions.open("a", "k", "s", NOW)
    second = sessions.open("a", "k", "s", NOW)
    with pytest.raises(Busy):
        sessions.open("a", "k", "s", NOW)
    sessions.open("b", "k", "s", NOW)
    sessions.end(second.id)
    sessions.open("a", "k", "s", NOW)


def test_all_together_are_bounded() -> None:
    sessions = Sessions(12, 5, 3)
    for client in "abc":
        sessions.open(client, "k", "s", NOW)
    with pytest.raises(Busy):
        sessions.require_room("d", NOW)
    assert len(sessions) == 3


def test_sessions_whose_time_is_over_make_room() -> None:
    sessions = Sessions(1, 5, 3)
    for client in "abc":
        sessions.open(client, "k", "s", NOW)
    sessions.open("d", "k", "s", NOW + HOUR_US)
    assert len(sessions) == 1


def test_a_clients_sessions_are_listed() -> None:
    sessions = Sessions(12, 5, 10)
    ids = {sessions.open("a", "k", "s", NOW).id for _ in range(3)}
    other = sessions.open("b", "k", "s", NOW).id
    assert set(sessions.of_client("a")) == ids
    assert sessions.of_client("c") == ()
    assert {session.id for session in sessions.all()} == ids | {other}
