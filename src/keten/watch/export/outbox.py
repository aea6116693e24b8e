"""How far one destination is: a cursor on the disk, what is under way in memory, and nothing else.

Events are not stored a second time. The ledger is the spool: it is durable before anything happens, it sheds nothing,
and what is erased from it is erased everywhere (decision 21). An event counts as delivered when its driver says that it
has settled; only then does the cursor move. Everything after the cursor is read from the ledger and sent again after
an error or a restart: at least once, told apart by `metadata.uid`.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from keten.core.clock import wall_us
from keten.core.destinations import Destination
from keten.core.errors import FsyncFailed, Invalid, KetenError, NotFound, Unavailable
from keten.core.files import Files, stop_process
from keten.watch.export.drivers.choosing import driver_of
from keten.watch.export.drivers.driver import Driver, Record
from keten.watch.export.ocsf import NOTICED, notice
from keten.watch.export.state import STATE, Number, load_state

log = logging.getLogger(__name__)
REPLAY = "replay.json"
_GAP = "Keten: events were left out"
SAVED_SECONDS = 1.0
_DAMAGED = (OSError, msgspec.DecodeError, UnicodeDecodeError)
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0


class Replay(msgspec.Struct, frozen=True):
    """A request to go back (or on) to an entry. `start`: its index."""

    start: Number


class _Sent(msgspec.Struct, frozen=True):
    upto: int
    anchor: str
    count: int


class Outbox:
    """One destination. For one thread; `state` may be read by another. `monotonic`: seconds."""

    def __init__(
        self,
        destination: Destination,
        home: Path,
        folder: Path,
        *,
        make: Callable[[Destination, Path], Driver] = driver_of,
        files: Files | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.destination = destination
        self._home = home
        self._folder = folder / destination.name
        self._make = make
        self._files = files or Files()
        self._monotonic = monotonic
        self._driver: Driver | None = None
        self._sent: deque[_Sent] = deque()
        self._pause = 0.0
        self._unsaved = False
        self._saved_at = -SAVED_SECONDS
        self._unwritable = ""
        self.state = load_state(self._folder / STATE)
        self.position = self.state.cursor

    @property
    def waits(self) -> bool:
        """Whether something is on its way that has not settled."""
        return bool(self._sent)

    def begin(self, index: int, anchor: str) -> None:
        """Go on at another entry: of a new destination, after a replay, on another ledger."""
        self._drop()
        self.state.cursor, self.state.anchor, self.state.moved_us = index, anchor, wall_us()
        self.position = self.state.sent = index
        self._save()

    def send(self, records: Sequence[Record], upto: int, anchor: str) -> None:
        """Hand over what is between `position` and `upto`; `anchor`: id of the entry before `upto`.

        Events that the receiver will not take are left out one by one, with a notice in their place; a receiver that
        does not even take the notice is at fault itself. Raises what the driver raises.
        """
        driver = self._open()
        try:
            for start in range(0, max(1, len(records)), driver.most):
                last = start + driver.most >= len(records)
                driver.send(records[start : start + driver.most], upto if last else self.position)
        except Invalid as error:
            if error.code != "rejected":
                raise
            self._one_by_one(driver, records, upto, error)
        self.position = max(self.position, upto)
        self.state.sent = self.position
        self._unsaved = True
        if upto > (self._sent[-1].upto if self._sent else self.state.cursor):
            self._sent.append(_Sent(upto, anchor, len(records)))
        else:
            self.state.delivered += len(records)  # findings that went ahead, which come again in their turn

    def settle(self) -> None:
        """Move the cursor over what has arrived, and remember it. Raises what the driver raises."""
        if self._driver is not None and self._sent:
            settled = self._driver.settled()
            while self._sent and self._sent[0].upto <= settled:
                done = self._sent.popleft()
                self.state.cursor, self.state.anchor = done.upto, done.anchor
                self.state.delivered += done.count
                self.state.moved_us = wall_us()
                self._unsaved = True
        if self.state.failing_since_us and self._driver is not None and self._driver.proven:
            log.info("%s takes events again", self.destination.name)
            self.state.failing_since_us, self.state.error = 0, ""
            self._unsaved = True
        if not self.state.failing_since_us:
            self._pause = 0.0
        if self._unsaved and self._monotonic() - self._saved_at >= SAVED_SECONDS:
            self._save()

    def failed(self, error: KetenError) -> float:
        """Everything after the cursor will be sent again; seconds to rest before that, more each time."""
        self._drop()
        said = str(error)
        if said != self.state.error:
            log.warning("%s: %s", self.destination.name, said)
        if not self.state.failing_since_us:
            self.state.failing_since_us = wall_us()
        self.state.error = said
        self._pause = min(self._pause * 2, LONGEST_PAUSE) if self._pause else FIRST_PAUSE
        self._save()
        return self._pause

    def replay(self) -> Replay | None:
        """A request of an operator that has not been fulfilled; it is until `replayed`."""
        try:
            return msgspec.json.decode((self._folder / REPLAY).read_bytes(), type=Replay)
        except FileNotFoundError:
            return None
        except _DAMAGED as error:
            log.warning("%s: a request to replay cannot be read: %s", self.destination.name, error)
            self._files.discard(self._folder / REPLAY)
            return None

    def replayed(self) -> None:
        """The request is fulfilled."""
        self._files.discard(self._folder / REPLAY)

    def close(self) -> None:
        """Remember how far it is, and let go of the connection."""
        if self._unsaved:
            self._save()
        self._drop()

    # ---- inside ----------------------------------------------------------------------------------------------

    def _open(self) -> Driver:
        if self._driver is None:
            self._driver = self._make(self.destination, self._home)
        return self._driver

    def _drop(self) -> None:
        driver, self._driver = self._driver, None
        if driver is not None:
            driver.close()
        self._sent.clear()
        self.position = self.state.sent = self.state.cursor

    def _one_by_one(self, driver: Driver, records: Sequence[Record], upto: int, error: Invalid) -> None:
        version = self.destination.version
        for record in records:
            try:
                driver.send([record], self.position)
            except Invalid as refused:
                if refused.code != "rejected":
                    raise
                detail = f"{self.destination.name} does not take the event {record.uid}: {refused.reason}"[:500]
                facts = {"from": record.index, "to": record.index, "entry": record.uid}
                said = notice(f"refused-{record.uid}", _GAP, detail, record.index, record.time_us, facts, version)
                instead = Record(f"refused-{record.uid}", record.index, record.time_us, NOTICED, "findings", said)
                try:
                    driver.send([instead], self.position)
                except Invalid:
                    raise Unavailable("export-refused", error.public, error.reason) from error
                log.critical("%s", detail)
                self.state.left_out += 1
        driver.send([], upto)

    def _save(self) -> None:
        """A full disk keeps nothing from being sent; after a restart some of it is then sent again."""
        self._saved_at = self._monotonic()
        try:
            self._files.make_folder(self._folder, 0o750)
            self._files.write(self._folder / STATE, msgspec.json.encode(self.state), 0o640)
            self._unsaved = False
            self._unwritable = ""
        except FsyncFailed as error:
            stop_process(str(error))
        except (OSError, Unavailable) as error:
            if str(error) != self._unwritable:
                log.warning("%s: how far it is cannot be kept: %s", self.destination.name, error)
            self._unwritable = str(error)


def gap(destination: Destination, first: int, last: int, counts: dict[str, int], time_us: int) -> Record:
    """The announcement that events of the entries `first` to `last` were left out: how many, by class."""
    uid = f"gap-{destination.name}-{first}-{last}"
    number = sum(counts.values())
    detail = f"{number} events between entries {first} and {last} were left out: too many were waiting. "
    detail += f"They are in the ledger: keten export replay {destination.name} --from {first}"
    facts = {"from": first, "to": last, "left_out": counts}
    said = notice(uid, _GAP, detail, last, time_us, facts, destination.version)
    return Record(uid, last, time_us, NOTICED, "findings", said)


def ask_replay(folder: Path, name: str, start: int, files: Files | None = None) -> None:
    """Ask the worker to send a destination everything from an entry on. Raises `NotFound`: it never ran."""
    where = folder / name
    if not where.is_dir():
        raise NotFound("export-unknown", f"Nothing was ever sent to {name}: start the instance first.")
    (files or Files()).write(where / REPLAY, msgspec.json.encode(Replay(start)), 0o640)
