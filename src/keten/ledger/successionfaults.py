"""Verification of what a log says of the logs before it: its public list, and its entries that begin each life."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
from sqlalchemy import Connection

from keten.core.errors import KetenError
from keten.ledger.faults import Fault
from keten.ledger.notes import Checkpoint
from keten.ledger.succession import CONTINUED, PREDECESSORS, check_chain, check_roots, read

SUCCESSION = "succession"  # where these faults are


class _Details(msgspec.Struct, frozen=True):
    key: str = ""
    size: int = -1
    note: str = ""


class Continued(msgspec.Struct, frozen=True):
    """What an entry that begins a log's life says of the log before it."""

    details: _Details = _Details()


def read_heads(folder: Path, key: str) -> tuple[tuple[Checkpoint, ...], list[Fault]]:
    """The heads at which the logs before this one (verifier key: `key`) were continued; what is wrong with them."""
    try:
        return check_chain(read(folder), key), []
    except KetenError as error:
        return (), [Fault(SUCCESSION, f"{error.public} {error.reason}".strip(), file=PREDECESSORS)]


def root_faults(heads: Sequence[Checkpoint], root_at: Callable[[int], bytes | None]) -> Iterator[Fault]:
    """Heads of earlier logs with which this one does not begin."""
    try:
        check_roots(heads, root_at)
    except KetenError as error:
        yield Fault(SUCCESSION, f"{error.public} {error.reason}", file=PREDECESSORS)


class SuccessionCheck:
    """Compares the public list of earlier logs with the entries that say so; each must be in both."""

    name = SUCCESSION
    kinds = frozenset({CONTINUED})
    reads: type[msgspec.Struct] = Continued

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def gather(self, entries: Sequence[tuple[int, Continued]]) -> list[tuple[int, Continued]]:
        """Those entries, which are few."""
        return list(entries)

    def faults(self, _connection: Connection, gathered: Sequence[list[tuple[int, Continued]]]) -> Iterator[Fault]:
        """What is in the one and not in the other."""
        recorded = {index: said.details for some in gathered for index, said in some}
        try:
            listed = {one.checkpoint.size: one for one in read(self._folder)}
        except KetenError:
            return  # named already
        for index, details in recorded.items():
            one = listed.pop(index, None)
            if one is None:
                yield Fault(SUCCESSION, "the log that it goes on from is not listed", index=index, file=PREDECESSORS)
            elif (details.size, details.key, details.note) != (index, one.key, one.note):
                yield Fault(SUCCESSION, "it names another log, or another head, than the list", index=index)
        for index in listed:
            yield Fault(SUCCESSION, "no entry says that the log went on from here", index=index, file=PREDECESSORS)
