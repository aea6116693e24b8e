"""The worker's duty for flow logs: follow them, sum up what went to suppliers, have the keeper record it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from keten.core.clock import wall_us
from keten.core.errors import Corrupt, FsyncFailed
from keten.core.files import Files, stop_process
from keten.core.settings import Settings
from keten.keeper.client import KeeperClient
from keten.keeper.watch_protocol import AskPlaces, SupplierPlaces
from keten.watch.flows.following import Following, Part
from keten.watch.flows.lines import Lines
from keten.watch.flows.memory import Memory, load, save
from keten.watch.flows.model import PlacesOf, Recorded, Report
from keten.watch.flows.places import Places
from keten.watch.standing import FlowStanding, write

log = logging.getLogger(__name__)
ROUND_BYTES = 16 * 1024 * 1024
IDLE_SECONDS = 1.0
SAVE_SECONDS = 5.0
PLACES_SECONDS = 30.0
TELL_SECONDS = 300.0
"""So often what goes on is reported; at once when it is the first, or much."""
TELL_BYTES = 64 * 1000 * 1000
MOST_SENDING = 8
TOO_LONG = "too long"


class Flowing:
    """Follows files. Each line counts once: what was read and what came of it are kept together, reports numbered.

    monotonic: seconds. now_us: wall time.
    """

    name = "flow logs"

    def __init__(
        self,
        settings: Settings,
        monotonic: Callable[[], float] = time.monotonic,
        now_us: Callable[[], int] = wall_us,
        files: Files | None = None,
    ) -> None:
        self._path = settings.paths.flows
        self._standing = settings.paths.flow_standing
        self._monotonic, self._now_us = monotonic, now_us
        self._files = files or Files()
        self._files.make_folder(settings.paths.watch, 0o700)
        self._memory, self._is_lost = self._load()
        names = [Path(settings.home) / name for name in settings.watch.flows]
        self._following = Following(names, self._memory.cursors)
        self._places = Places(())
        self._suppliers: tuple[PlacesOf, ...] = ()
        self._asked_at = self._told_at = self._saved_at = -TELL_SECONDS
        self._unsaved = self._must_save = False
        self._said: dict[str, str] = {}
        self._read_us = self._sent_us = 0

    def _load(self) -> tuple[Memory, bool]:
        try:
            found = load(self._path)
        except (Corrupt, OSError) as error:
            log.warning("how far flow logs were read is not known any more: %s", error)
            found = None
        return (Memory(), True) if found is None else (found, False)

    def run(self, client: KeeperClient) -> float:
        """One round; seconds until the next.

        1. Where suppliers' systems are, now and then. Without any, nothing is read.
        2. Read on, and sum up. What is full is reported first.
        3. What is to be reported is written down with its number, together with how far everything was read.
        4. Have the keeper record it. When that fails it is said again, with the same number.

        Raises `KetenError` when the keeper can't be reached or does not take it, or the disk does not.
        """
        self._ask(client)  # 1
        read = 0
        if self._places and len(self._memory.sending) < MOST_SENDING and not self._memory.sums.is_full:
            read = self._read()  # 2
        self._tell_trouble()
        due = self._is_due()
        if due:  # 3
            memory = self._memory
            memory.sending = [*memory.sending, Report(memory.number, memory.sums.newest_us, memory.sums.taken())]
            memory.number += 1
            self._must_save = True
        if self._must_save or (self._unsaved and self._monotonic() - self._saved_at >= SAVE_SECONDS):
            self._save()
        self._send(client)  # 4
        return 0.0 if read else IDLE_SECONDS

    # ---- where suppliers are ---------------------------------------------------------------------------------

    def _ask(self, client: KeeperClient) -> None:
        if self._places and self._monotonic() - self._asked_at < PLACES_SECONDS:
            return
        found: list[PlacesOf] = []
        after = ""
        while True:
            page = client.call("watch.places", AskPlaces(after), SupplierPlaces)
            found += page.places
            after = page.after
            if not after:
                break
        if self._is_lost:  # of an instance that had one before: what was recorded is not counted again
            self._memory.number = page.number
            self._memory.sums.up_to_us = page.newest_us
            self._is_lost = False
        if tuple(found) != self._suppliers:
            self._suppliers = tuple(found)
            self._places = Places(found)
        if page.damaged:
            log.warning("%d suppliers' rows do not match the ledger: where they are is not known", page.damaged)
        self._asked_at = self._monotonic()
        if self._places or self._monotonic() - self._saved_at >= SAVE_SECONDS:
            self._say()

    # ---- reading ---------------------------------------------------------------------------------------------

    def _read(self) -> int:
        """How many lines were read."""
        memory, now_us, lines = self._memory, self._now_us(), 0
        for part in self._following.parts(ROUND_BYTES):
            lines += self._take(part, now_us)
            if memory.sums.is_full:
                break
        if lines:
            memory.cursors = self._following.cursors
            self._unsaved, self._read_us = True, now_us
        return lines

    def _take(self, part: Part, now_us: int) -> int:
        memory = self._memory
        lines = Lines(self._places, part.cursor.form, now_us)
        for flow in lines.read(part.lines):
            memory.sums.add(flow, now_us)
        if part.too_long:
            lines.counts.wrong[TOO_LONG] = part.too_long
        memory.counts.add(lines.counts)
        for reason in lines.counts.wrong:
            self._warn(f"{part.cursor.path}: lines", reason)
        return len(part.lines) + part.too_long

    def _tell_trouble(self) -> None:
        for path, why in self._following.trouble.items():
            self._warn(path, why)

    def _warn(self, what: str, why: str) -> None:
        """Once for each file and reason; `doctor` has the numbers."""
        if self._said.get(what) != why:
            log.warning("flow log %s: %s", what, why)
            self._said[what] = why
            if len(self._said) > 1000:
                self._said.clear()

    # ---- reporting -------------------------------------------------------------------------------------------

    def _is_due(self) -> bool:
        sums = self._memory.sums
        if not sums.by_day or len(self._memory.sending) >= MOST_SENDING:
            return False
        late = self._monotonic() - self._told_at >= TELL_SECONDS
        return late or sums.is_full or sums.most() >= TELL_BYTES

    def _save(self) -> None:
        try:
            save(self._path, self._memory, self._files)
        except FsyncFailed as error:
            stop_process(str(error))
        self._unsaved = self._must_save = False
        self._saved_at = self._monotonic()
        self._say()

    def _send(self, client: KeeperClient) -> None:
        memory = self._memory
        while memory.sending:
            done = client.call("watch.flows", memory.sending[0], Recorded)
            if done.unknown:
                log.info("what went to %d suppliers and days was left out: they are not in the register", done.unknown)
            memory.sending = memory.sending[1:]
            self._told_at, self._sent_us, self._unsaved = self._monotonic(), self._now_us(), True

    def _say(self) -> None:
        memory = self._memory
        said = FlowStanding(
            files=self._following.files,
            suppliers=len(self._suppliers),
            counts=memory.counts,
            doubled=memory.sums.doubled,
            read_us=self._read_us,
            sent_us=self._sent_us,
            waiting=bool(memory.sending),
            trouble=dict(list(self._following.trouble.items())[:20]),
        )
        write(self._standing, said)
