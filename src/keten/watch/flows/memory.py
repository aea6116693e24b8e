"""What the follower of flow logs remembers, in one file: how far each was read, and what came of it. All or nothing.

What was read and what came of it are written together, so nothing is lost, and nothing counts twice. A report has a
number; it is written down before it is sent, and sent again until it was taken.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from keten.core.errors import Corrupt
from keten.core.files import Files
from keten.watch.flows.following import Cursor
from keten.watch.flows.lines import Counts
from keten.watch.flows.model import Report
from keten.watch.flows.summing import Sums

FORMAT = 1
_DIGEST = 16


class Memory(msgspec.Struct):
    """number: of the next report. sending: reports that were not taken yet, the oldest first. counts: of all lines."""

    format: int = FORMAT
    number: int = 0
    sending: list[Report] = []
    sums: Sums = msgspec.field(default_factory=Sums)
    cursors: list[Cursor] = []
    counts: Counts = msgspec.field(default_factory=Counts)


_decoder = msgspec.msgpack.Decoder(Memory)


def load(path: Path) -> Memory | None:
    """What was remembered; None where there is nothing. Raises `Corrupt` ("state-damaged"), `OSError`."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    digest, body = data[:_DIGEST], data[_DIGEST:]
    if _sum(body) != digest:
        raise Corrupt("state-damaged", "What is remembered of flow logs is damaged.", str(path))
    try:
        found = _decoder.decode(body)
    except (msgspec.MsgspecError, RecursionError) as error:
        public = "What is remembered of flow logs is of another version."
        raise Corrupt("state-damaged", public, f"{path}: {error}") from error
    if found.format != FORMAT:
        raise Corrupt("state-damaged", "What is remembered of flow logs is of another version.", str(path))
    return found


def save(path: Path, memory: Memory, files: Files) -> None:
    """Keep it, durably. Raises `Unavailable`, `FsyncFailed`."""
    body = msgspec.msgpack.encode(memory)
    files.write(path, _sum(body) + body, 0o600)


def _sum(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_DIGEST).digest()
