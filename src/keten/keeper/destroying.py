"""Destroying content, for ever: a file, a dataset, or all that a contract alone covers."""

from __future__ import annotations

import asyncio

from sqlalchemy import Connection

from keten.core.db import copies
from keten.core.errors import Conflict, Invalid
from keten.keeper import protocol as said
from keten.keeper.gateway_verbs import GatewayVerbs
from keten.keeper.known_backups import KnownBackups
from keten.keeper.steps import Content, Step, is_done, not_done, step
from keten.keeper.trusted import Trusted
from keten.keeper.writer import sealed_in
from keten.ledger.writing import Writing
from keten.revocation import service as revocation
from keten.subjects import holds
from keten.subjects.model import Hold
from keten.suppliers.model import Contract
from keten.vault import service as vault
from keten.vault import sweeping
from keten.vault.model import Destroyed
from keten.vault.rules import check_reason

KINDS = ("dataset", "object", "contract")
_LOG = "log"  # the step


class Destroying:
    """Says what would be destroyed, and destroys it. Every method may be called again: what is done is left."""

    def __init__(self, trusted: Trusted, gateways: GatewayVerbs, content: Content) -> None:
        self._trusted = trusted
        self._gateways = gateways
        self._content = content
        self._traces: set[bytes] = set()  # keys as they were stored, until none is left in the database's files
        self._seen: set[str] = set()  # what this process destroyed, or had looked for
        self._unseen: set[str] = set()  # what an earlier one destroyed, perhaps without having looked: it was killed

    def plan(self, body: said.Destroy) -> said.Destroyed:
        """What it is about, and what it holds. Raises `Invalid` (kind, unknown-name, reason), `Conflict` ("held")."""
        check_reason(body.reason)
        self._trusted.door.fresh()
        planned = self._planned(body)
        if not planned.already:
            self._require_free(body.kind, planned.id)
        return planned

    def _planned(self, body: said.Destroy) -> said.Destroyed:
        register = self._trusted.register
        if body.kind not in KINDS:
            raise Invalid("kind", f"What can be destroyed: {', '.join(KINDS)}; not {body.kind!r}.")
        if body.kind == "contract":
            contract = revocation.target(register, "contract", body.target)
            with self._trusted.reader.connect() as reading:
                covered = revocation.covered_alone(reading, contract.id, self._trusted.clock.recording_time())
                files = sum(vault.held_by(reading, one.id) for one in covered.alone)
            done = contract.ended is not None and not covered.alone
            return said.Destroyed(contract.id, contract.name, files, already=done, kept=list(covered.kept))
        dataset = revocation.dataset(register, body.target)
        if body.kind == "object":
            found = self._trusted.objects.named(dataset.id, body.file) or self._trusted.objects.get(body.file)
            if found is None or found.dataset != dataset.id:
                raise Invalid("unknown-name", f"There is no file {body.file!r} in the dataset {dataset.name!r}.")
            return said.Destroyed(found.id, found.name, 1)
        with self._trusted.reader.connect() as reading:
            held, already = vault.held_by(reading, dataset.id), revocation.destroyed(reading, dataset)
        return said.Destroyed(dataset.id, dataset.name, held, already=already)

    def _require_free(self, kind: str, target: str) -> None:
        with self._trusted.reader.connect() as reading:
            holds.require_none(self.holds_against(reading, kind, target, self._trusted.clock.recording_time()))

    def holds_against(self, reading: Connection, kind: str, target: str, now_us: int) -> list[Hold]:
        """The legal holds that forbid it now."""
        return revocation.holds_against(reading, kind, target, now_us)

    def lines(
        self, reading: Connection, kind: str, target: str, now_us: int
    ) -> tuple[list[tuple[str, int]], tuple[str, ...]]:
        """What would be destroyed, with how many files of each; and what of a contract is kept, and why."""
        if kind == "object":
            return [("file", 1)], ()
        if kind == "contract":
            covered = revocation.covered_alone(reading, target, now_us)
            return [(f"dataset {one.name}", vault.held_by(reading, one.id)) for one in covered.alone], covered.kept
        return [("files", vault.held_by(reading, target))], ()

    async def destroy(
        self, kind: str, target: str, reason: str, actor: str, *, again: bool = False, agreed_us: int = 0
    ) -> tuple[list[Step], str]:
        """Destroy it; the steps, and the entry that says that the key is gone ("" when it was before).

        again: all of it is destroyed already, so nobody had to agree; only steps that were not done are tried again.
        agreed_us: when two people agreed, if they did, which may be long ago: it goes on until every step is done.
        """
        self._trusted.door.fresh()
        if kind == "object":
            return await self._object(target, reason, actor)
        if kind == "contract":
            return await self._contract(target, reason, actor, again=again, agreed_us=agreed_us)
        steps, entry = await self._dataset(target, reason, actor)
        return [*steps, *await self.cleaned()], entry

    async def _object(self, object_id: str, reason: str, actor: str) -> tuple[list[Step], str]:
        """Its key with the entry, then transfers of it, its ciphertext, and what the log still holds."""
        trusted = self._trusted

        def run(writing: Writing) -> Destroyed:
            holds.require_none(revocation.holds_against(writing.connection, "object", object_id, writing.time_us))
            self._note(vault.stored_key(writing.connection, "", object_id))
            return vault.destroy_object(writing, object_id, reason, actor)

        destroyed, batch = await trusted.writer.run(run, alone=True, essential=True)
        self._destroyed(object_id, before=destroyed.index is None)
        entry = sealed_in(batch, destroyed.index).id if destroyed.index is not None else ""
        if not entry:
            self._gateways.changed()  # a gateway that did not confirm the first time is told again
        cut = await self._content.cut_steps()
        kept = await asyncio.to_thread(self._content.remove_blobs, destroyed.removed)
        steps = [
            step("key", f"destroyed, entry {entry}" if entry else "there is none", done=bool(entry)),
            *cut,
            not_done("store", f"ciphertext that cannot be removed now: {kept}; the keeper tries again")
            if kept
            else step("store", "ciphertext removed", done=bool(entry)),
            *await self.cleaned(),
        ]
        return steps, entry

    async def _contract(
        self, contract: str, reason: str, actor: str, *, again: bool, agreed_us: int
    ) -> tuple[list[Step], str]:
        """End the contract, then destroy each dataset that it alone covers. What others still use is named.

        So is what others used when that was agreed. Raises `Conflict` ("act-changed") when it is given again and covers
        one by now: another contract has ended in this moment, and to destroy what that one kept is an act of its own
        (law 14).
        """
        trusted = self._trusted

        def run(writing: Writing) -> revocation.Covered:
            holds.require_none(revocation.holds_against(writing.connection, "contract", contract, writing.time_us))
            found = revocation.covered_alone(writing.connection, contract, writing.time_us, agreed_us)
            if again and found.alone:
                raise Conflict("act-changed", "It covers more than a moment ago; look at it again.", contract)
            revocation.end(writing, "contract", contract, reason, actor)
            return found

        covered, batch = await trusted.writer.run(run, alone=True, essential=True)
        for gone in covered.gone:
            self._destroyed(gone, before=True)
        row = trusted.register.contract(contract)
        name = row.name if isinstance(row, Contract) else contract
        steps = [step("contract", f"{name} ended", done=batch is not None), *await self._content.cut_steps()]
        entry = ""
        for dataset in covered.alone:
            some, made = await self._dataset(dataset.id, reason, actor)
            steps += [{**one, "step": f"{dataset.name}: {one['step']}"} for one in some]
            entry = made or entry
        steps += [step("kept", told, done=False) for told in covered.kept]
        return [*steps, *await self.cleaned()], entry

    async def _dataset(self, dataset: str, reason: str, actor: str) -> tuple[list[Step], str]:
        """Destroy a dataset's key and content.

        1. Commit its end and its key's, with their entries: from here on nobody can open its content.
        2. Cut every transfer of it, and wait until each gateway says that it has.
        3. End the rows of what is left of its objects.
        4. Remove the ciphertext, also what could not be removed before.
        """
        trusted = self._trusted
        with trusted.reader.connect() as reading:
            held = vault.held_by(reading, dataset)

        def run(writing: Writing) -> revocation.Destruction:
            holds.require_none(revocation.holds_against(writing.connection, "dataset", dataset, writing.time_us))
            self._note(vault.stored_key(writing.connection, dataset))
            return revocation.destroy(writing, trusted.keys, dataset, reason, actor)

        done, batch = await trusted.writer.run(run, alone=True, essential=True)  # 1
        self._destroyed(dataset, before=batch is None)
        trusted.keys.forget(dataset)  # again: a request under way may have opened it until the commit
        if batch is None:
            self._gateways.changed()  # a gateway that did not confirm the first time is told again
        entries = [sealed_in(batch, index).id for index in (done.ended, done.key) if index is not None]
        steps = [
            step("register", "dataset ended", done=done.ended is not None),
            step("key", f"destroyed, entry {entries[-1]}", done=True)
            if done.key is not None
            else step("key", "there is none", done=False),
            *await self._content.cut_steps(),  # 2
            *await self._emptied(dataset, held),  # 3, 4
        ]
        return steps, entries[-1] if entries else ""

    async def _emptied(self, dataset: str, held: int) -> list[Step]:
        """End what is left of a dataset whose key is destroyed, and remove its ciphertext."""
        trusted = self._trusted
        while True:
            swept, _batch = await trusted.writer.run(sweeping.destroy_keyless, alone=True, essential=True)
            if not swept.objects:
                break
        with trusted.reader.connect() as reading:
            left, blobs = vault.held_by(reading, dataset), vault.blobs_of(reading, dataset)
        kept = await asyncio.to_thread(self._content.remove_blobs, blobs)
        return [
            step("content", f"files destroyed: {held}", done=held > 0)
            if not left
            else not_done("content", f"unreadable, but left, for their rows do not match the ledger: {left}"),
            not_done("store", f"ciphertext that cannot be removed now: {kept}; the keeper tries again")
            if kept
            else step("store", "ciphertext removed", done=held > 0),
        ]

    async def cleaned(self) -> list[Step]:
        """Leave nothing of the key in the database, its log and backups; name what still holds it.

        Of what an earlier process destroyed no trace is known: the database's file is written anew, once.
        """
        if await self._trusted.writer.scrub(None if self._unseen else frozenset(self._traces)):
            self._traces.clear()
            self._seen |= self._unseen
            self._unseen.clear()
            log = step(_LOG, "nothing of the key is left in the database's files", done=True)
        else:
            log = not_done(_LOG, f"the key may not be gone: {self._trusted.writer.remains}")
        beyond = await asyncio.to_thread(KnownBackups(self._trusted).renew_keys)
        return [
            log,
            *(not_done("backups", told) for told in beyond),
            *(not_done("copies", f"db/{name} may still hold the key: remove it") for name in self.copies()),
        ]

    def is_done(self, steps: list[Step]) -> bool:
        """Whether nothing is left to do that can be done here: what a server's files still hold cannot."""
        reaches = self._trusted.writer.reaches
        return is_done([one for one in steps if reaches or one["step"] != _LOG])

    def _note(self, stored: bytes | None) -> None:
        if stored is not None:
            self._traces.add(stored)

    def _destroyed(self, target: str, *, before: bool) -> None:
        """Note what is destroyed by now. before: it was when this began."""
        if not before:
            self._seen.add(target)
        elif target not in self._seen:
            self._unseen.add(target)

    def copies(self) -> list[str]:
        """What an upgrade or a move left of the database, which holds the keys of its day."""
        return copies(self._trusted.settings.paths.database)
