"""Evidence that a log showed two histories: what a supplier, a witness or an auditor keeps when it notices.

One JSON file holds both signed heads as they came and, where their sizes differ, the way out of the larger tree that
shows which root it has at the smaller size. Whoever has the log's key can judge it without the one who kept it: both
heads carry the log's own signature, and no log that only grows can have signed both (docs/formats/witness.md). Or it
holds two links by which the log's key named two logs that go on from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec

from keten.core.errors import Corrupt, Invalid, KetenError
from keten.ledger.merkle import (
    HashAt,
    consistency_path,
    is_complete,
    leaf_hash,
    proven_root,
    root_at,
    verify_consistency,
    verify_inclusion,
)
from keten.ledger.notes import (
    MAX_NOTE_BYTES,
    Checkpoint,
    Verifier,
    parse_checkpoint,
    parse_hash,
    signature_lines,
    to_base64,
    unverified_checkpoint,
)
from keten.ledger.succession import Predecessor, SuccessionWrong, linked_key

FORMAT = "keten-evidence-1"
MAX_EVIDENCE_BYTES = 6 * MAX_NOTE_BYTES
MOST_HASHES = 130
By = Literal["supplier", "witness", "auditor"]


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What was noticed. The checkpoints are signed notes as received; hashes are in base64.

    what: one sentence. time: RFC 3339. by: who noticed. source: where the shown checkpoint came from.
    other_root, path: the root that the tree with more entries has at the size of the other one, and the consistency
    proof from there to its own root. entry, index, leaf, leaf_path: an entry that is not what it must be.
    other_leaf, other_leaf_path: `leaf` and `leaf_path` are of the kept checkpoint, and these are what the shown one has
    at the same index.
    kept_link, shown_link: notes by which the log's key named a log that goes on from the head beside it (`succession`).
    """

    format: str = FORMAT
    what: str
    time: str
    by: By
    source: str
    ledger_key: str
    kept_checkpoint: str
    shown_checkpoint: str
    other_root: str = ""
    path: tuple[str, ...] = ()
    entry: str = ""
    index: int | None = None
    leaf: str = ""
    leaf_path: tuple[str, ...] = ()
    other_leaf: str = ""
    other_leaf_path: tuple[str, ...] = ()
    kept_link: str = ""
    shown_link: str = ""


class Compared(msgspec.Struct, frozen=True):
    """Whether one head goes on from another; if not, what its tree has at that size (`b""`: not known) and the way."""

    holds: bool
    other_root: bytes = b""
    path: tuple[bytes, ...] = ()


class Verdict(msgspec.Struct, frozen=True):
    """Whether the evidence proves a fork, in one sentence why or why not, and what the two heads are."""

    fork: bool
    why: str
    origin: str
    kept_size: int
    shown_size: int


def compare(older: Checkpoint, newer: Checkpoint, hash_at: HashAt) -> Compared:
    """Whether `newer`, whose tree `hash_at` gives, goes on from `older`, which is not larger.

    Raises what `hash_at` raises.
    """
    if older.size == newer.size:
        return Compared(older.root == newer.root)
    if older.size == 0:
        return Compared(holds=True)
    path = tuple(consistency_path(older.size, newer.size, hash_at))
    if verify_consistency(older.size, newer.size, path, older.root, newer.root):
        return Compared(holds=True)
    other = root_at(older.size, hash_at)
    proven = verify_consistency(older.size, newer.size, path, other, newer.root)
    return Compared(False, other if proven else b"", path)


def compare_by_proof(older: Checkpoint, newer: Checkpoint, path: tuple[bytes, ...]) -> Compared:
    """As `compare`, by a proof that somebody sent, which may be a `named_path`.

    Raises `Invalid` ("proof-range") unless 1 ≤ older ≤ newer.
    """
    if verify_consistency(older.size, newer.size, path, older.root, newer.root):
        return Compared(holds=True)
    if older.size == newer.size:
        return Compared(holds=False)
    if is_complete(older.size) and path:
        other, rest = path[0], path[1:]
        if other != older.root and verify_consistency(older.size, newer.size, rest, other, newer.root):
            return Compared(False, other, rest)
    return Compared(False, proven_root(older.size, newer.size, path, newer.root) or b"", path)


