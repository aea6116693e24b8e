"""Sign-in by SSH as the keeper goes through it."""

from __future__ import annotations

import pytest

from keten.core.errors import Busy
from keten.core.ids import new_id
from keten.core.settings import Limits
from keten.identity.model import Ended
from keten.keeper.protocol import SessionProof
from tests.unit.identity.keeping import LONG_AGO, Keeper, refusal
from tests.unit.identity.signing import NOW, ClientKey, ssh_sign_in

KEY = ClientKey()


def test_the_whole_way_by_ssh(keeper: Keeper) -> None:
    client = keeper.register(KEY)
    signed_in = keeper.sign_in.check_ssh(ssh_sign_in(KEY, client.id), client, NOW)
    payload = keeper.record(signed_in)
    session = keeper.sign_in.open_session(signed_in, NOW)
    assert payload.details == {
        "method": "ssh",
        "key": KEY.public.fingerprint,
        "vouched": False,
        "session": signed_in.hashed.hex(),
        "serial": signed_in.serial,
    }
    principal = keeper.sign_in.check_session(SessionProof(session.id), NOW)
    assert (principal.client_id, principal.via, principal.session) == (client.id, "sftp", session.id)
    assert principal.until_us == NOW + 12 * 3600 * 1_000_000
    assert principal.serial == signed_in.serial


def test_an_ssh_session_id_counts_once_for_ever(keeper: Keeper) -> None:
    client = keeper.register(KEY)
    shown = ssh_sign_in(KEY, client.id)
    keeper.record(keeper.sign_in.check_ssh(shown, client, NOW))
    assert refusal(lambda: keeper.sign_in.check_ssh(shown, client, NOW + 1)).code == "proof-replayed"
    years_later = NOW + 10 * 365 * 86_400_000_000
    keeper.start(years_later)
    again = keeper.sign_in.check_ssh(shown, client, years_later)
    assert refusal(lambda: keeper.record(again, years_later)).code == "proof-replayed"


def test_unknown_user_and_foreign_key_look_alike_by_ssh(keeper: Keeper) -> None:
    client = keeper.register(KEY)
    wrong = refusal(lambda: keeper.sign_in.check_ssh(ssh_sign_in(ClientKey(), client.id), client, NOW))
    absent = refusal(lambda: keeper.sign_in.check_ssh(ssh_sign_in(KEY, new_id()), None, NOW))
    odd = refusal(lambda: keeper.sign_in.check_ssh(ssh_sign_in(KEY, "root"), None, NOW))
    assert (wrong.code, wrong.public) == (absent.code, absent.public) == (odd.code, odd.public)
    assert (wrong.cause, absent.cause, odd.cause) == ("key-unknown", "client-unknown", "client-unknown")
    assert (wrong.client_id, absent.client_id) == (client.id, "")


def test_a_key_of_one_client_does_not_sign_in_another(keeper: Keeper) -> None:
    other_key = ClientKey()
    client, other = keeper.register(KEY), keeper.register(other_key)
    error = refusal(lambda: keeper.sign_in.check_ssh(ssh_sign_in(other_key, client.id), client, NOW))
    assert error.code == "key-unknown"
    mixed_up = refusal(lambda: keeper.sign_in.check_ssh(ssh_sign_in(other_key, client.id), other, NOW))
    assert mixed_up.code == "key-unknown"


def test_an_ended_client_is_refused_by_ssh(keeper: Keeper) -> None:
    client = keeper.change(keeper.register(KEY), ended=Ended(NOW - 5, "left", "operator:anna"))
    error = refusal(lambda: keeper.sign_in.check_ssh(ssh_sign_in(KEY, client.id), client, NOW))
    assert (error.code, error.proven) == ("client-ended", True)


def test_a_broken_signature_is_about_the_client_it_names(keeper: Keeper) -> None:
    client = keeper.register(KEY)
    shown = ssh_sign_in(KEY, client.id, signature=b"")
    error = refusal(lambda: keeper.sign_in.check_ssh(shown, client, NOW))
    assert (error.code, error.client_id, error.proven) == ("proof-invalid", client.id, False)


def test_ending_and_rotating_end_sessions(keeper: Keeper) -> None:
    old, new = ClientKey(), ClientKey()
    client = keeper.register(old, new)
    session = keeper.sign_in.open_session(keeper.sign_in.check_ssh(ssh_sign_in(old, client.id), client, NOW), NOW)
    shown = SessionProof(session.id)
    keeper.sign_in.check_session(shown, NOW)
    keeper.change(client, keys=(new.public.line,))
    assert refusal(lambda: keeper.sign_in.check_session(shown, NOW)).code == "key-unknown"
    keeper.change(client, ended=Ended(NOW, "left", "operator:anna"))
    assert refusal(lambda: keeper.sign_in.check_session(shown, NOW)).code == "client-ended"


def test_no_session_outlives_the_process(keeper: Keeper) -> None:
    client = keeper.register(KEY)
    signed_in = keeper.sign_in.check_ssh(ssh_sign_in(KEY, client.id), client, NOW)
    session = keeper.sign_in.open_session(signed_in, NOW)
    keeper.start(NOW)
    assert refusal(lambda: keeper.sign_in.check_session(SessionProof(session.id), NOW)).code == "session-ended"


def test_too_many_sessions_of_one_client_are_busy_before_anything_is_used_up(keeper: Keeper) -> None:
    keeper.start(LONG_AGO, Limits(parallel_per_client=1))
    client = keeper.register(KEY)
    first = keeper.sign_in.open_session(keeper.sign_in.check_ssh(ssh_sign_in(KEY, client.id), client, NOW), NOW)
    shown = ssh_sign_in(KEY, client.id)
    with pytest.raises(Busy):
        keeper.sign_in.check_ssh(shown, client, NOW)
    keeper.sign_in.sessions.end(first.id)
    keeper.sign_in.check_ssh(shown, client, NOW)
