"""What the seam wrote down of a run (tests/fault/seam/seam.c says in what form)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path

import msgspec

_HEAD = struct.Struct("=IIIIQQ")


class What(IntEnum):
    """The kinds of events, numbered as in seam.c."""

    WRITE = 1
    BEGIN = 2  # of an fsync; `offset` is its number
    END = 3
    RENAME = 4
    CREATE = 5
    TRUNCATE = 6  # `offset` is the new length
    MKDIR = 7
    UNLINK = 8
    RMDIR = 9
    MARK = 10  # what whoever recorded it had to say, in `data`


class Event(msgspec.Struct, frozen=True):
    """One event. Paths are relative to the recorded folder."""

    what: What
    path: str
    other: str
    inode: int
    offset: int
    data: bytes


def read(log: Path, root: Path) -> Iterator[Event]:
    """The events of a log, in order."""
    raw = log.read_bytes()
    at = 0
    while at < len(raw):
        what, path, other, data, inode, offset = _HEAD.unpack_from(raw, at)
        at += _HEAD.size
        parts = []
        for length in (path, other, data):
            parts.append(raw[at : at + length])
            at += length
        names = [_relative(part.decode(), root) for part in parts[:2]]
        yield Event(What(what), names[0], names[1], inode, offset, parts[2])


def _relative(path: str, root: Path) -> str:
    return path.removesuffix(" (deleted)").removeprefix(str(root)).removeprefix("/")
