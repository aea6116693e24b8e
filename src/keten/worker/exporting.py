"""The worker's duty for one destination: read the ledger through the keeper, tell it as events, send, remember."""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Iterable

from keten.core.clock import SECOND, rfc3339, wall_us
from keten.core.destinations import Destination, Sort
from keten.core.errors import Corrupt, FsyncFailed, KetenError, Unavailable
from keten.core.files import stop_process
from keten.core.settings import Settings, duration
from keten.keeper.client import KeeperClient
from keten.keeper.follow_protocol import MOST_FOLLOWED, Follow, Followed, Following
from keten.ledger.model import Entry
from keten.watch.export.drivers.driver import Record
from keten.watch.export.ocsf import NOTICED, Telling, event_of, notice
from keten.watch.export.outbox import Outbox, gap
from keten.watch.export.sorting import left_out, sort_of
from keten.watch.export.wording import with_explanation

log = logging.getLogger(__name__)
IDLE_US, BUSY_US = 1_000_000, 500_000
AHEAD_PAGES = 50
"""Pages that are looked through for findings before the next page of everything is sent."""
SHED_PAGES = 100
_CONTINUED = "ledger.log.continued"
_UNREADABLE = "?"
_BEYOND = 2**62


class Board:
    """What is to be said of destinations that fail, for those that do not: the dead one would not tell."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._notices: deque[tuple[int, str, Record]] = deque(maxlen=100)
        self._number = 0

    def post(self, about: str, record: Record) -> None:
        """Something about a destination, for all the others."""
        with self._lock:
            self._number += 1
            self._notices.append((self._number, about, record))

    def since(self, number: int, but: str) -> tuple[int, list[Record]]:
        """What came after `number`, but for what is about `but`; and the number of the newest."""
        with self._lock:
            return self._number, [record for at, about, record in self._notices if at > number and about != but]


class Exporting:
    """Sends everything to one destination, in order; findings overtake what has piled up."""

    def __init__(
        self, destination: Destination, settings: Settings, board: Board, outbox: Outbox | None = None
    ) -> None:
        self.name = f"export to {destination.name}"
        self.destination = destination
        self.outbox = outbox or Outbox(destination, settings.paths.home, settings.paths.outbox)
        self._alarm_us = duration(settings.export.alarm_after) * SECOND
        self._telling = Telling(destination.version, destination.names, destination.operators)
        self._sorts = _sorts(destination)
        self._board = board
        self._heard = 0
        self._alarmed = False
        self._placed = False
        self._ahead = 0
        self._limit = MOST_FOLLOWED

    def run(self, client: KeeperClient) -> float:
        """One page. Seconds until the next: 0, or a rest from a destination that fails.

        1. Where to go on: a new destination, a replay, another ledger than before.
        2. Read; what waits for too long is told to the other destinations.
        3. Findings that stand far ahead go first; then the page, in order; then what has settled.

        Raises what the keeper raises.
        """
        outbox = self.outbox
        if not self._placed:
            self._place(client)  # 1
            self._placed = True
        wanted = outbox.replay()
        if wanted is not None:
            self._move(client, wanted.start)
            outbox.replayed()
        page, damaged = self._page(client, outbox.position)  # 2
        if page.size < outbox.position:
            self._placed = False
            return 0.0
        outbox.state.size = page.size
        self._alarm()
        try:
            self._notices()
            self._overtake(client, page)  # 3
            if damaged is not None:
                outbox.send([damaged], outbox.position + 1, "")
            elif page.entries:
                self._send(client, page)
            elif outbox.state.failing_since_us:
                outbox.send([], outbox.position, "")  # nothing waits: is it there again?
            outbox.settle()
        except _KeeperFailed as failed:
            raise failed.error from failed
        except FsyncFailed as error:
            stop_process(str(error))
        except KetenError as error:
            return outbox.failed(error)
        except Exception as error:
            log.exception("%s: a mistake in Keten", self.name)
            why = f"{type(error).__name__}: {error}"
            return outbox.failed(Unavailable("export-broken", "A mistake in Keten.", why))
        return 0.0

    # ---- where to go on --------------------------------------------------------------------------------------

    def _place(self, client: KeeperClient) -> None:
        """Find the place. Where the entry before the cursor is not the one that was sent, the ledger is another one.

        So it is where no entry is remembered, unless the one there can't be read: of that none can be.
        """
        state = self.outbox.state
        if state.cursor < 0:
            late = self.destination.since == "now" or self.destination.kind == "mail"
            self._move(client, _size(client) if late else 0)
            return
        if state.cursor == 0 or _id_at(client, state.cursor - 1) in {state.anchor or _UNREADABLE, _UNREADABLE}:
            return
        start = self._continued(client)
        log.warning("%s: the ledger was restored; it goes on at entry %d", self.name, start)
        self._move(client, start)

    def _continued(self, client: KeeperClient) -> int:
        """The newest entry that opens a restored log; 0 when there is none."""
        stop = _size(client)
        while stop > 0:
            start = max(0, stop - MOST_FOLLOWED)
            for entry in reversed(_read(client, start, stop - start).entries):
                if entry.kind == _CONTINUED:
                    return entry.index
            stop = start
        return 0

    def _move(self, client: KeeperClient, start: int) -> None:
        start = min(start, _size(client))
        anchor = _id_at(client, start - 1) if start > 0 else ""
        self.outbox.begin(max(0, start), "" if anchor == _UNREADABLE else anchor)
        self._ahead = 0

    # ---- reading ---------------------------------------------------------------------------------------------

    def _page(self, client: KeeperClient, start: int) -> tuple[Following, Record | None]:
        """The next entries; or in place of one that cannot be read, a finding that says so."""
        wait = BUSY_US if self.outbox.waits else IDLE_US
        try:
            page = client.call("ledger.follow", Follow(start, self._limit, wait, text=True), Following)
        except Corrupt as error:
            if self._limit > 1:
                self._limit = 1
                return self._page(client, start)
            self._limit = MOST_FOLLOWED
            size = _size(client)
            detail = f"Entry {start} of the ledger cannot be read: {error}"[:500]
            uid, now_us = f"damaged-{start}", wall_us()
            title, version = "Keten: an entry of the ledger is damaged", self._telling.version
            said = notice(uid, title, detail, start, now_us, {"index": start}, version)
            return Following(size, ()), Record(uid, start, now_us, NOTICED, "findings", said)
        return page, None

    def _records(self, entries: Iterable[Followed], names: dict[str, str]) -> list[Record]:
        return [self._record(entry, names) for entry in entries if sort_of(entry.kind) in self._sorts]

    def _record(self, entry: Followed, names: dict[str, str]) -> Record:
        told = event_of(Entry(entry.index, entry.id, entry.time_us, entry.kind, entry.read()), names, self._telling)
        made = Record(entry.id, entry.index, entry.time_us, entry.kind, sort_of(entry.kind), told)
        return with_explanation(made, self.destination.language) if made.sort == "findings" else made

    # ---- sending ---------------------------------------------------------------------------------------------

    def _send(self, client: KeeperClient, page: Following) -> None:
        """A page; or, when too much waits, the findings of many pages and how much was left out."""
        last = page.entries[-1]
        shed = left_out(page.size - self.outbox.position, self.destination.backlog)
        if not shed:
            self.outbox.send(self._records(page.entries, page.names), last.index + 1, last.id)
            return
        first, counts = self.outbox.position, Counter[str]()
        for _page in range(SHED_PAGES):
            records = self._records(page.entries, page.names)
            counts.update(record.sort for record in records if record.sort in shed)
            kept = [record for record in records if record.sort not in shed]
            last = page.entries[-1]
            if kept:
                self.outbox.send(kept, first, "")
            if page.size - last.index <= self.destination.backlog:
                break
            page = _read_or(client, last.index + 1)
            if not page.entries:
                break
        announced = [gap(self.destination, first, last.index, dict(counts), last.time_us)] if counts else []
        self.outbox.send(announced, last.index + 1, last.id)
        if counts:
            self.outbox.state.left_out += sum(counts.values())
            log.warning("%s: left out %s of entries %d to %d", self.name, dict(counts), first, last.index)

    def _overtake(self, client: KeeperClient, page: Following) -> None:
        """Send findings that stand behind much else at once. They come again in their turn, with the same uid."""
        if self._sorts == {"findings"} or "findings" not in self._sorts or not page.entries:
            return
        self._ahead = max(self._ahead, page.entries[-1].index + 1)
        if page.size - self._ahead < 2 * MOST_FOLLOWED:
            return
        for _page in range(AHEAD_PAGES):
            found = _read_or(client, self._ahead)
            if not found.entries:
                return
            findings = [entry for entry in found.entries if sort_of(entry.kind) == "findings"]
            if findings:
                self.outbox.send(self._records(findings, found.names), self.outbox.position, "")
            self._ahead = found.entries[-1].index + 1

    # ---- when it fails ---------------------------------------------------------------------------------------

    def _alarm(self) -> None:
        """Tell the others, once, that this destination has failed for too long."""
        state = self.outbox.state
        late = bool(state.failing_since_us) and wall_us() - state.failing_since_us > self._alarm_us
        if late and not self._alarmed:
            since = rfc3339(state.failing_since_us)
            detail = f"Nothing has reached {self.destination.name} since {since}: {state.error}"[:500]
            log.critical("%s", detail)
            uid = f"failing-{self.destination.name}-{state.failing_since_us}"
            facts = {"destination": self.destination.name, "since": since}
            title = "Keten: events do not arrive"
            said = notice(uid, title, detail, state.cursor, state.failing_since_us, facts, self._telling.version)
            record = Record(uid, max(0, state.cursor), state.failing_since_us, NOTICED, "findings", said)
            self._board.post(self.destination.name, record)
        self._alarmed = late

    def _notices(self) -> None:
        newest, notices = self._board.since(self._heard, self.destination.name)
        if notices and "findings" in self._sorts:
            self.outbox.send(notices, self.outbox.position, "")
        self._heard = newest


class _KeeperFailed(Exception):  # carries another error out of the part where errors are the destination's
    def __init__(self, error: KetenError) -> None:
        super().__init__(str(error))
        self.error = error


def _read(client: KeeperClient, start: int, limit: int) -> Following:
    return client.call("ledger.follow", Follow(start, limit, text=True), Following)


def _size(client: KeeperClient) -> int:
    return _read(client, _BEYOND, 1).size


def _id_at(client: KeeperClient, index: int) -> str:
    """The id of an entry; "" when there is none there."""
    try:
        found = _read(client, index, 1).entries
    except Corrupt:
        return _UNREADABLE
    return found[0].id if found else ""


def _read_or(client: KeeperClient, start: int) -> Following:
    """Pages ahead; one that cannot be read ends them, and is dealt with in its turn. Raises `_KeeperFailed`."""
    try:
        return _read(client, start, MOST_FOLLOWED)
    except Corrupt:
        return Following(start, ())
    except KetenError as error:
        raise _KeeperFailed(error) from error


def _sorts(destination: Destination) -> frozenset[Sort]:
    every: tuple[Sort, ...] = ("findings", "changes", "sign-ins", "access", "system")
    if destination.kind == "mail":
        every = ("findings",)
    return frozenset(every if not destination.classes else (each for each in every if each in destination.classes))


def exporting(settings: Settings) -> list[Exporting]:
    """A duty for each destination."""
    board = Board()
    return [Exporting(one, settings, board) for one in settings.export.destinations]
