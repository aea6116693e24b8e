"""The state of the proof: what the ledger's head and public checkpoint say, and the console's own verifications.

A verification here is done by the machine that keeps the ledger. It finds damage; against whoever owns the machine
only a copy or a signature elsewhere helps, and the page says so.
"""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

from sqlalchemy import Connection

from keten.console.history import History
from keten.console.model import Look, Proof
from keten.core.clock import wall_us
from keten.core.errors import KetenError
from keten.core.settings import Settings
from keten.ledger.headfaults import read_head
from keten.ledger.notes import Checkpoint, Verifier, open_note
from keten.ledger.outside import read_outside
from keten.ledger.quorum import Policy, load_policy
from keten.ledger.reading import last_time
from keten.ledger.tilefaults import read_checkpoint, read_verifier
from keten.ledger.verify import verify

log = logging.getLogger(__name__)

LOOK_SECONDS = 20.0  # from the end of one verification to the next
REST = 30.0  # and this many times as long as it took: little of one processor
WHOLE = 100_000  # entries up to which all of the ledger is verified each time
NEWEST = 20_000  # above that: so many of the newest
MOST_FAULTS = 12
_STRETCH = 5_000  # entries read on at a time


def read_proof(connection: Connection, settings: Settings, history: History, look: Look | None) -> Proof:
    """The ledger as it is now.

    1. The verifier key, and the public checkpoint that it signed: read first, for the database is never behind it.
    2. The stored head, signed by the same key.
    3. Other keys that signed the checkpoint, and what outsiders whose keys are known signed of the ledger.
    """
    paths = settings.paths
    verifier, faults = read_verifier(paths.ledger, "")  # 1
    published: Checkpoint | None = None
    if verifier is not None:
        published, more = read_checkpoint(paths.ledger, verifier)
        faults = faults + more
    head = read_head(connection, verifier, published)  # 2
    policy, wrong = _policy(settings)
    outside = read_outside(connection, verifier.name if verifier else "", policy)  # 3
    witnessed, stamped = outside.witnessed, outside.stamped
    return Proof(
        size=head.size,
        newest_us=last_time(connection),
        origin=verifier.name if verifier else "",
        key=_text(paths.ledger / "key.pub") if verifier else "",
        published=published.size if published else None,
        published_us=_changed_us(paths.ledger / "checkpoint") if published else None,
        outside=_outside(published, verifier, policy),
        faults=(*(str(one) for one in (*faults, *head.faults)), *wrong),
        copied_us=history.facts.copied_us or None,
        look=look,
        watched=settings.has_outside,
        witnessed=witnessed.size if witnessed else None,
        witnessed_us=witnessed.time_us if witnessed else 0,
        cosigners=len(witnessed.by) if witnessed else 0,
        stamped=stamped.size if stamped else None,
        stamped_us=stamped.time_us if stamped else 0,
        waiting_us=outside.waiting_us,
        cosigned_us={label: one.time_us for label, one in outside.last.items()},
    )


def _policy(settings: Settings) -> tuple[Policy | None, tuple[str, ...]]:
    """The policy of witnesses, and what is wrong with it."""
    try:
        return load_policy(settings), ()
    except KetenError as error:
        return None, (error.public,)


def _outside(published: Checkpoint | None, verifier: Verifier | None, policy: Policy | None) -> tuple[str, ...]:
    """Names of the other keys that signed and are not in the policy; nobody here can check their signatures."""
    if published is None or verifier is None:
        return ()
    known = {key.label for key in policy.keys} if policy is not None else set()
    unknown = open_note(published.note, (verifier,)).unknown
    return tuple(label.rpartition("+")[0] for label in unknown if label not in known)


def _changed_us(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns // 1000
    except OSError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


class Looking:
    """A thread that reads the ledger on, and verifies it again and again."""

    def __init__(self, settings: Settings, history: History) -> None:
        self._settings = settings
        self._history = history
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="looking", daemon=True)
        self.latest: Look | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, seconds: float = 1.0) -> None:
        """No more; a verification under way is waited for up to `seconds`, and then left to end with the process."""
        self._stop.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        due = 0.0
        while not self._stop.is_set():
            self._read_on()
            if time.monotonic() >= due:
                started = time.monotonic()
                self.latest = self.look()
                ended = time.monotonic()
                due = ended + max(LOOK_SECONDS, REST * (ended - started))
            self._stop.wait(1.0)

    def _read_on(self) -> None:
        try:
            while not self._history.advance(_STRETCH) and not self._stop.is_set():
                continue
        except KetenError as error:
            log.warning("the ledger could not be read on: %s", error)

    def look(self) -> Look:
        """Verify now: all of it, or the newest entries of a large ledger. What cannot be done is an outcome as well."""
        newest = None if self._history.entries <= WHOLE else NEWEST
        try:
            report = verify(self._settings.console_state, self._settings.paths.ledger, newest=newest, processes=1)
        except KetenError as error:
            return Look(wall_us(), whole=False, entries=0, failed=error.public)
        count = len(report.faults) + sum(report.more.values())
        faults = tuple(map(str, report.faults[:MOST_FAULTS]))
        return Look(wall_us(), whole=not report.quick, entries=report.size, count=count, faults=faults)
