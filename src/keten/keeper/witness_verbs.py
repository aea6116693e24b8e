"""The worker's verbs: what outsiders signed is verified again, kept, recorded and published."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from keten.core.db import translated
from keten.core.errors import Invalid, KetenError
from keten.keeper.server import Connection, Verb, waiting_verb
from keten.keeper.trusted import Trusted
from keten.keeper.witness_protocol import (
    AskOutside,
    Cosigned,
    CosignedKept,
    Heard,
    OutsideState,
    Stamped,
    StampKept,
)
from keten.keeper.writer import sealed_in
from keten.ledger.cosignatures import Cosignature, cosignatures
from keten.ledger.entries import WITNESS_DISAGREED
from keten.ledger.merkle import root_at
from keten.ledger.model import Draft
from keten.ledger.notes import MAX_NOTE_BYTES, Checkpoint, Verifier, parse_checkpoint
from keten.ledger.outside import Kept, Outside, Signed, keep_cosignatures, keep_stamp, read_outside
from keten.ledger.publish import CHECKPOINT
from keten.ledger.quorum import Policy, load_policy
from keten.ledger.stamps import load_roots, verify_stamp
from keten.ledger.tiles import TileReader, read_file

log = logging.getLogger(__name__)
ALARMS = ("ahead", "fork")
MOST_HEARD = 1000
PUBLISHED_SECONDS = 30.0


class WitnessVerbs:
    """Outside signatures. Raises `Invalid` when the settings' policy is malformed, or not about this log."""

    def __init__(self, trusted: Trusted) -> None:
        self._trusted = trusted
        self._log = Verifier.parse(trusted.verifier_key)
        self._policy = load_policy(trusted.settings)
        if self._policy is not None and not self._policy.is_of(self._log):
            named = trusted.settings.witnesses.policy
            raise Invalid("policy", f"The policy {named} is about other logs, not about {trusted.origin}.")
        self._trouble: dict[str, Heard] = {}
        self._told: set[tuple[str, str, int]] = set()
        self._publish_again()

    def verbs(self) -> dict[str, Verb]:
        """Verb → what it does, for the socket."""
        return {
            "ledger.outside": waiting_verb(AskOutside, self.outside),
            "ledger.cosigned": waiting_verb(Cosigned, self.cosigned),
            "ledger.stamped": waiting_verb(Stamped, self.stamped),
        }

    async def outside(self, _connection: Connection, _body: AskOutside) -> OutsideState:
        """What is signed, and what waits to be."""
        found = await asyncio.to_thread(self._read)
        witnessed, stamped = found.witnessed, found.stamped
        return OutsideState(
            self._trusted.publishing.published_size,
            witnessed.size if witnessed else 0,
            witnessed.time_us if witnessed else 0,
            stamped.size if stamped else 0,
            stamped.time_us if stamped else 0,
            found.waiting_us,
            found.unstamped_us,
            {label: (one.size, one.time_us) for label, one in found.last.items()},
            list(self._trouble.values()),
        )

    async def cosigned(self, _connection: Connection, body: Cosigned) -> CosignedKept:
        """Keep cosignatures.

        1. The note is a checkpoint that this log signed; each line is a cosignature of it by a witness of the policy.
        2. What other witnesses answered is remembered; that one holds another history is an entry, once.
        3. Keep the cosignatures, with an entry when they are enough; publish them.
        """
        policy = self._needed()
        checkpoint = self._own(body.note)  # 1
        found = await asyncio.to_thread(self._verified, checkpoint, body.lines, policy)
        await self._hear(body.heard, policy)  # 2
        for one in policy.witnesses:
            if any(each.label == one.key.label for each in found):
                self._trouble.pop(one.name, None)
        if not found:
            return CosignedKept(checkpoint.size, enough=False)
        kept: Kept
        kept, batch = await self._trusted.writer.run(  # 3
            lambda writing: keep_cosignatures(writing, checkpoint, found, policy), alone=True
        )
        self._publish(kept.signed, enough=kept.enough)
        return CosignedKept(
            checkpoint.size, kept.enough, "" if kept.index is None else sealed_in(batch, kept.index).id
        )

    async def stamped(self, _connection: Connection, body: Stamped) -> StampKept:
        """Keep a stamp: of a checkpoint that this log signed, verified against the settings' roots."""
        stamping = self._trusted.settings.timestamps
        if not stamping.url:
            raise Invalid("no-timestamps", "The settings name no time-stamping authority ([timestamps] url).")
        checkpoint = self._own(body.note)
        roots = load_roots(Path(self._trusted.settings.home) / stamping.ca)
        time_us = await asyncio.to_thread(verify_stamp, body.stamp, body.note, roots, body.nonce)
        index, batch = await self._trusted.writer.run(
            lambda writing: keep_stamp(writing, checkpoint, body.stamp, time_us, stamping.url), alone=True
        )
        return StampKept(checkpoint.size, time_us, sealed_in(batch, index).id)

    # ---- steps -----------------------------------------------------------------------------------------------

    def _needed(self) -> Policy:
        if self._policy is None:
            raise Invalid("no-policy", "The settings name no policy of witnesses ([witnesses] policy).")
        return self._policy

    def _own(self, note: str) -> Checkpoint:
        """A checkpoint of this log that is published, or about to be."""
        checkpoint = parse_checkpoint(note, self._log)
        if checkpoint.size > self._trusted.writer.head.size:
            raise Invalid("checkpoint-newer", "This checkpoint is newer than the ledger.", f"{checkpoint.size}")
        return checkpoint

    def _verified(self, checkpoint: Checkpoint, lines: tuple[str, ...], policy: Policy) -> tuple[Cosignature, ...]:
        """Step 1 of `cosigned`. Raises `Corrupt` for a signature that does not hold."""
        text = self._trusted.sealer.checkpoint(checkpoint.size, checkpoint.root).rpartition("\n\n")[0]
        return cosignatures(f"{text}\n\n{''.join(lines)}", policy.keys) if lines else ()

    async def _hear(self, heard: tuple[Heard, ...], policy: Policy) -> None:
        """Step 2 of `cosigned`."""
        labels = {one.name: one.key.label for one in policy.witnesses}
        for one in heard[:MOST_HEARD]:
            if one.witness not in labels:
                continue
            self._trouble[one.witness] = one
            alarm = (one.witness, one.code, one.there)
            if one.code in ALARMS and alarm not in self._told:
                log.critical("witness %s disagrees: %s", one.witness, one.what)
                await self._alarm(one, labels[one.witness])
                self._told.add(alarm)

    async def _alarm(self, heard: Heard, label: str) -> None:
        details: dict[str, str | int] = {"witness": heard.witness, "key": label, "what": heard.what[:300]}
        details["size"] = heard.size
        if heard.there:
            details["there"] = heard.there
        draft = Draft(WITNESS_DISAGREED, "keeper", details=details)
        await self._trusted.writer.run(lambda writing: writing.record(draft), essential=True)

    def _publish(self, signed: Signed, *, enough: bool) -> None:
        note = self._trusted.sealer.checkpoint(signed.size, signed.root) + "".join(signed.lines)
        self._trusted.publishing.offer_cosigned(note, enough=enough)

    def _publish_again(self) -> None:
        """What a keeper that was killed may have kept and not published. That it is damaged stops nothing else.

        It is from the database: only a head that is in the published tree is signed again.
        """
        try:
            known = self._read().witnessed
            if known is not None and self._published_root(known.size) == known.root:
                self._publish(known, enough=True)
        except KetenError as error:
            log.critical("cosignatures cannot be read: %s", error)

    def _published_root(self, size: int) -> bytes | None:
        """The root of the published tree at a size; None for a larger one. Raises `Corrupt`, `Unavailable`."""
        folder = self._trusted.settings.paths.ledger
        newest = parse_checkpoint(read_file(folder, CHECKPOINT, MAX_NOTE_BYTES), self._log)
        if size > newest.size:
            return None
        return root_at(size, TileReader(folder, newest.size, newest.root).hash_at)

    def _read(self) -> Outside:
        with translated(), self._trusted.reader.connect() as connection:
            return read_outside(connection, self._trusted.origin, self._policy)
