"""Blocks of entries at a glance: what holds is taken whole, and nothing that is wrong in it goes unnoticed."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keten.core.clock import rfc3339
from keten.core.ids import new_id
from keten.ledger.blocks import holding
from keten.ledger.merkle import leaf_hash
from keten.ledger.model import Payload
from keten.ledger.postings import concerns
from keten.ledger.sealing import commitment, leaf_bytes

FIRST, TIME = 512, 1_760_000_000_000_000
Row = list[Any]


def row(place: int, *, refs: dict[str, str] | None = None, salt: bytes = b"", encoded: bytes | None = None) -> Row:
    """A row of `entries` that holds."""
    at, entry_id, salt = TIME + place, new_id(), salt or os.urandom(32)
    actor = new_id()
    payload = Payload(rfc3339(at), "exchange.object.opened", actor, (actor,), refs or {"object": new_id()})
    stored = msgspec.json.encode(payload) if encoded is None else encoded
    leaf = leaf_bytes(entry_id, commitment(salt, entry_id, stored))
    return [FIRST + place, entry_id, at, payload.kind, stored, salt, leaf]


def rows(count: int = 5) -> list[Row]:
    return [row(place) for place in range(count)]


@pytest.mark.parametrize("count", [1, 2, 256])
def test_what_holds_is_taken_whole(count: int) -> None:
    some = rows(count)
    block = holding(some, FIRST, TIME)
    assert block is not None
    assert list(block.leaves) == [each[6] for each in some]
    assert list(block.hashes) == [leaf_hash(each[6]) for each in some]
    assert list(block.times) == [each[2] for each in some]
    wanted: dict[str, list[int]] = {}
    for place, each in enumerate(some):
        what = msgspec.json.decode(each[4], type=Payload)
        for ref in concerns(what.kind, what.actor, what.subjects, what.refs):
            wanted.setdefault(ref, []).append(place)
    assert {ref: list(places) for ref, places in block.lists().items()} == wanted


@given(salt=st.binary(min_size=32, max_size=32), payload=st.binary(max_size=300))
def test_commitments_are_those_of_sealing(salt: bytes, payload: bytes) -> None:
    """A payload that is none does not hold; the same bytes within one that is do, under any salt."""
    assert holding([row(0, salt=salt, encoded=b"{" + payload)], FIRST, 0) is None
    assert holding([row(0, salt=salt, refs={"object": payload.hex()})], FIRST, 0) is not None


def _changed(column: int, change: Callable[[Any], Any]) -> Callable[[list[Row]], None]:
    def apply(some: list[Row]) -> None:
        some[2][column] = change(some[2][column])

    return apply


def _flip(data: bytes) -> bytes:
    return data[:-3] + bytes((data[-3] ^ 1,)) + data[-2:]


def _resealed(**fields: Any) -> Callable[[list[Row]], None]:
    """Another payload, with the leaf that commits to it: only the columns disagree."""

    def apply(some: list[Row]) -> None:
        old = some[2]
        payload = msgspec.structs.replace(msgspec.json.decode(old[4], type=Payload), **fields)
        old[4] = msgspec.json.encode(payload)
        old[6] = leaf_bytes(old[1], commitment(old[5], old[1], old[4]))

    return apply


def _swapped(some: list[Row]) -> None:
    some[1][0], some[2][0] = some[2][0], some[1][0]
    some[1], some[2] = some[2], some[1]


def _earlier(some: list[Row]) -> None:
    _resealed(time=rfc3339(TIME - 1))(some)
    some[2][2] = TIME - 1


@pytest.mark.parametrize(
    "damage",
    [
        *(_changed(column, lambda _value: None) for column in range(1, 7)),
        *(_changed(column, str) for column in (0, 2, 4, 5, 6)),
        *(_changed(column, lambda value: str(value).encode()) for column in (1, 3)),
        *(_changed(column, _flip) for column in (4, 5, 6)),
        _changed(0, lambda index: index + 1),
        _changed(1, lambda _id: new_id()),
        _changed(1, lambda entry_id: "é" + entry_id[1:]),
        _changed(2, lambda at: at + 1),
        _changed(2, float),
        _changed(2, lambda _at: 1 << 62),
        _changed(3, lambda kind: kind + "x"),
        _changed(4, lambda payload: payload + b" "),
        _changed(5, lambda salt: salt + b"\0"),
        _changed(6, lambda leaf: leaf + b" "),
        _resealed(kind="exchange.object.refused"),
        _resealed(time=rfc3339(TIME)),
        _swapped,
        _earlier,
    ],
)
def test_nothing_that_is_wrong_goes_unnoticed(damage: Callable[[list[Row]], None]) -> None:
    some = rows()
    assert holding(some, FIRST, TIME) is not None
    damage(some)
    assert holding(some, FIRST, TIME) is None


def test_a_time_before_that_of_the_block_before_goes_not_unnoticed() -> None:
    assert holding(rows(), FIRST, TIME) is not None
    assert holding(rows(), FIRST, TIME + 1) is None
    assert holding(rows(), FIRST + 1, TIME) is None
