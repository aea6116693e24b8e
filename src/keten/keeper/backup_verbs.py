"""What operators may say about backups, restores and moves."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
from sqlalchemy import Connection as Reading

from keten.backup import age, ended, keys, service
from keten.backup import entries as backup_entries
from keten.backup.model import Known
from keten.core.clock import rfc3339
from keten.core.db import translated
from keten.core.errors import Conflict, Denied, Invalid, KetenError
from keten.core.ids import new_id
from keten.keeper import backup_protocol as said
from keten.keeper.protocol import Nothing, Recorded
from keten.keeper.server import Connection, Verb, waiting_verb
from keten.keeper.since_backup import sentences
from keten.keeper.trusted import Trusted
from keten.keeper.writer import sealed_in
from keten.ledger.evidence import encode
from keten.ledger.model import Draft
from keten.ledger.notes import MAX_NOTE_BYTES, Verifier, parse_checkpoint
from keten.ledger.publish import CHECKPOINT
from keten.ledger.reading import read_range
from keten.ledger.tiles import TileReader, read_file
from keten.ledger.writing import Writing
from keten.suppliers.rows import BY_WORD

log = logging.getLogger(__name__)
T = TypeVar("T")
MOST_PROOFS = 10_000
MOST_NAMED = 1000
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")


class BackupVerbs:
    """The verbs about backups on the operator's socket."""

    def __init__(self, trusted: Trusted) -> None:
        self._trusted = trusted

    def verbs(self) -> dict[str, Verb]:
        """Verb → what it does, for the socket."""
        return {
            "backup.begin": waiting_verb(said.BackupBegin, self.begin),
            "backup.keys": waiting_verb(said.BackupKeys, self.keys),
            "backup.finish": waiting_verb(said.BackupFinish, self.finish),
            "backup.list": waiting_verb(Nothing, self.list),
            "backup.forget": waiting_verb(said.BackupOf, self.forget),
            "backup.renew": waiting_verb(Nothing, self.renew),
            "backup.confirm": waiting_verb(said.Confirm, self.confirm),
            "backup.recover": waiting_verb(said.Recover, self.recover),
        }

    # ---- backups ---------------------------------------------------------------------------------------------

    async def begin(self, connection: Connection, body: said.BackupBegin) -> said.BackupBegun:
        """A backup begins: recorded, and known, before anything is copied; ends are carried to it from here on.

        Those in the same place that were not finished are no backups: their keys are overwritten, they are forgotten,
        and only one at a time goes there. One that can't be overwritten stays known: erasing goes on naming it.
        For a move: nothing is under way, and this is the last entry of this log that is made here.
        """
        trusted = self._trusted
        age.recipients(body.recipients)
        backup, actor = new_id(), connection.actor
        if body.move and len(trusted.accesses):
            raise Conflict("in-use", "Transfers are under way, or their ends are not recorded yet; try again.")
        begun_before = await self._read(lambda reading: _unfinished(reading, Path(body.folder).parent))
        unfinished = [one for one in begun_before if await asyncio.to_thread(_discarded, one)]

        def run(writing: Writing) -> tuple[Known, int]:
            begun = Known(backup, body.folder, body.recipients, writing.time_us, writing.next_index, "begun")
            for one in unfinished:
                service.forget(writing, one, actor)
            begun = msgspec.structs.replace(begun, size=writing.next_index)
            index = service.begin(writing, begun, actor)
            if body.move:
                life = service.Life(trusted.origin, begun.size, writing.time_us, service.MOVED)
                service.begin_life(writing, service.moved_from(writing.connection, life))
                index = writing.record(Draft(backup_entries.MOVED, actor, details={"backup": backup}))
                writing.last = True
            return begun, index

        (begun, index), batch = await trusted.writer.run(run, alone=True)
        if body.move:
            trusted.moved = True
        await asyncio.to_thread(ended.begin, begun.place, backup, trusted.ended_key)
        return said.BackupBegun(backup, begun.made_us, begun.size, sealed_in(batch, index).id)

    async def keys(self, _connection: Connection, body: said.BackupKeys) -> Nothing:
        """Write a backup's keys part, from the keys that are there now, and vouch for the data part.

        Raises `Invalid` ("digest"), and as `write_keys`, `ended.vouch`.
        """
        trusted = self._trusted
        if body.data and not _DIGEST.match(body.data):
            raise Invalid("digest", "A digest is 64 hexadecimal digits.", body.data[:80])

        def write(reading: Reading) -> None:
            known = service.one(reading, body.id)
            keys.write_keys(reading, known, trusted.secrets())
            if body.data:
                ended.vouch(known.place, known.id, trusted.ended_key, body.data, trusted.clock.recording_time())

        await self._read(write)
        return Nothing()

    async def finish(self, connection: Connection, body: said.BackupFinish) -> Recorded:
        """A backup is complete."""
        details = {"size": body.size, "root": body.root, "data": body.data, "objects": body.objects}
        known = await self._read(lambda reading: service.one(reading, body.id))
        return await self._record(
            lambda writing: service.finish(writing, known, details | {"absent": body.absent}, connection.actor)
        )

    async def list(self, _connection: Connection, _body: Nothing) -> said.Backups:
        """Every backup that is known."""
        found, sizes = await self._read(lambda reading: (service.known(reading), service.sizes(reading)))
        return said.Backups(tuple(await asyncio.to_thread(lambda: [_info(one, sizes) for one in found])))

    async def forget(self, connection: Connection, body: said.BackupOf) -> Recorded:
        """A backup is gone, an operator says."""
        known = await self._read(lambda reading: service.one(reading, body.id))
        return await self._record(lambda writing: service.forget(writing, known, connection.actor))

    async def renew(self, _connection: Connection, _body: Nothing) -> said.Renewed:
        """Write the keys of every known backup anew: what was destroyed since is gone from them, too."""
        renewed = await self._read(
            lambda reading: keys.renew_keys(reading, service.known(reading), self._trusted.secrets())
        )
        return said.Renewed(renewed.done, renewed.unreached)

    # ---- after a restore -------------------------------------------------------------------------------------

    async def confirm(self, connection: Connection, body: said.Confirm) -> said.Confirmed:
        """An operator has looked at what a restored instance will give out: recorded, and then it serves.

        Raises `Denied` ("contradicted") when an outsider contradicts it, unless the operator says so (`despite`).
        """
        trusted = self._trusted
        live, evidence = await self._read(lambda reading: (_live(reading), tuple(self._evidence(reading))))
        if not trusted.unconfirmed:
            return said.Confirmed(needed=False, live=live, evidence=evidence)
        if body.plan_only:
            return said.Confirmed(needed=True, live=live, evidence=evidence)
        if any(one.says == "contradicts" for one in body.outside) and not body.despite:
            public = (
                "It serves nobody yet: what outsiders signed contradicts the backup. Somebody forked the ledger, or "
                "changed the backup. Find out first; to let it serve all the same, add --despite."
            )
            raise Denied("contradicted", public)
        details: dict[str, object] = {
            "live": {kind: len(names) for kind, names in live.items()},
            "outside": [msgspec.to_builtins(one) for one in body.outside[:MOST_NAMED]],
        }

        def run(writing: Writing) -> int:
            counted = details | {"recovered": service.recovered_count(writing.connection)}
            return service.confirm(writing, trusted.origin, counted, connection.actor)

        recorded = await self._record(run)
        trusted.confirmed()
        return said.Confirmed(needed=True, live=live, evidence=evidence, entry=recorded.entry)

    def _evidence(self, reading: Reading) -> Iterator[str]:
        life = self._trusted.life
        if life is None or life.before is None:
            return
        head = life.before.checkpoint
        yield f"The backup knows {head.origin} up to {head.size} entries; it was restored at {rfc3339(life.since_us)}."
        first = next(iter(read_range(reading, life.size, life.size + 1)), None)
        if first is not None and first.payload is not None:
            yield from sentences(reading, first.payload.details.get("changed", ()), life.size)
        count = service.recovered_count(reading)
        yield (
            f"{count} entries beyond them were proven to have existed (keten ledger recover)."
            if count
            else "Nobody has shown a proof of an entry beyond them yet: ask suppliers for those that their client kept."
        )

    async def recover(self, connection: Connection, body: said.Recover) -> said.Recoveries:
        """Record entries of the log before this one that somebody's proofs show to have existed."""
        if len(body.proofs) > MOST_PROOFS:
            raise Invalid("proofs", f"At most {MOST_PROOFS} proofs at once.")
        trusted = self._trusted
        chain = await self._read(service.all_lives)
        reader = await asyncio.to_thread(self._tree)
        found: list[said.Recovery] = []
        for text in body.proofs:
            try:
                shown = await asyncio.to_thread(_of_one_history, chain, text, reader)
                proven, batch = await trusted.writer.run(
                    partial(service.recover, one=shown, actor=connection.actor), alone=True
                )
            except service.Forked as error:
                log.critical("a proof was shown that proves a fork: %s", error.evidence.what)
                found.append(said.Recovery(-1, "", "", str(error), evidence=encode(error.evidence).decode()))
                continue
            except KetenError as error:
                found.append(said.Recovery(-1, "", "", str(error)))
                continue
            entry = sealed_in(batch, proven.index).id if proven.index is not None else ""
            found.append(said.Recovery(proven.at, proven.id, entry, already=proven.index is None, lost=proven.lost))
        return said.Recoveries(tuple(found))

    def _tree(self) -> TileReader:
        """The published tree. Raises `Corrupt`, `Unavailable`."""
        folder = self._trusted.settings.paths.ledger
        note = read_file(folder, CHECKPOINT, MAX_NOTE_BYTES)
        checkpoint = parse_checkpoint(note, Verifier.parse(self._trusted.verifier_key))
        return TileReader(folder, checkpoint.size, checkpoint.root)

    # ---- both ------------------------------------------------------------------------------------------------

    async def _record(self, run: Callable[[Writing], int]) -> Recorded:
        index, batch = await self._trusted.writer.run(run, alone=True)
        return Recorded(sealed_in(batch, index).id, index)

    async def _read(self, run: Callable[[Reading], T]) -> T:
        def reading() -> T:
            with translated(), self._trusted.reader.connect() as connection:
                return run(connection)

        return await asyncio.to_thread(reading)


