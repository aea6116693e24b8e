"""`add-checkpoint` of c2sp.org/tlog-witness v1.0.0: what is cosigned, what is refused, and how that is answered."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from hashlib import sha256

import msgspec

from keten.core.errors import Corrupt
from keten.ledger.evidence import Compared, compare_by_proof, make
from keten.ledger.notes import (
    Checkpoint,
    NoteMalformed,
    NotSigned,
    OriginWrong,
    SignatureWrong,
    parse_checkpoint,
    parse_hash,
    parse_number,
    unverified_checkpoint,
)
from keten.witness.folder import Watched, WitnessFolder

log = logging.getLogger(__name__)
MAX_PROOF_LINES = 63
SIZE_TYPE = "text/x.tlog.size"
TEXT_TYPE = "text/plain; charset=utf-8"


class Answer(msgspec.Struct, frozen=True):
    """An HTTP answer."""

    status: int
    body: str
    kind: str = TEXT_TYPE


class Request(msgspec.Struct, frozen=True):
    """The body of a request as read; nothing in it is believed yet."""

    old: int
    path: tuple[bytes, ...]
    checkpoint: Checkpoint


class Malformed(Corrupt):
    """The body is not that of `add-checkpoint`: code "request-malformed"."""


def parse_request(body: bytes) -> Request:
    """Read a body: the old size, at most 63 hashes, an empty line, a checkpoint. Raises `Malformed`."""
    head, divider, note = body.partition(b"\n\n")
    first, *rest = head.decode("latin-1").split("\n")
    old = parse_number(first[4:]) if first.startswith("old ") else None
    path = [parse_hash(line) for line in rest[: MAX_PROOF_LINES + 1]]
    hashes = tuple(each for each in path if each is not None)
    if not divider or old is None or len(rest) > MAX_PROOF_LINES or len(hashes) != len(path):
        raise Malformed("request-malformed", "This is not a request to add a checkpoint.")
    try:
        return Request(old, hashes, unverified_checkpoint(note))
    except NoteMalformed as error:
        raise Malformed("request-malformed", "The checkpoint is malformed.", error.reason) from error


class Service:
    """Cosigns checkpoints; safe from several threads. One for a folder, which the caller holds (`WitnessFolder.held`).

    now: seconds since 1970 UTC.
    """

    def __init__(self, folder: WitnessFolder, now: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._cosigner = folder.cosigner()
        self._now = now
        self._lock = threading.Lock()

    def add_checkpoint(self, body: bytes) -> Answer:
        """Answer one request.

        1. 400: it is malformed. 404: the log is not watched. 403: its key did not sign. 400: the old size is larger.
        2. From here on one at a time: what is compared is what is replaced.
        3. 409 with the size that was cosigned: the old size is another one; also for another root of the same size.
        4. 422: the proof does not lead from that head to this one.
        5. The new head is durable; then, and only then, the cosignature exists.

        Raises `Unavailable` when the disk is full: nothing was cosigned. `FsyncFailed`: the process must stop.
        """
        try:
            request = parse_request(body)  # 1
            watched = self._folder.watched(request.checkpoint.origin)
            if watched is None:
                return Answer(404, "This log is not watched here.\n")
            checkpoint = parse_checkpoint(request.checkpoint.note, watched.verifier)
        except Malformed as error:
            return Answer(400, f"{error.public}\n")
        except (NotSigned, SignatureWrong, OriginWrong):
            return Answer(403, "The log's key did not sign this checkpoint.\n")
        if request.old > checkpoint.size:
            return Answer(400, "The old size is larger than the checkpoint's.\n")
        with self._lock:  # 2
            return self._decide(request, checkpoint)

    def _decide(self, request: Request, checkpoint: Checkpoint) -> Answer:
        """Steps 3 to 5."""
        watched = self._folder.watched(checkpoint.origin)
        if watched is None:
            return Answer(404, "This log is not watched here.\n")
        newest = watched.newest()
        size = newest.size if newest is not None else 0
        if newest is not None and newest.size == checkpoint.size and newest.root != checkpoint.root:  # 3
            self._accuse(watched, newest, checkpoint, Compared(holds=False))
            return Answer(409, f"{size}\n", SIZE_TYPE)
        if request.old != size:
            return Answer(409, f"{size}\n", SIZE_TYPE)
        if newest is None or size == 0:  # 4
            if request.path:
                return Answer(422, "The proof must be empty where nothing was cosigned before.\n")
        else:
            compared = compare_by_proof(newest, checkpoint, request.path)
            if not compared.holds:
                self._accuse(watched, newest, checkpoint, compared)
                return Answer(422, "The proof does not hold.\n")
        self._folder.keep(msgspec.structs.replace(watched, note=checkpoint.note))  # 5
        text = checkpoint.note.rpartition("\n\n")[0] + "\n"
        return Answer(200, self._cosigner.line(text, int(self._now())))

    def _accuse(self, watched: Watched, newest: Checkpoint, shown: Checkpoint, compared: Compared) -> None:
        """Keep evidence of two heads that the log signed, where they alone or the proof show that they do not agree.

        A proof that only does not hold shows nothing: anybody can send one, with a checkpoint that is fine. From a size
        that is a power of two, a proof shows it when the root that it leads from stands before it (`named_path`).
        """
        equal = newest.size == shown.size
        if not equal and not compared.other_root:
            log.warning("a proof for %s did not hold, from %d to %d", shown.origin, newest.size, shown.size)
            return
        what = f"the log showed {shown.size} entries that do not go on from the {newest.size} that were cosigned"
        if equal:
            what = f"the log showed two different heads of {shown.size} entries"
        evidence = make(
            compared,
            what=what,
            by="witness",
            source=f"add-checkpoint at {self._cosigner.key.name}",
            ledger_key=watched.key,
            kept=newest.note,
            shown=shown.note,
        )
        name = sha256(f"{watched.key}\n{newest.size} {newest.root.hex()} {shown.size} {shown.root.hex()}".encode())
        path = self._folder.accuse(f"{newest.size}-{shown.size}-{name.hexdigest()[:16]}", evidence)
        log.critical("%s FORKED its log: %s; evidence: %s", shown.origin, what, path)
