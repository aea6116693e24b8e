"""Nonces: of this start, of this minute or the last."""

from __future__ import annotations

import pytest

from keten.identity.nonces import PERIOD_US, REQUIRED_US, Nonces
from tests.unit.identity.signing import NOW


def test_a_nonce_is_valid_in_its_period_and_the_next() -> None:
    nonces = Nonces(NOW)
    nonce = nonces.current(NOW)
    start = NOW // PERIOD_US * PERIOD_US
    assert nonces.valid(nonce, NOW)
    assert nonces.valid(nonce, start + 2 * PERIOD_US - 1)
    assert not nonces.valid(nonce, start + 2 * PERIOD_US)
    assert not nonces.valid(nonce, start - 1)


def test_a_period_has_one_nonce_and_the_next_another() -> None:
    nonces = Nonces(NOW)
    assert nonces.current(NOW) == nonces.current(NOW)
    assert nonces.current(NOW) != nonces.current(NOW + PERIOD_US)


def test_a_nonce_of_another_start_is_not_valid() -> None:
    assert not Nonces(NOW).valid(Nonces(NOW).current(NOW), NOW)


def test_a_changed_nonce_is_not_valid() -> None:
    nonces = Nonces(NOW)
    nonce = nonces.current(NOW)
    for place in range(len(nonce)):
        other = "A" if nonce[place] != "A" else "B"
        assert not nonces.valid(nonce[:place] + other + nonce[place + 1 :], NOW)


@pytest.mark.parametrize("nonce", ["", "A", "é", "\ud800", "\0", "A" * 10_000])
def test_nonsense_is_not_valid(nonce: str) -> None:
    assert not Nonces(NOW).valid(nonce, NOW)


def test_nonces_are_required_until_proofs_of_before_the_start_are_over() -> None:
    nonces = Nonces(NOW)
    assert nonces.required(NOW)
    assert nonces.required(NOW + REQUIRED_US - 1)
    assert not nonces.required(NOW + REQUIRED_US)
    # A proof dated 60 s ahead, shown just before the start, could be shown until 120 s after it.
    assert REQUIRED_US > 120_000_000
