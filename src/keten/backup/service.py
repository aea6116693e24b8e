"""Which backups there are, and in which life this instance is. Inside the transaction of the one writer."""

from __future__ import annotations

from pathlib import Path

import msgspec
from sqlalchemy import Connection, insert, select, update

from keten.backup import entries
from keten.backup.model import Known
from keten.backup.tables import backups, lives, recovered
from keten.core.errors import Corrupt, Invalid, NotFound
from keten.ledger.merkle import leaf_hash
from keten.ledger.model import Draft, Leaf
from keten.ledger.notes import Verifier
from keten.ledger.query import Filter, find
from keten.ledger.prooffile import parse_proof, verify_proof
from keten.ledger.succession import Predecessor
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


def recover(writing: Writing, chain: tuple[Life, ...], text: str, actor: str) -> Proven:
    """Record an entry of a predecessor that a proof file proves, and that is not among those which went on here.

    1. It is a proof with its leaf; its checkpoint is of a log that this one goes on from.
    2. That log's key signed the checkpoint, and the leaf is in its tree.
    3. The entry lies beyond what this log has of it.
    4. Once only.

    Raises `Invalid` ("proof-other"), `Corrupt` ("proof-wrong", "proof-malformed", …).
    """
    proof = parse_proof(text)  # 1
    origin = proof.checkpoint.partition("\n")[0]
    life = next((each for each in chain if each.before is not None and _name(each.before) == origin), None)
    if life is None or life.before is None:
        raise Invalid("proof-other", "This proof is not of a log that this one goes on from.", origin[:200])
    checkpoint = verify_proof(proof, Verifier.parse(life.before.key))  # 2
    leaf = proof.extra or b""
    try:
        entry_id = _leaf(leaf).id
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise Corrupt("proof-malformed", "What this proof is about is no entry.", str(error)) from error
    if proof.index < life.size:  # 3
        return Proven(origin, proof.index, entry_id, None, lost=False)
    key = {"origin": origin, "idx": proof.index, "leaf": leaf_hash(leaf)}
    there = select(recovered.c.idx).where(*(recovered.c[name] == value for name, value in key.items()))  # 4
    if writing.connection.execute(there).first() is not None:
        return Proven(origin, proof.index, entry_id, None)
    writing.connection.execute(insert(recovered).values(key))
    details = {
        "origin": origin,
        "index": proof.index,
        "id": entry_id,
        "leaf": leaf.decode("ascii"),
        "note": checkpoint.note,
    }
    return Proven(origin, proof.index, entry_id, writing.record(Draft(entries.RECOVERED, actor, details=details)))


def recovered_count(connection: Connection) -> int:
    """How many entries were recovered so far."""
    return len(connection.execute(select(recovered.c.idx)).all())


def _name(one_before: Predecessor) -> str:
    return one_before.key.partition("+")[0]
