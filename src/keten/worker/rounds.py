"""One round after the other: each new head to every witness, and now and then one to the time-stamping authority."""

from __future__ import annotations

import http.client
import logging
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import msgspec

from keten.core.clock import SECOND, wall_us
from keten.core.errors import Corrupt, Unavailable
from keten.core.settings import Settings, duration
from keten.keeper.client import KeeperClient
from keten.keeper.witness_protocol import (
    AskOutside,
    Cosigned,
    CosignedKept,
    Heard,
    OutsideState,
    Stamped,
    StampKept,
)
from keten.ledger.notes import MAX_NOTE_BYTES, Checkpoint, Verifier, parse_checkpoint
from keten.ledger.publish import CHECKPOINT
from keten.ledger.quorum import Policy, Witness, load_policy
from keten.ledger.stamps import load_roots, question, verify_stamp
from keten.ledger.tiles import TileReader, read_file
from keten.worker.asking import Given, ask, post, tls

log = logging.getLogger(__name__)
AT_ONCE = 16
FIRST_PAUSE, LONGEST_PAUSE = 10.0, 600.0
_STAMP_QUERY = "application/timestamp-query"  # RFC 3161 §3.4
_ALARMS = ("ahead", "fork")


class Asked(msgspec.Struct):
    """What is remembered of one witness. there: the size that it has. rest_until: monotonic seconds.

    ahead: it had cosigned a larger head than there was; once there is one as large that it is not known to have
    cosigned, it is to be asked at once, for only its answer tells whether that is the same head.
    """

    there: int | None = None
    ahead: bool = False
    pause: float = 0.0
    rest_until: float = 0.0
    said: str = ""