def named_path(size: int, path: list[bytes], hash_at: HashAt) -> list[bytes]:
    """A consistency proof from `size`, a power of two, with the root before it that it leads from (RFC 6962 §2.1.2).

    Such a proof leaves that root out. No verifier takes this for a proof, and it says by itself what it leads from.
    Raises what `hash_at`, which gives the larger tree, raises.
    """
    return [root_at(size, hash_at), *path]


def make(compared: Compared, *, what: str, by: By, source: str, ledger_key: str, kept: str, shown: str) -> Evidence:
    """Evidence of a comparison that did not hold. `kept`, `shown`: the notes."""
    return Evidence(
        what=what,
        time=datetime.now(UTC).isoformat(),
        by=by,
        source=source,
        ledger_key=ledger_key,
        kept_checkpoint=kept,
        shown_checkpoint=shown,
        other_root=to_base64(compared.other_root) if compared.other_root else "",
        path=tuple(map(to_base64, compared.path)),
    )


def two_successors(
    kept: Sequence[Predecessor], shown: Sequence[Predecessor], *, by: By, source: str
) -> Evidence | None:
    """Evidence that a log's key named two logs that go on from it, out of two lists of predecessors; or None.

    So it is when one backup was restored twice, and one of the two was shown to somebody who knew the other one.
    Links that do not hold show nothing.
    """
    known = {one.key: one for one in kept}
    for one in shown:
        before = known.get(one.key)
        if before is None:
            continue
        try:
            same = linked_key(before) == linked_key(one)
        except SuccessionWrong:
            continue
        if not same:
            evidence = make(
                Compared(holds=False),
                what="the log's key named two logs that go on from it: a backup was restored twice",
                by=by,
                source=source,
                ledger_key=one.key,
                kept=before.note,
                shown=one.note,
            )
            return msgspec.structs.replace(evidence, kept_link=before.link, shown_link=one.link)
    return None


def encode(evidence: Evidence) -> bytes:
    """The file's content: JSON for people to read."""
    return msgspec.json.format(msgspec.json.encode(evidence)) + b"\n"


def decode(content: bytes) -> Evidence:
    """Read a file of evidence; nothing in it is believed yet. Raises `Corrupt` ("evidence-malformed")."""
    public = "This is not a file of evidence."
    if len(content) > MAX_EVIDENCE_BYTES:
        raise Corrupt("evidence-malformed", public, "it is too large")
    try:
        found = msgspec.json.decode(content, type=Evidence)
    except (ValueError, RecursionError) as error:
        raise Corrupt("evidence-malformed", public, str(error)) from error
    if found.format != FORMAT or max(map(len, (found.path, found.leaf_path, found.other_leaf_path))) > MOST_HASHES:
        raise Corrupt("evidence-malformed", public, f"its format is {found.format[:40]!r}")
    return found


def file_name(evidence: Evidence) -> str:
    """A name for its file: when it was noticed, to the microsecond."""
    return f"{datetime.fromisoformat(evidence.time):%Y%m%dT%H%M%S-%f}.json"


def judge(evidence: Evidence, key: str = "") -> Verdict:
    """Whether evidence proves that its log showed two histories.

    1. Both heads are signed by the log's key: `key`, which the caller knows, or else the one in the file.
    2. Their sizes are equal and their roots are not: that alone proves it.
    3. Otherwise the way leads from another root, at the smaller size, to the root of the larger head.
    4. Or else: each head is over another leaf at the same index.
    5. Or else: the log's key signed, beside each head, that a log goes on from there, and those are two logs.

    Raises `Invalid` for a malformed `key`; what is wrong with the evidence is the verdict.
    """
    if key:
        Verifier.parse(key)
    try:
        verifier = Verifier.parse(key or evidence.ledger_key)
        kept = parse_checkpoint(evidence.kept_checkpoint, verifier)  # 1
        shown = parse_checkpoint(evidence.shown_checkpoint, verifier)
        older, newer = sorted((kept, shown), key=lambda one: one.size)
        fork, why = _judged(evidence, older, newer)
        if not fork and evidence.other_leaf:
            fork, why = _two_leaves(evidence, kept, shown)
        if not fork and evidence.kept_link and evidence.shown_link:
            fork, why = _linked(evidence, key or evidence.ledger_key)
        return Verdict(fork, why, verifier.name, kept.size, shown.size)
    except KetenError as error:
        why = f"not both checkpoints are signed by the log's key: {error.public}"
        return Verdict(False, why, "", _size(evidence.kept_checkpoint), _size(evidence.shown_checkpoint))


