"""Which backups there are, and in which life this instance is. Inside the transaction of the one writer."""

from __future__ import annotations

from pathlib import Path

import msgspec
from sqlalchemy import Connection, insert, select, update

from keten.backup import entries
from keten.backup.model import Known
from keten.backup.tables import backups, lives, recovered
from keten.core.errors import Corrupt, Invalid, NotFound
from keten.ledger.evidence import Compared, Evidence, compare, make
from keten.ledger.merkle import inclusion_path, leaf_hash
from keten.ledger.model import Draft, Leaf
from keten.ledger.notes import Checkpoint, Verifier, to_base64
from keten.ledger.prooffile import parse_proof, verify_proof
from keten.ledger.query import Filter, find
from keten.ledger.succession import Predecessor
from keten.ledger.tiles import TileReader
from keten.ledger.writing import Writing

UNCONFIRMED, LIVE, MOVED = "unconfirmed", "live", "moved"
_leaf = msgspec.json.Decoder(Leaf).decode


class Life(msgspec.Struct, frozen=True):
    """A life of an instance: its log's name, from which size and since when; `before`: the log that it goes on from."""

    origin: str
    size: int
    since_us: int
    state: str
    before: Predecessor | None = None


class Proven(msgspec.Struct, frozen=True):
    """An entry of a predecessor that was proven.

    index: of the entry that says so here; None when one did already, or the entry itself is here (`lost` false).
    """

    origin: str
    at: int
    id: str
    index: int | None
    lost: bool = True


# ---- backups -----------------------------------------------------------------------------------------------------


def known(connection: Connection) -> list[Known]:
    """Every backup that is known and not forgotten, oldest first."""
    chosen = select(backups).where(backups.c.state != "forgotten").order_by(backups.c.made_us, backups.c.id)
    return [_known(row) for row in connection.execute(chosen).mappings()]


def forgotten(connection: Connection) -> list[Known]:
    """Every backup of which an operator said that it is gone, oldest first."""
    chosen = select(backups).where(backups.c.state == "forgotten").order_by(backups.c.made_us, backups.c.id)
    return [_known(row) for row in connection.execute(chosen).mappings()]


def sizes(connection: Connection) -> dict[str, int]:
    """How many entries each finished backup holds, by its id; the entries that were made while it began are among them.

    Not `Known.size`: that is from where on what ends is carried to it.
    """
    found: dict[str, int] = {}
    for entry in find(connection, Filter(kind=entries.FINISHED.name)):
        if entry.payload is not None:
            found[str(entry.payload.details["backup"])] = int(entry.payload.details["size"])
    return found


def one(connection: Connection, backup: str) -> Known:
    """A backup by its id, or the folder it is in. Raises `NotFound` ("unknown-backup")."""
    chosen = select(backups).where((backups.c.id == backup) | (backups.c.folder == backup))
    row = connection.execute(chosen).mappings().first()
    if row is None:
        raise NotFound("unknown-backup", f"This instance knows no backup {backup!r}; see 'keten backup --list'.")
    return _known(row)


def begin(writing: Writing, backup: Known, actor: str) -> int:
    """Record that a backup begins; returns the entry's index."""
    row = msgspec.structs.asdict(backup) | {"recipients": msgspec.json.encode(backup.recipients).decode()}
    writing.connection.execute(insert(backups).values(row))
    details = {
        "backup": backup.id,
        "folder": Path(backup.folder).name[:200],
        "recipients": list(backup.recipients),
        "plain": not backup.recipients,
    }
    return writing.record(Draft(entries.BEGUN, actor, details=details))


def finish(writing: Writing, backup: Known, details: dict[str, object], actor: str) -> int:
    """Record that a backup is complete; returns the entry's index."""
    _set_state(writing, backup.id, "complete")
    return writing.record(Draft(entries.FINISHED, actor, details={"backup": backup.id} | details))


def forget(writing: Writing, backup: Known, actor: str) -> int:
    """Record that a backup is gone; returns the entry's index."""
    _set_state(writing, backup.id, "forgotten")
    return writing.record(Draft(entries.FORGOTTEN, actor, details={"backup": backup.id}))


def _set_state(writing: Writing, backup: str, state: str) -> None:
    writing.connection.execute(update(backups).where(backups.c.id == backup).values(state=state))


def _known(row: object) -> Known:
    columns = dict(row)  # type: ignore[call-overload]  # a row's mapping
    return Known(**columns | {"recipients": tuple(msgspec.json.decode(columns["recipients"], type=list[str]))})


# ---- lives -------------------------------------------------------------------------------------------------------


def all_lives(connection: Connection) -> tuple[Life, ...]:
    """The lives of this instance that began with a restore or ended with a move, oldest first. Raises `Corrupt`."""
    found = []
    for row in connection.execute(select(lives).order_by(lives.c.size, lives.c.since_us)):
        try:
            before = msgspec.json.decode(row.before, type=Predecessor) if row.before else None
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise Corrupt("succession-wrong", "What this instance goes on from is damaged.", str(error)) from error
        found.append(Life(row.origin, row.size, row.since_us, row.state, before))
    return tuple(found)


def begin_life(writing: Writing, life: Life) -> None:
    """Write the life that begins."""
    before = msgspec.json.encode(life.before).decode() if life.before else ""
    row = msgspec.structs.asdict(life) | {"before": before}
    changed = writing.connection.execute(update(lives).where(lives.c.origin == life.origin).values(row))
    if changed.rowcount == 0:
        writing.connection.execute(insert(lives).values(row))