class Rounds:
    """Brings heads out and signatures in. `monotonic`: seconds."""

    name = "outside signatures"

    def __init__(self, settings: Settings, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._monotonic = monotonic
        self._folder = settings.paths.ledger
        self._verifier = Verifier.parse(
            read_file(self._folder, "key.pub", MAX_NOTE_BYTES).decode("utf-8", "replace").strip()
        )
        self._policy: Policy | None = load_policy(settings)
        self._asked = {one.name: Asked() for one in self._policy.witnesses} if self._policy else {}
        ca = settings.witnesses.ca
        self._tls: ssl.SSLContext = tls(Path(settings.home) / ca if ca else None)
        self._stamp_at = 0.0
        self._late = False

    @property
    def pause(self) -> float:
        """Seconds between two rounds."""
        return float(duration(self._settings.witnesses.every))

    def run(self, client: KeeperClient) -> float:
        """One round; seconds until the next. Raises `Unavailable`: keeper or public ledger cannot be reached."""
        state = client.call("ledger.outside", AskOutside(), OutsideState)
        checkpoint = self._published()
        if self._policy is not None:
            self._witness(client, self._policy, checkpoint, state)
        if self._settings.timestamps.url:
            self._stamp(client, checkpoint, state)
        self._watch(client.call("ledger.outside", AskOutside(), OutsideState))
        return self.pause

    def _published(self) -> Checkpoint:
        return parse_checkpoint(read_file(self._folder, CHECKPOINT, MAX_NOTE_BYTES), self._verifier)

    # ---- witnesses -------------------------------------------------------------------------------------------

    def _witness(self, client: KeeperClient, policy: Policy, checkpoint: Checkpoint, state: OutsideState) -> None:
        """Ask every witness that has something new to sign, all at once; the keeper gets what each says as it comes."""
        due = [one for one in policy.witnesses if one.url and self._is_due(one, checkpoint, state)]
        if not due:
            return
        reader = TileReader(self._folder, checkpoint.size, checkpoint.root)
        with ThreadPoolExecutor(min(AT_ONCE, len(due))) as pool:
            asked = {pool.submit(self._ask, one, checkpoint, reader, state): one for one in due}
            for done in as_completed(asked):  # a slow one holds back no other one's signature
                given = done.result()
                self._remember(asked[done], given)
                if given.line or given.heard is not None:
                    heard = (given.heard,) if given.heard is not None else ()
                    lines = (given.line,) if given.line else ()
                    client.call("ledger.cosigned", Cosigned(checkpoint.note, lines, heard), CosignedKept)

    def _is_due(self, witness: Witness, checkpoint: Checkpoint, state: OutsideState) -> bool:
        """Whether a witness has not cosigned this head, or so long ago that it should be looked whether it still does.

        An entry that only says that a head was cosigned calls for a signature as well, and then nothing follows it.
        """
        asked = self._asked[witness.name]
        caught_up = asked.ahead and asked.there is not None and checkpoint.size >= asked.there
        if checkpoint.size == 0 or (self._monotonic() < asked.rest_until and not caught_up):
            return False
        size, at_us = state.last.get(witness.key.label, (0, 0))
        old = wall_us() - at_us > duration(self._settings.witnesses.limit) * SECOND // 2
        return size < checkpoint.size or old

    def _ask(self, witness: Witness, checkpoint: Checkpoint, reader: TileReader, state: OutsideState) -> Given:
        there = self._asked[witness.name].there
        if there is None:
            there = state.last.get(witness.key.label, (0, 0))[0]
        try:
            old = min(there, checkpoint.size)
            return ask(witness, checkpoint, reader.hash_at, old, lambda: self._published().size, self._tls)
        except Unavailable as error:
            heard = Heard(witness.name, "unreachable", f"{error.public} {error.reason}".strip(), checkpoint.size)
            return Given("", heard, there)

    def _remember(self, witness: Witness, given: Given) -> None:
        """Rest from a witness that fails, longer each time; from one that disagrees, at once as long as can be."""
        asked = self._asked[witness.name]
        asked.there = given.there
        asked.ahead = given.heard is not None and given.heard.code == "ahead"
        if given.heard is None:
            asked.pause, asked.rest_until = 0.0, 0.0
            if asked.said:
                log.info("witness %s signs again", witness.name)
            asked.said = ""
            return
        asked.pause = min(asked.pause * 2, LONGEST_PAUSE) if asked.pause else FIRST_PAUSE
        if given.heard.code in _ALARMS:
            asked.pause = LONGEST_PAUSE
        asked.rest_until = self._monotonic() + asked.pause
        if asked.said != given.heard.what:
            level = logging.CRITICAL if given.heard.code in _ALARMS else logging.WARNING
            log.log(level, "witness %s: %s", witness.name, given.heard.what)
        asked.said = given.heard.what

    # ---- stamps ----------------------------------------------------------------------------------------------

    def _stamp(self, client: KeeperClient, checkpoint: Checkpoint, state: OutsideState) -> None:
        """Have the newest head stamped, when it is time and something was recorded since the last one."""
        every = duration(self._settings.timestamps.every)
        recent = wall_us() - state.stamped_us < every * SECOND
        if recent or not state.unstamped_us or self._monotonic() < self._stamp_at:
            return
        try:
            self._stamped(client, checkpoint)
        except (Unavailable, Corrupt) as error:
            log.warning("no time stamp: %s", error)
            self._stamp_at = self._monotonic() + min(every, LONGEST_PAUSE)

    def _stamped(self, client: KeeperClient, checkpoint: Checkpoint) -> None:
        stamping = self._settings.timestamps
        asked = question(checkpoint.note)
        reply = post(stamping.url, asked.request, _STAMP_QUERY, self._tls)
        if reply.status != http.client.OK:
            raise Unavailable("stamp-refused", "The time-stamping authority refused.", f"status {reply.status}")
        roots = load_roots(Path(self._settings.home) / stamping.ca)
        verify_stamp(reply.body, checkpoint.note, roots, asked.nonce)
        client.call("ledger.stamped", Stamped(checkpoint.note, reply.body, asked.nonce), StampKept)

    # ---- looking back ----------------------------------------------------------------------------------------

    def _watch(self, state: OutsideState) -> None:
        """Warn, once, when what was recorded waits for longer than the limit for anybody's signature."""
        limit = self._settings.outside_limit_seconds * SECOND
        waiting = wall_us() - state.waiting_us if state.waiting_us else 0
        late = waiting > limit
        if late and not self._late:
            log.warning("what was recorded %d s ago has no outside signature yet", waiting // SECOND)
        self._late = late


