"""Runs detectors over events, one by one, and keeps what they remember, so that nothing has to be seen twice.

What comes out depends on the events alone: replaying the ledger gives the same states and the same signals, however
often the engine was stopped, saved and started in between.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, get_args

import msgspec

from keten.core.errors import Corrupt, FsyncFailed, KetenError
from keten.core.files import Files
from keten.core.keyed import remove
from keten.watch.detectors.detector import DAY_US, HOUR_US, SPACES, Combining, Comparing, Detector, Space
from keten.watch.model import SEVERITIES, Event, Severity, Signal, What
from keten.watch.states import NAME, Held, Shelf, open_file

log = logging.getLogger(__name__)

FORMAT = 1
HOT_KEYS = 20_000
"""Keys of each space whose states are in memory; the others are in the file."""
REMEMBERED = 4096
"""An event whose index is so far behind the newest is taken to have been seen."""
MOST_FINE = 10_000
SWEPT_US = DAY_US
_LATE_US = 7 * DAY_US  # a state is kept for so much longer than it is of use, for events that come late
FAULT = "detector-fault"
_NOTE = "engine"
_SPACES: tuple[Space, ...] = tuple(SPACES)


class _Memory(msgspec.Struct, array_like=True):
    """What the engine itself remembers.

    made_by: which detectors. top: the newest index. seen: indexes among the last. fine: topic → until when, up to which
    severity. faults: detector → when it was told last. last: id of the newest event's entry. newest_us: the newest
    time; swept_us: when states that are of no use any more were removed.
    """

    made_by: str
    cursor: int = 0
    top: int = -1
    seen: set[int] = set()
    fine: dict[str, tuple[int, int]] = {}
    faults: dict[str, int] = {}
    last: str = ""
    newest_us: int = 0
    swept_us: int = 0


_unpack = msgspec.msgpack.Decoder(_Memory)


class Engine:
    """detectors: in the order in which they are asked. folder: where states are kept; None: nowhere.

    A file that is torn, damaged, or was made by other detectors is removed: the cursor is 0 then, and the ledger is to
    be replayed. Not safe between threads; one engine at a time for a folder. Raises `Unavailable` when the disk does
    not give or take what is asked; the states are those of the last `save` then, and `cursor` says from where to go on.
    """

    def __init__(self, detectors: Sequence[Detector[Any]], folder: Path | None = None, *, hot: int = HOT_KEYS) -> None:
        codes = [each.code for each in detectors]
        if len(set(codes)) != len(codes):
            raise ValueError("two detectors have one code")
        self._folder = folder
        self._detectors = tuple(detectors)
        self._hot = hot
        self._made_by = _fingerprint(detectors)
        self._shelves, self._by_what = self._arrange()
        if folder is not None:
            Files().make_folder(folder, 0o700)
        self._open()

    # ---- events ----------------------------------------------------------------------------------------------------

    def step(self, event: Event) -> list[Signal]:
        """What the detectors see in one event. An event that was seen before shows nothing.

        A detector that throws is told of as a signal of "detector-fault", once an hour of the events' time; it begins
        anew for the key at hand, and the others go on.
        """
        memory = self._memory
        index = event.index
        if index <= memory.top and (index in memory.seen or index <= memory.top - REMEMBERED):
            return []
        signals = self._shown(event)
        memory.seen.add(index)
        memory.top = max(memory.top, index)
        memory.last = event.id
        memory.newest_us = max(memory.newest_us, event.time_us)
        if len(memory.seen) > 2 * REMEMBERED:
            memory.seen = {each for each in memory.seen if each > memory.top - REMEMBERED}
        return signals

    def learn(self, event: Event) -> list[Signal]:
        """Let the detectors see what is not of this ledger, such as work of before it began; its index says nothing.

        What they would have said is for whoever wants to know; what was seen stays as with `step`, and so does `save`.
        """
        signals = self._shown(event)
        self._memory.newest_us = max(self._memory.newest_us, event.time_us)
        return signals

    def _shown(self, event: Event) -> list[Signal]:
        try:
            return self._step(event)
        except KetenError as error:
            self._reload(error)
            raise

    def _step(self, event: Event) -> list[Signal]:
        signals: list[Signal] = []
        taken: list[Held | None] = [None] * len(_SPACES)
        asked, spaces = self._by_what[event.what]
        for number in spaces:
            key = SPACES[_SPACES[number]](event)
            if key:
                taken[number] = self._shelves[number].take(key, event.time_us, self._file)
        for ask in asked:
            found = ask(event, taken, signals)
            if found:
                signals += found if not self._memory.fine else self._unless_fine(found)
        return signals

    def _unless_fine(self, signals: Iterable[Signal]) -> list[Signal]:
        fine = self._memory.fine
        kept = []
        for one in signals:
            until_us, place = fine.get(one.topic, (0, 0))
            if one.time_us >= until_us or SEVERITIES.index(one.severity) > place:
                kept.append(one)
        return kept

    def _fault(self, detector: Detector[Any], event: Event, error: Exception) -> Sequence[Signal]:
        told = self._memory.faults.get(detector.code)
        if told is not None and event.time_us - told < HOUR_US:
            return ()
        self._memory.faults[detector.code] = event.time_us
        log.error("detector %s failed at entry %s", detector.code, event.id, exc_info=error)
        facts: dict[str, int | float | str] = {"detector": detector.code, "error": type(error).__name__}
        return (
            Signal(
                detector=FAULT, severity="medium", time_us=event.time_us, facts=facts, first=event.id, last=event.id
            ),
        )

    # ---- what people said ------------------------------------------------------------------------------------------

    def feedback(self, signal_key: str, until_us: int, severity: Severity = "high") -> None:
        """The same is not signalled until then, unless it is worse than `severity`.

        signal_key: detector/whom it is about/dataset, with or without "/" and more behind it.
        """
        fine = self._memory.fine
        fine["/".join(signal_key.split("/")[:3])] = (until_us, SEVERITIES.index(severity))
        while len(fine) > MOST_FINE:
            del fine[min(fine, key=lambda each: (fine[each][0], each))]

    # ---- keeping ---------------------------------------------------------------------------------------------------

    @property
    def cursor(self) -> int:
        """Index of the next entry, as of the last `save` (0 without one): from there on, entries are to be shown."""
        return self._memory.cursor

    @property
    def last(self) -> str:
        """Id of the newest entry that was shown; "" when there is none."""
        return self._memory.last

    def save(self, cursor: int) -> None:
        """Keep all states with the index of the next entry: all of it, or, when this raises, none."""
        memory = self._memory
        before, memory.cursor = memory.cursor, cursor
        try:
            for shelf in self._shelves:
                self._file.put(shelf.changed())
            self._sweep()
            self._file.commit({_NOTE: msgspec.msgpack.encode(memory)})
        except KetenError as error:
            memory.cursor = before
            if isinstance(error, Corrupt | FsyncFailed) or any(shelf.evicted for shelf in self._shelves):
                self._reload(error)
            else:  # all of it is still in memory
                self._file.rollback()
                for shelf in self._shelves:
                    shelf.keep()
            raise
        for shelf in self._shelves:
            shelf.evicted = False

    def _sweep(self) -> None:
        """Remove what was idle for longer than its detectors remember: `Shelf.take` would not use it any more."""
        memory = self._memory
        if memory.newest_us - memory.swept_us < SWEPT_US:
            return
        memory.swept_us = memory.newest_us
        for shelf in self._shelves:
            if shelf.forgets_us:
                self._file.forget(shelf.number, memory.newest_us - shelf.forgets_us - _LATE_US)

    def begin_anew(self) -> None:
        """Forget everything: the ledger is another one than before, or shorter."""
        self._file.discard()
        self._open()

    def close(self) -> None:
        """Let go of the file; what was not saved is seen again."""
        self._file.close()

    def _open(self) -> None:
        for shelf in self._shelves:
            shelf.clear()
        self._memory = _Memory(self._made_by)
        try:
            self._file = open_file(self._folder)
        except Corrupt as error:
            self._make_anew(error)
            return
        try:
            self._file.check()
            self._read()
        except Corrupt as error:
            self._file.close()
            self._make_anew(error)

    def _make_anew(self, error: Corrupt) -> None:
        log.warning("the watch's states are made anew from the ledger: %s", error)
        self._remove()
        self._memory = _Memory(self._made_by)
        self._file = open_file(self._folder)

    def _read(self) -> None:
        noted = self._file.note(_NOTE)
        if noted is None:
            return
        try:
            memory = _unpack.decode(noted)
        except msgspec.MsgspecError as error:
            raise Corrupt("state-damaged", "The watch's state is not readable.", str(error)) from error
        if memory.made_by != self._made_by:
            raise Corrupt("state-foreign", "The watch's state was made by other detectors.", memory.made_by)
        self._memory = memory

    def _remove(self) -> None:
        if self._folder is not None:
            remove(self._folder / NAME)

    def _reload(self, error: KetenError) -> None:
        """What is in memory may be ahead of what is kept: go on from what was saved last, if that can be trusted."""
        self._file.close()
        if isinstance(error, Corrupt | FsyncFailed):
            self._remove()
        self._open()

    # ---- the way of an event ---------------------------------------------------------------------------------------

    def _arrange(self) -> tuple[list[Shelf], dict[What, tuple[list[_Ask], list[int]]]]:
        """Shelves by space, and for each kind of event who is asked and which spaces these look at."""
        kinds: list[list[type[msgspec.Struct]]] = [[] for _ in _SPACES]
        forgets: list[list[int]] = [[] for _ in _SPACES]
        by_what: dict[What, tuple[list[_Ask], list[int]]] = {what: ([], []) for what in get_args(What)}
        ordered = sorted(self._detectors, key=lambda each: isinstance(each, Combining))
        for detector in ordered:
            own = _SPACES.index(detector.space)
            spaces = [own]
            place = len(kinds[own])
            kinds[own].append(detector.state)
            forgets[own].append(detector.forgets_us)
            if isinstance(detector, Comparing):
                beside = _SPACES.index(detector.beside)
                spaces.append(beside)
                ask = _comparing(detector, (own, place), (beside, len(kinds[beside])), self._fault)
                kinds[beside].append(detector.shared)
                forgets[beside].append(0)
            else:
                ask = _stepping(detector, own, place, self._fault)
            for what in detector.whats:
                asked, needed = by_what[what]
                asked.append(ask)
                needed.extend(each for each in spaces if each not in needed)
        shelves = [
            Shelf(number, kinds[number], max(forgets[number], default=0) if all(forgets[number]) else 0, self._hot)
            for number in range(len(_SPACES))
        ]
        return shelves, by_what


_Ask = Callable[[Event, list[Held | None], list[Signal]], Sequence[Signal]]
_Fault = Callable[[Detector[Any], Event, Exception], Sequence[Signal]]


def _stepping(detector: Detector[Any], own: int, place: int, fault: _Fault) -> _Ask:
    make = detector.state
    combine = detector.combine if isinstance(detector, Combining) else None
    step = detector.step

    def ask(event: Event, taken: list[Held | None], signals: list[Signal]) -> Sequence[Signal]:
        held = taken[own]
        if held is None:
            return ()
        states = held.states
        state = states[place]
        if state is None:
            state = states[place] = make()
        try:
            return step(state, event) if combine is None else combine(state, event, signals)
        except Exception as error:  # noqa: BLE001  # whatever it is, the others go on
            states[place] = None
            return fault(detector, event, error)

    return ask


def _comparing(
    detector: Comparing[Any, Any], own: tuple[int, int], beside: tuple[int, int], fault: _Fault
) -> _Ask:
    (space, place), (beside_space, beside_place) = own, beside
    make, make_shared = detector.state, detector.shared
    compare = detector.compare

    def ask(event: Event, taken: list[Held | None], _signals: list[Signal]) -> Sequence[Signal]:
        held, shared = taken[space], taken[beside_space]
        if held is None:
            return ()
        state = held.states[place]
        if state is None:
            state = held.states[place] = make()
        if shared is None:
            common = make_shared()
        else:
            common = shared.states[beside_place]
            if common is None:
                common = shared.states[beside_place] = make_shared()
        try:
            return compare(state, common, event)
        except Exception as error:  # noqa: BLE001  # whatever it is, the others go on
            held.states[place] = None
            if shared is not None:
                shared.states[beside_place] = None
            return fault(detector, event, error)

    return ask


def _fingerprint(detectors: Sequence[Detector[Any]]) -> str:
    """Which detectors, in which version, with which states: another one can't use what these remember."""
    said = [
        (each.code, each.version, each.space, _shape(each.state), _shape(getattr(each, "shared", None)))
        for each in detectors
    ]
    return hashlib.sha256(msgspec.json.encode([FORMAT, said])).hexdigest()


def _shape(kind: type[msgspec.Struct] | None) -> list[str]:
    return [] if kind is None else [f"{name}: {note}" for name, note in zip(*_fields(kind), strict=True)]


def _fields(kind: type[msgspec.Struct]) -> tuple[list[str], list[str]]:
    fields = msgspec.structs.fields(kind)
    return [field.name for field in fields], [str(field.type) for field in fields]
