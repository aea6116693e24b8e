"""Verification of what was erased: every payload that is gone is named by an entry, and every one so named is gone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from keten.ledger.faults import Fault

ERASED = "ledger.payloads.erased"
UNJUSTIFIED = "its payload is gone, and no entry says that it was erased"


class Gone(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """An entry whose payload was destroyed: what is still known of it, as the entry that says so has it."""

    index: int
    kind: str
    time_us: int


class _Details(msgspec.Struct, frozen=True, gc=False):
    erased: tuple[Gone, ...]


class _Erasure(msgspec.Struct, frozen=True, gc=False):
    details: _Details


_decode = msgspec.json.Decoder(_Erasure).decode


def read_erased(payload: bytes) -> tuple[Gone, ...]:
    """What an entry of the kind `ERASED` says is gone. Raises msgspec's errors."""
    return _decode(payload).details.erased


def erasure_faults(erased: Sequence[Gone], said: Sequence[tuple[int, Gone]], first: int) -> Iterator[Fault]:
    """What is gone without an entry that says so, and what is there though one does.

    erased: entries without payload, from index `first` on. said: what was named, and by which entry.

    1. An entry that is gone is named by a later one.
    2. Its kind and time are still those that it had: nothing else could tell any more.
    3. What is named is gone: a payload that is there was put back from a copy, or was never erased.
    """
    named: dict[int, tuple[int, Gone]] = {}
    for by, gone in said:
        if gone.index < by:
            named.setdefault(gone.index, (by, gone))
    there = {gone.index for gone in erased}
    for gone in erased:
        by, known = named.get(gone.index, (-1, gone))
        if by < 0:  # 1
            yield Fault("payload", UNJUSTIFIED, index=gone.index)
            continue
        if gone.kind != known.kind:  # 2
            what = f"column kind is {gone.kind!r:.100}, but entry {by}, which erased it, says {known.kind!r:.100}"
            yield Fault("column", what, index=gone.index)
        if gone.time_us != known.time_us:
            what = f"column time_us is {gone.time_us}, but entry {by}, which erased it, says {known.time_us}"
            yield Fault("column", what, index=gone.index)
    for index, (by, _gone) in named.items():  # 3
        if index >= first and index not in there:
            yield Fault("payload", f"entry {by} says that it was erased, and it was not", index=index)