def _of_one_history(chain: tuple[service.Life, ...], text: str, reader: TileReader) -> service.Shown:
    """What a proof proves, once it is of the history that went on here. Raises as `service` does."""
    shown = service.shown(chain, text)
    service.require_one_history(shown, reader)
    return shown


def _unfinished(reading: Reading, target: Path) -> list[Known]:
    """Backups below a folder that were begun and never finished."""
    begun = [one for one in service.known(reading) if one.state == "begun" and Path(one.folder).parent == target]
    return [one for one in begun if not one.place.manifest.exists()]


def _discarded(known: Known) -> bool:
    try:
        keys.discard(known)
    except (KetenError, OSError) as error:
        log.warning("the unfinished backup %s is not removed yet: %s", known.folder, error)
        return False
    return True


def _info(known: Known, sizes: dict[str, int]) -> said.BackupInfo:
    reachable = known.place.manifest.is_file() if known.state == "complete" else Path(known.folder).is_dir()
    size = sizes.get(known.id, known.size)
    return said.BackupInfo(known.id, known.folder, known.recipients, known.made_us, size, known.state, reachable)


def _live(reading: Reading) -> dict[str, tuple[str, ...]]:
    """The names of the rows that have not ended, by kind; of very many only the first."""
    live: dict[str, tuple[str, ...]] = {}
    for word, rows in BY_WORD.items():
        names = [row.name for row in rows.each(reading) if row.ended is None]
        live[word] = tuple(names[:MOST_NAMED])
    return live
