"""Access tokens: only what this keeper sealed opens, unchanged and in time."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keten.core.clock import TOLERANCE_US
from keten.core.errors import Invalid
from keten.core.ids import new_id
from keten.identity import tokens as tokens_module
from keten.identity.errors import Refused
from keten.identity.jws import decode_base64url, encode_base64url
from keten.identity.tokens import TOKEN_CHARACTERS, Claims, Tokens, new_serial, token_hash
from tests.unit.identity.signing import NOW, ClientKey

ROOT = b"r" * 32
DAY_US = 86_400_000_000
KEY = ClientKey()
ID = new_id()


def issue(tokens: Tokens, now_us: int = NOW, serial: str = "") -> str:
    return tokens.issue(ID, KEY.public.fingerprint, KEY.thumbprint(), serial or new_serial(), now_us)


def test_a_token_says_what_was_put_in() -> None:
    tokens = Tokens(ROOT, 300)
    serial = new_serial()
    token = issue(tokens, serial=serial)
    assert len(token) == TOKEN_CHARACTERS
    expected = Claims(ID, KEY.thumbprint(), KEY.public.fingerprint, NOW + 300_000_000, serial, token_hash(token))
    assert tokens.open(token, NOW) == expected


def test_a_token_that_is_remembered_ends_all_the_same() -> None:
    tokens = Tokens(ROOT, 300)
    token = issue(tokens)
    assert tokens.open(token, NOW) == tokens.open(token, NOW + 299_999_999)
    with pytest.raises(Refused) as caught:
        tokens.open(token, NOW + 300_000_000)
    assert caught.value.code == "token-expired"
    assert caught.value.client_id == ID


def test_so_many_tokens_are_remembered_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens_module, "MAX_OPENED", 3)
    tokens = Tokens(ROOT, 300)
    made = [issue(tokens) for _ in range(8)]
    assert [tokens.open(one, NOW).ath for one in made] == [token_hash(one) for one in made]
    assert len(tokens._opened) == 3
    assert tokens.open(made[0], NOW).client_id == ID, "forgotten, and opened again"


def test_a_token_survives_a_restart_of_its_keeper() -> None:
    assert Tokens(ROOT, 300).open(issue(Tokens(ROOT, 300)), NOW).client_id == ID


def test_a_token_of_another_keeper_does_not_open() -> None:
    with pytest.raises(Refused) as caught:
        Tokens(ROOT, 300).open(issue(Tokens(b"s" * 32, 300)), NOW)
    assert caught.value.code == "token-invalid"


def test_no_two_tokens_are_alike() -> None:
    tokens = Tokens(ROOT, 300)
    assert issue(tokens, serial="00" * 10) != issue(tokens, serial="00" * 10)


def test_nothing_of_the_claims_can_be_read() -> None:
    raw = decode_base64url(issue(Tokens(ROOT, 300)), "x")
    assert ID.encode() not in raw
    assert KEY.thumbprint() not in raw


def test_a_token_ends_to_the_microsecond() -> None:
    tokens = Tokens(ROOT, 300)
    token = issue(tokens)
    tokens.open(token, NOW + 300_000_000 - 1)
    for later in (NOW + 300_000_000, NOW + DAY_US // 2):
        with pytest.raises(Refused) as caught:
            tokens.open(token, later)
        assert (caught.value.code, caught.value.client_id) == ("token-expired", ID)


def test_a_token_that_a_clock_made_that_was_ahead_is_none() -> None:
    """Set right again, it would else be valid for as long as the clock was ahead."""
    tokens = Tokens(ROOT, 300)
    for ahead_us, opens in ((TOLERANCE_US, True), (TOLERANCE_US + 1, False), (DAY_US // 3, False)):
        token = issue(tokens, NOW + ahead_us)
        if opens:
            assert tokens.open(token, NOW).client_id == ID
        else:
            with pytest.raises(Refused) as caught:
                tokens.open(token, NOW)
            assert caught.value.code == "token-invalid"


def test_a_token_across_midnight_opens_on_both_sides() -> None:
    tokens = Tokens(ROOT, 300)
    midnight = (NOW // DAY_US + 1) * DAY_US
    token = issue(tokens, midnight - 1)
    assert tokens.open(token, midnight - 1).client_id == ID
    assert Tokens(ROOT, 300).open(token, midnight + 1).client_id == ID


def test_a_token_of_long_ago_or_far_ahead_derives_no_key() -> None:
    tokens = Tokens(ROOT, 300)
    for moment in (NOW - 3 * DAY_US, NOW + 3 * DAY_US):
        token = issue(Tokens(ROOT, 300), moment)
        with pytest.raises(Refused) as caught:
            tokens.open(token, NOW)
        assert caught.value.code == "token-invalid"
    assert tokens._ciphers == {}


def test_keys_of_days_gone_by_are_forgotten() -> None:
    tokens = Tokens(ROOT, 300)
    for day in range(30):
        tokens.open(issue(tokens, NOW + day * DAY_US), NOW + day * DAY_US)
    assert len(tokens._ciphers) <= 3


def test_any_changed_bit_is_noticed() -> None:
    tokens = Tokens(ROOT, 300)
    raw = decode_base64url(issue(tokens), "x")
    for bit in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Refused) as caught:
            tokens.open(encode_base64url(bytes(changed)), NOW)
        assert caught.value.code == "token-invalid"


@pytest.mark.parametrize(
    "change",
    [
        lambda _token: "",
        lambda token: token[:-1],
        lambda token: token + "A",
        lambda token: token + "=",
        lambda token: token[:-1] + "=",
        lambda token: token[:-1] + "é",
        lambda token: token[:-1] + "\ud800",
        lambda token: " " + token[1:],
        lambda _token: "A" * TOKEN_CHARACTERS,
        lambda token: token * 10_000,
    ],
)
def test_nonsense_does_not_open(change: object) -> None:
    tokens = Tokens(ROOT, 300)
    assert callable(change)
    with pytest.raises(Refused) as caught:
        tokens.open(change(issue(tokens)), NOW)
    assert caught.value.code == "token-invalid"


@given(st.binary(min_size=141, max_size=141))
def test_random_bytes_of_the_right_size_do_not_open(raw: bytes) -> None:
    today = raw[:1] + (NOW // DAY_US).to_bytes(4, "big") + raw[5:]
    for tried in (raw, today, b"\1" + today[1:]):
        with pytest.raises(Refused):
            Tokens(ROOT, 300).open(encode_base64url(tried), NOW)


@pytest.mark.parametrize("lifetime_s", [0, -1, 3601])
def test_a_lifetime_that_is_not_minutes_is_refused(lifetime_s: int) -> None:
    with pytest.raises(Invalid):
        Tokens(os.urandom(32), lifetime_s)