def moved_from(connection: Connection, life: Life) -> Life:
    """The life that ends with a move: what is known of it, as `moved`."""
    known_lives = [each for each in all_lives(connection) if each.origin == life.origin]
    return msgspec.structs.replace(known_lives[-1], state=MOVED) if known_lives else life


def confirm(writing: Writing, origin: str, details: dict[str, object], actor: str) -> int:
    """Record that an operator has looked, and let the instance serve; returns the entry's index."""
    writing.connection.execute(update(lives).where(lives.c.origin == origin).values(state=LIVE))
    return writing.record(Draft(entries.CONFIRMED, actor, details=details))


# ---- entries that come back --------------------------------------------------------------------------------------


class Shown(msgspec.Struct, frozen=True):
    """An entry of a predecessor that a proof file proves: whose, in which head that its key signed, and its path there.

    life: the one that went on from that log. before: what it knows of that log.
    """

    life: Life
    before: Predecessor
    checkpoint: Checkpoint
    index: int
    leaf: bytes
    path: tuple[bytes, ...]

    @property
    def id(self) -> str:
        """The entry's random id. Raises `Corrupt` ("proof-malformed")."""
        try:
            return _leaf(self.leaf).id
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise Corrupt("proof-malformed", "What this proof is about is no entry.", str(error)) from error


class Forked(Corrupt):
    """A predecessor's key signed another history than the one that went on here: code "proof-fork"."""

    def __init__(self, evidence: Evidence) -> None:
        public = "This proof is of another history than the one that goes on here: it proves a fork, and no loss."
        super().__init__("proof-fork", public, evidence.what)
        self.evidence = evidence


def shown(chain: tuple[Life, ...], text: str) -> Shown:
    """What a proof file proves.

    1. It is a proof with its leaf; its checkpoint is of a log that this one goes on from.
    2. That log's key signed the checkpoint, and the leaf is in its tree.

    Raises `Invalid` ("proof-other"), `Corrupt` ("proof-wrong", "proof-malformed", …).
    """
    proof = parse_proof(text)  # 1
    origin = proof.checkpoint.partition("\n")[0]
    life = next((each for each in chain if each.before is not None and _name(each.before) == origin), None)
    if life is None or life.before is None:
        raise Invalid("proof-other", "This proof is not of a log that this one goes on from.", origin[:200])
    checkpoint = verify_proof(proof, Verifier.parse(life.before.key))  # 2
    return Shown(life, life.before, checkpoint, proof.index, proof.extra or b"", proof.path)


def require_one_history(one: Shown, reader: TileReader) -> None:
    """That what was shown and the tree here, which `reader` reads, can be of one history.

    1. A head that is no larger than what went on here is the root of as many entries here.
    2. Of a larger one, an entry that must be here is the one that is.

    Raises `Forked` with evidence, and as `TileReader` does.
    """
    kept, head = one.checkpoint, one.before.checkpoint
    found, what = Compared(holds=True), ""
    if kept.size <= head.size:  # 1
        found = compare(kept, head, reader.hash_at)
        what = f"the log of {head.size} entries that goes on here does not go on from these {kept.size}"
    elif one.index < head.size and reader.leaf(one.index) != one.leaf:  # 2
        found = Compared(holds=False)
        what = f"the log of {kept.size} entries has another entry {one.index} than the {head.size} that go on here"
    if found.holds:
        return
    evidence = make(
        found,
        what=what,
        by="auditor",
        source=one.life.origin,
        ledger_key=one.before.key,
        kept=kept.note,
        shown=one.before.note,
    )
    evidence = msgspec.structs.replace(
        evidence, index=one.index, leaf=_text(one.leaf), leaf_path=tuple(map(to_base64, one.path))
    )
    if one.index < head.size:
        here = inclusion_path(one.index, head.size, reader.hash_at)
        evidence = msgspec.structs.replace(
            evidence, other_leaf=_text(reader.leaf(one.index)), other_leaf_path=tuple(map(to_base64, here))
        )
    raise Forked(evidence)


def _text(leaf: bytes) -> str:
    return leaf.decode("utf-8", "backslashreplace")


def recover(writing: Writing, one: Shown, actor: str) -> Proven:
    """Record an entry of a predecessor that was shown, of one history, and is not among those which went on here.

    1. The entry lies beyond what this log has of it.
    2. Once only.

    Raises `Corrupt` ("proof-malformed").
    """
    origin = one.checkpoint.origin
    if one.index < one.life.size:  # 1
        return Proven(origin, one.index, one.id, None, lost=False)
    key = {"origin": origin, "idx": one.index, "leaf": leaf_hash(one.leaf)}
    there = select(recovered.c.idx).where(*(recovered.c[name] == value for name, value in key.items()))  # 2
    if writing.connection.execute(there).first() is not None:
        return Proven(origin, one.index, one.id, None)
    writing.connection.execute(insert(recovered).values(key))
    details = {
        "origin": origin,
        "index": one.index,
        "id": one.id,
        "leaf": one.leaf.decode("ascii"),
        "note": one.checkpoint.note,
    }
    return Proven(origin, one.index, one.id, writing.record(Draft(entries.RECOVERED, actor, details=details)))


def recovered_count(connection: Connection) -> int:
    """How many entries were recovered so far."""
    return len(connection.execute(select(recovered.c.idx)).all())


def _name(one_before: Predecessor) -> str:
    return one_before.key.partition("+")[0]
