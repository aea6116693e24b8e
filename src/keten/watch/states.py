"""The states of detectors, by space and key: those in use as objects, the others packed, in a local file.

How many are in memory is bounded; those idle for longest are packed into the file, whose changes are one transaction:
until `commit`, a process that is killed finds what it committed before, states and notes alike.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from keten.core.errors import Corrupt
from keten.core.keyed import Keyed, Row

_EVICTED_AT_ONCE = 16  # a sixteenth
_packed = msgspec.msgpack.Encoder()


class Held:
    """States of one key, one place for each detector; None where there is none yet."""

    __slots__ = ("changed", "states", "used_us")

    def __init__(self, states: list[Any], used_us: int) -> None:
        self.states = states
        self.used_us = used_us
        self.changed = True


class Shelf:
    """The states of one space. number: in the file. kinds: of its places. most: keys in memory."""

    def __init__(self, number: int, kinds: Sequence[type[msgspec.Struct]], forgets_us: int, most: int) -> None:
        self.number = number
        self.kinds = tuple(kinds)
        self.forgets_us = forgets_us
        self._most = most
        self._held: OrderedDict[str, Held] = OrderedDict()
        self._unpack: msgspec.msgpack.Decoder[tuple[Any, ...]] = msgspec.msgpack.Decoder(_places(kinds))
        self.evicted = False  # since what was committed last

    def __len__(self) -> int:
        return len(self._held)

    def clear(self) -> None:
        """Forget what is in memory."""
        self._held.clear()
        self.evicted = False

    def take(self, key: str, time_us: int, file: Keyed) -> Held:
        """The states of a key, to be changed. What was idle for as long as its detectors remember is as new."""
        held = self._held.get(key)
        if held is None:
            packed = file.get(self.number, key)
            states = [None] * len(self.kinds) if packed is None else self._unpacked(packed)
            held = self._held[key] = Held(states, time_us)
            if len(self._held) > self._most:
                self._evict(file)
        else:
            self._held.move_to_end(key)
        if self.forgets_us and time_us - held.used_us > self.forgets_us:
            held.states = [None] * len(self.kinds)
        held.used_us = max(held.used_us, time_us)
        held.changed = True
        return held

    def _unpacked(self, packed: bytes) -> list[Any]:
        try:
            return list(self._unpack.decode(packed))
        except msgspec.MsgspecError as error:
            raise Corrupt("state-damaged", "The watch's state is not readable.", str(error)) from error

    def _evict(self, file: Keyed) -> None:
        rows: list[Row] = []
        for _ in range(max(1, self._most // _EVICTED_AT_ONCE)):
            key, held = self._held.popitem(last=False)
            if held.changed:
                rows.append(self._row(key, held))
        self.evicted = True
        file.put(rows)

    def keep(self) -> None:
        """What was packed last is not in the file after all: all of it differs from it."""
        for held in self._held.values():
            held.changed = True

    def changed(self) -> list[Row]:
        """What differs from the file, packed; from now on it counts as the same."""
        rows: list[Row] = []
        for key, held in self._held.items():
            if held.changed:
                held.changed = False
                rows.append(self._row(key, held))
        return rows

    def _row(self, key: str, held: Held) -> Row:
        return self.number, key, held.used_us, _packed.encode(held.states)


def _places(kinds: Sequence[type[msgspec.Struct]]) -> Any:
    """The type of one key's states: so many places, each with its own kind of state or none."""
    return tuple.__class_getitem__(tuple(kind | None for kind in kinds))


def open_file(folder: Path | None) -> Keyed:
    """The file of states in a folder; in memory without one. Raises as `Keyed`."""
    return Keyed(None if folder is None else folder / NAME)


NAME = "watch.states"