def _judged(evidence: Evidence, older: Checkpoint, newer: Checkpoint) -> tuple[bool, str]:
    """Steps 2 and 3 of `judge`."""
    if older.size == newer.size:  # 2
        if older.root != newer.root:
            return True, f"the log's key signed two different roots for {older.size} entries"
        return False, "both checkpoints are the same head"
    if older.size == 0:
        return False, "the smaller checkpoint is of an empty log, from which every log goes on"
    other = parse_hash(evidence.other_root) if evidence.other_root else None  # 3
    path = [parse_hash(each) for each in evidence.path]
    hashes = [each for each in path if each is not None]
    if len(hashes) != len(path):
        return False, "its hashes are malformed"
    if verify_consistency(older.size, newer.size, hashes, older.root, newer.root):
        return False, f"the checkpoint of {newer.size} entries goes on from that of {older.size}"
    other = proven_root(older.size, newer.size, hashes, newer.root) or other
    if other is None or other == older.root:
        return False, f"it does not say which root the log of {newer.size} entries has at {older.size}"
    if not verify_consistency(older.size, newer.size, hashes, other, newer.root):
        return False, f"its way does not lead to the root of the checkpoint of {newer.size} entries"
    return True, (
        f"the log's key signed one root for {older.size} entries, and a checkpoint of {newer.size} entries that begins "
        "with another one"
    )


def _two_leaves(evidence: Evidence, kept: Checkpoint, shown: Checkpoint) -> tuple[bool, str]:
    """Step 4 of `judge`."""
    index = evidence.index
    if index is None or not 0 <= index < min(kept.size, shown.size):
        return False, "the entry that it is about is not in both checkpoints"
    if evidence.leaf == evidence.other_leaf:
        return False, f"both checkpoints have the same entry {index}"
    sides = ((evidence.leaf, evidence.leaf_path, kept), (evidence.other_leaf, evidence.other_leaf_path, shown))
    for leaf, path, head in sides:
        hashes = [found for found in map(parse_hash, path) if found is not None]
        whole = len(hashes) == len(path)
        if not whole or not verify_inclusion(leaf_hash(leaf.encode()), index, head.size, hashes, head.root):
            return False, f"it does not prove which entry {index} the checkpoint of {head.size} entries has"
    return True, f"the log's key signed {kept.size} and {shown.size} entries with two different ones at {index}"


def _linked(evidence: Evidence, key: str) -> tuple[bool, str]:
    """Step 5 of `judge`."""
    try:
        kept = linked_key(Predecessor(key, evidence.kept_checkpoint, evidence.kept_link))
        shown = linked_key(Predecessor(key, evidence.shown_checkpoint, evidence.shown_link))
    except SuccessionWrong as error:
        return False, f"its links do not hold: {error.public}"
    if kept == shown:
        return False, "both links name the same log"
    names = " and ".join(one.partition("+")[0] for one in (kept, shown))
    return True, f"the log's key named two logs that go on from it: {names}"


def _size(note: str) -> int:
    try:
        return unverified_checkpoint(note).size
    except KetenError:
        return 0


def kept_note(content: bytes) -> str:
    """The checkpoint that somebody kept, out of a checkpoint file, a witnessed note, or a file of evidence.

    Raises `Invalid` ("no-checkpoint").
    """
    try:
        if content.lstrip()[:1] == b"{":
            return decode(content).kept_checkpoint
        signature_lines(content)
        return content.decode()
    except Corrupt as error:
        raise Invalid("no-checkpoint", "This is neither a signed checkpoint nor evidence.", str(error)) from error
