"""Random ids: their shape, and that nothing else has it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keten.core.ids import ID_LENGTH, decode_id, encode_id, is_id, new_id


def test_fresh_ones_differ() -> None:
    made = {new_id() for _ in range(1000)}
    assert len(made) == 1000
    assert all(is_id(one) and len(one) == ID_LENGTH for one in made)


@given(st.binary(min_size=16, max_size=16))
def test_16_bytes_there_and_back(raw: bytes) -> None:
    text = encode_id(raw)
    assert is_id(text)
    assert decode_id(text) == raw


@given(st.text(alphabet="abcxyz234567", min_size=26, max_size=26))
def test_one_id_has_one_form(text: str) -> None:
    """What is an id is the only text for its bytes: two spellings of one id would be two rows."""
    if is_id(text):
        assert encode_id(decode_id(text)) == text


@given(st.text())
def test_any_text_is_judged(text: str) -> None:
    if not is_id(text):
        with pytest.raises(ValueError, match="not an id"):
            decode_id(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "a" * 25, "a" * 27, "A" * 26, "a" * 25 + "b", "a" * 25 + "\n", "a" * 26 + "\n", "../" + "a" * 23),
        *("0" * 26, "\u0430" * 26, "a" * 12 + "\0" + "a" * 13, " " + "a" * 25, "a" * 25 + "="),
    ],
)
def test_what_is_no_id(text: str) -> None:
    assert not is_id(text)


def test_every_bit_is_random() -> None:
    """128 of them (law 8). Far beyond what chance does: 0.1 is 12 standard deviations of 4096 draws."""
    drawn = [int.from_bytes(decode_id(new_id()), "big") for _ in range(4096)]
    for bit in range(128):
        share = sum(one >> bit & 1 for one in drawn) / len(drawn)
        assert abs(share - 0.5) < 0.1, f"bit {bit}"
