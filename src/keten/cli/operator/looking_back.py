"""What outsiders remember of the ledger that a restored instance goes on from: its witnesses, and files that were kept.

A backup is as old as it is. Who cosigned a newer head of that ledger knows that more was recorded, and how much; who
cosigned another head of its first entries knows that the backup is of a ledger that was forked.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from keten.cli.operator.outside import content_of, keep_evidence
from keten.core.errors import Corrupt, KetenError
from keten.keeper.backup_protocol import Outsider, Says
from keten.ledger.cosignatures import cosignatures
from keten.ledger.evidence import compare, kept_note, make
from keten.ledger.notes import MAX_NOTE_BYTES, Checkpoint, Verifier, parse_checkpoint
from keten.ledger.publish import CHECKPOINT
from keten.ledger.quorum import load_policy
from keten.ledger.succession import check_chain, read
from keten.ledger.tiles import TileReader, read_file
from keten.worker.asking import ask, tls

if TYPE_CHECKING:
    import ssl

    from keten.core.settings import Settings
    from keten.ledger.merkle import HashAt
    from keten.ledger.quorum import Policy, Witness

AT_ONCE = 16
LONGEST_NAME = 200


class Remembered(msgspec.Struct, frozen=True):
    """What one outsider remembers, as it is recorded and as a sentence."""

    outsider: Outsider
    sentence: str


class _Before(msgspec.Struct, frozen=True):
    """The ledger that is gone on from: its key, its head at which that is, and its tree, which is in the new one."""

    key: str
    head: Checkpoint
    hash_at: HashAt
    folder: Path


def remembered(settings: Settings, files: list[Path]) -> list[Remembered]:
    """What the policy's witnesses and these kept checkpoints say of the head at which a restored ledger goes on.

    1. The ledger before this one, as this one's public files name it; none: there is nothing to ask.
    2. Every witness that has an address is asked to cosign that head, at once.
    3. Every file is compared with it.

    A witness that had cosigned nothing of that ledger cosigns it now. Raises `Corrupt` when the public files do not
    hold, `Invalid` ("policy", "file", "no-checkpoint").
    """
    before = _before(settings.paths.ledger)  # 1
    if before is None:
        return []
    policy = load_policy(settings)
    asked = [one for one in policy.witnesses if one.url] if policy is not None else []
    ca = settings.witnesses.ca
    context = tls(Path(settings.home) / ca if ca else None)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        said = list(pool.map(lambda one: _asked(one, before, context), asked))  # 2
    return said + [_of_file(file, before, policy) for file in files]  # 3


def _before(folder: Path) -> _Before | None:
    key = (folder / "key.pub").read_text(encoding="utf-8").strip()
    chain = read(folder)
    heads = check_chain(chain, key)
    if not heads:
        return None
    newest = parse_checkpoint(read_file(folder, CHECKPOINT, MAX_NOTE_BYTES), Verifier.parse(key))
    return _Before(chain[-1].key, heads[-1], TileReader(folder, newest.size, newest.root).hash_at, folder)


def _asked(witness: Witness, before: _Before, context: ssl.SSLContext) -> Remembered:
    head, name = before.head, f"The witness {witness.name}"
    try:
        given = ask(witness, head, before.hash_at, head.size, lambda: head.size, context)
    except KetenError as error:
        return _said(witness.name, "unknown", 0, f"{name} cannot be asked: {error.public}")
    if given.heard is None:
        if given.had == 0:
            return _said(witness.name, "unknown", 0, f"{name} had cosigned nothing of that ledger.")
        return _said(witness.name, "continues", given.had, _continues(name, given.had, head))
    if given.heard.code == "ahead":
        return _said(witness.name, "older", given.there, _older(name, given.there, head))
    if given.heard.code == "fork":
        what = f"{name} CONTRADICTS it: it cosigned {given.there} entries that are not those of this backup."
        return _said(witness.name, "contradicts", given.there, f"{what} Ask it for the evidence that it keeps.")
    return _said(witness.name, "unknown", 0, f"{name} does not say: {given.heard.what}.")


def _of_file(file: Path, before: _Before, policy: Policy | None) -> Remembered:
    head, who = before.head, file.name[:LONGEST_NAME]
    note = kept_note(content_of(file))
    try:
        kept = parse_checkpoint(note, Verifier.parse(before.key))
        signed = cosignatures(note, policy.keys) if policy is not None else ()
    except Corrupt as error:
        return _said(who, "unknown", 0, f"{file} says nothing of that ledger: {error.public}")
    name = f"{file}, cosigned by {len(signed)} of the policy's witnesses," if signed else str(file)
    if kept.size > head.size:
        return _said(who, "older", kept.size, _older(name, kept.size, head))
    compared = compare(kept, head, before.hash_at)
    if compared.holds:
        return _said(who, "continues", kept.size, _continues(name, kept.size, head))
    what = f"the ledger of {head.size} entries in the backup does not go on from the {kept.size} that were signed then"
    found = make(
        compared,
        what=what,
        by="auditor",
        source=str(before.folder),
        ledger_key=before.key,
        kept=kept.note,
        shown=head.note,
    )
    said = f"{name} CONTRADICTS it: {what}; evidence is in {keep_evidence(found)}."
    return _said(who, "contradicts", kept.size, said)


def _continues(name: str, size: int, head: Checkpoint) -> str:
    return (
        f"{name} knows {size} entries, which are the first of the {head.size} in the backup: none of them is missing."
    )


def _older(name: str, size: int, head: Checkpoint) -> str:
    return f"{name} knows {size} entries: the {size - head.size} after the {head.size} of the backup are missing here."


def _said(who: str, says: Says, size: int, sentence: str) -> Remembered:
    return Remembered(Outsider(who, says, size), sentence)
