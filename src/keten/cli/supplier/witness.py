"""A supplier as a witness: its own entries are in the ledger, and the ledger is the one that it saw before.

An instance that gave out data without recording it, rewrote its ledger, or shows different ledgers to different people
is caught here, by software on the supplier's side, with both signed heads as evidence.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from keten.cli.supplier.logins import Login, Logins, Pending, Seen
from keten.cli.supplier.tiles import HttpTiles, fetched
from keten.core.errors import Corrupt, Unavailable
from keten.ledger.evidence import Compared, compare, encode, file_name, make
from keten.ledger.merkle import inclusion_path, leaf_hash, verify_inclusion
from keten.ledger.model import Leaf
from keten.ledger.notes import Checkpoint, Verifier, parse_checkpoint, to_base64
from keten.ledger.prooffile import ProofFile

COVER_SECONDS = 30.0  # how long publishing an entry may take
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
_leaf = msgspec.json.Decoder(Leaf).decode


class Mismatch(Corrupt):
    """The ledger is not what it must be: code "ledger-mismatch". The evidence is in a file."""


def mismatch(url: str, what: str, evidence: Path) -> Mismatch:
    """What to say to whoever fetches from `url`: what is wrong, and where the evidence is."""
    return Mismatch(
        "ledger-mismatch",
        f"The ledger of {url} does not hold: {what}.\n"
        f"Evidence with both signed checkpoints is in {evidence}.\n"
        "Keep it, fetch nothing more, and call the organisation at a number that you know.",
    )


class Witness:
    """Checks one instance's ledger for one login."""

    def __init__(self, logins: Logins, login: Login, fetch: Callable[[str], bytes | None]) -> None:
        self._logins = logins
        self._login = login
        self._fetch = fetch
        self._verifier = Verifier.parse(login.ledger_key)

    def pending(self) -> tuple[Pending, ...]:
        """Own entries that are still to be verified, also those of earlier commands that were stopped."""
        return self._logins.seen(self._login.ledger_key).pending

    def verify(self, entries: Sequence[Pending] = ()) -> Checkpoint:
        """Verify that the ledger goes on from the one that was seen, and that these entries are in it.

        1. Get a checkpoint that covers every entry; publishing takes a moment.
        2. It is signed by the key that was noted at the first sign-in.
        3. It goes on from the checkpoint kept last time: nothing that was seen was changed or taken out.
        4. Each entry's leaf, out of the bundle, is of that entry, and is in the tree at its place.
        5. Keep the proofs, the new checkpoint, and forget that the entries were to be verified.

        Raises `Mismatch` after writing evidence; `Unavailable` ("not-published") when 1 takes too long.
        """
        needed = max((one.index + 1 for one in entries), default=0)
        checkpoint = self._covering(needed)  # 1, 2
        with self._logins.locked(self._login.ledger_key):
            seen = self._logins.seen(self._login.ledger_key)
            self._goes_on(seen, checkpoint)  # 3
            tiles = HttpTiles(self._fetch, checkpoint.size)
            for one in entries:
                self._included(seen, checkpoint, tiles, one)  # 4
            kept = self._kept(seen)
            newest = checkpoint if kept is None or checkpoint.size > kept.size else kept
            left = tuple(one for one in seen.pending if one not in set(entries))
            self._logins.keep(msgspec.structs.replace(seen, checkpoint=newest.note, pending=left))  # 5
        return checkpoint

    def _covering(self, size: int) -> Checkpoint:
        """Steps 1 and 2."""
        deadline = time.monotonic() + COVER_SECONDS
        pause = FIRST_PAUSE
        while True:
            note = fetched(self._fetch, "checkpoint")
            try:
                checkpoint = parse_checkpoint(note, self._verifier)
            except Corrupt as error:
                seen = self._logins.seen(self._login.ledger_key)
                shown = note.decode("utf-8", "backslashreplace")
                raise self._mismatch(f"its checkpoint does not hold: {error}", seen, shown) from error
            if checkpoint.size >= size:
                return checkpoint
            if time.monotonic() > deadline:
                raise Unavailable(
                    "not-published",
                    f"The ledger does not show entry {size - 1} after {COVER_SECONDS:.0f} s; the next get looks again.",
                )
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _goes_on(self, seen: Seen, shown: Checkpoint) -> None:
        """Step 3. Where another command kept a newer checkpoint meanwhile, that one must go on from this one."""
        kept = self._kept(seen)
        if kept is None or kept.size == 0:
            return
        old, new = (kept, shown) if kept.size <= shown.size else (shown, kept)
        if old.size == 0:
            raise self._mismatch("it is empty, and was not before", seen, shown.note)
        try:
            compared = compare(old, new, HttpTiles(self._fetch, new.size).hash_at)
        except Corrupt as error:
            raise self._mismatch(f"its files do not hold: {error}", seen, shown.note) from error
        if not compared.holds:
            raise self._mismatch(
                f"what it shows at {shown.size} entries does not go on from what it showed at {kept.size}",
                seen,
                shown.note,
                compared=compared,
            )

    def _included(self, seen: Seen, checkpoint: Checkpoint, tiles: HttpTiles, one: Pending) -> None:
        """Step 4; keeps the proof, should the ledger itself be lost."""
        leaf = b""
        path: list[bytes] = []
        try:
            leaf = tiles.leaf(one.index)
            named = _leaf(leaf).id
            path = inclusion_path(one.index, checkpoint.size, tiles.hash_at)
            holds = verify_inclusion(leaf_hash(leaf), one.index, checkpoint.size, path, checkpoint.root)
            what = "" if holds else f"entry {one.index} is not in the tree that it signed"
            if named != one.entry:
                what = f"entry {one.index} is {named}, and not {one.entry} as this machine was told"
        except Corrupt as error:
            what = f"entry {one.index} cannot be read: {error}"
        except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
            what = f"entry {one.index} is no entry: {error}"
        if what:
            raise self._mismatch(what, seen, checkpoint.note, one=one, leaf=leaf, path=path)
        proof = ProofFile(one.index, tuple(path), checkpoint.note, leaf)
        self._logins.keep_proof(self._login.ledger_key, one, proof.encode())

    def _kept(self, seen: Seen) -> Checkpoint | None:
        return parse_checkpoint(seen.checkpoint, self._verifier) if seen.checkpoint else None

    def _mismatch(
        self,
        what: str,
        seen: Seen,
        shown: str,
        *,
        one: Pending | None = None,
        leaf: bytes = b"",
        path: Sequence[bytes] = (),
        compared: Compared | None = None,
    ) -> Mismatch:
        """Write the evidence, and say where it is."""
        evidence = make(
            compared or Compared(holds=False),
            what=what,
            by="supplier",
            source=self._login.url,
            ledger_key=self._login.ledger_key,
            kept=seen.checkpoint,
            shown=shown,
        )
        if one is not None:
            evidence = msgspec.structs.replace(
                evidence,
                entry=one.entry,
                index=one.index,
                leaf=leaf.decode("utf-8", "backslashreplace"),
                leaf_path=tuple(map(to_base64, path)),
            )
        file = self._logins.evidence(file_name(evidence), encode(evidence))
        return mismatch(self._login.url, what, file)
