"""A backup's data that somebody made up: said to be damaged, whatever they are."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from keten.backup import stream
from keten.backup.model import Blob
from keten.core.errors import Corrupt


class Kept:
    """Takes what it is given."""

    def __init__(self) -> None:
        self.taken: list[Any] = []

    def table(self, name: str, columns: Sequence[str]) -> None:
        self.taken.append((name, columns))

    def rows(self, rows: Sequence[Sequence[Any]]) -> None:
        self.taken += rows

    def opened(self, row: Sequence[Any] | None, bare: Sequence[Any] | None, subjects: tuple[str, ...]) -> None:
        self.taken.append((row, bare, subjects))

    def blobs(self, blobs: Sequence[Blob]) -> None:
        self.taken += blobs


def framed(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


@pytest.mark.parametrize(
    "data",
    [
        framed(b"\x91" * 200_000 + b"\xc0"),  # arrays in arrays
        framed(b""),
        framed(b"\xc1"),
        framed(msgspec.msgpack.encode(["z"])),
        framed(msgspec.msgpack.encode(["r"])),
        framed(msgspec.msgpack.encode(["e", 1])),
        struct.pack(">I", stream.MAX_FRAME + 1),
    ],
)
def test_what_is_no_frame_is_damage(data: bytes) -> None:
    with pytest.raises(Corrupt, match="damaged"):
        stream.Loading("b", stream.Blinds({}), Kept()).write(data)


def test_rows_that_are_large_together_go_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a backup holds can be read back: no frame is longer than a reader takes."""
    monkeypatch.setattr(stream, "MAX_FRAME", 2000)
    rows = [[number, b"x" * 900] for number in range(7)]
    frames = list(stream.row_frames(rows))
    assert max(map(len, frames)) <= 2000
    assert len(frames) > 1
    kept = Kept()
    loading = stream.Loading("b", stream.Blinds({}), kept)
    for one in [*frames, stream.frame("e", len(rows))]:
        loading.write(one)
    assert (loading.ended, kept.taken) == (True, rows)
