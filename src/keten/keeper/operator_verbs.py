"""What operators may say at the command line. Each is known by the operating system and named in the entry (law 14)."""

from __future__ import annotations

import asyncio
import logging
import resource
from pathlib import Path

import msgspec

from keten.core.clock import rfc3339, wall_us
from keten.core.db import translated
from keten.core.errors import Conflict, Denied, FsyncFailed, Invalid, NotFound, Unavailable
from keten.core.files import stop_process
from keten.core.ids import is_id
from keten.datasets.model import Dataset
from keten.datasets.rows import datasets
from keten.identity.model import EndableRow
from keten.keeper import entries
from keten.keeper import protocol as said
from keten.keeper.budget_verbs import BudgetVerbs
from keten.keeper.follow_verbs import FollowVerbs
from keten.keeper.gateway_verbs import GatewayVerbs
from keten.keeper.record_verbs import RecordVerbs
from keten.keeper.rights_verbs import RightsVerbs
from keten.keeper.server import Connection, Verb, waiting_verb
from keten.keeper.subject_verbs import SubjectVerbs
from keten.keeper.system_verbs import SystemVerbs
from keten.keeper.trusted import Trusted
from keten.keeper.watch_verbs import WatchVerbs
from keten.keeper.witness_verbs import WitnessVerbs
from keten.keeper.writer import sealed_in
from keten.ledger.model import Draft
from keten.ledger.writing import Writing
from keten.policy import sets as policy_sets
from keten.policy.model import Allow
from keten.policy.service import Outcome
from keten.revocation import service as revocation
from keten.subjects import holds
from keten.suppliers import service as suppliers
from keten.suppliers.changes import summaries
from keten.suppliers.estate import Estate
from keten.suppliers.service import AppliedEstate
from keten.vault import service as vault
from keten.vault.layouts import TABLE_TYPE
from keten.vault.model import Ready, Stored
from keten.vault.personal import Seals

log = logging.getLogger(__name__)
ACKNOWLEDGE_SECONDS = 5.0
ACTIONS = ("open", "list", "lookup")


class OperatorVerbs:
    """The verbs of the operator's socket."""

    def __init__(self, trusted: Trusted, gateways: GatewayVerbs) -> None:
        self._trusted = trusted
        self._gateways = gateways
        self._following = FollowVerbs(trusted)
        self._records = RecordVerbs(trusted)
        self._systems = SystemVerbs(trusted)
        self._outside = WitnessVerbs(trusted)
        self.subjects = SubjectVerbs(trusted, gateways, self)
        self._watch = WatchVerbs(trusted, self)
        self._budgets = BudgetVerbs(trusted)
        self._rights = RightsVerbs(trusted, self)

    def verbs(self) -> dict[str, Verb]:
        """Verb → what it does, for the socket."""
        return {
            "keeper.status": waiting_verb(said.Nothing, self.status),
            "keeper.accept_clock": waiting_verb(said.Nothing, self.accept_clock),
            "suppliers.apply": waiting_verb(said.Apply, self.apply),
            "exchange.put_begin": waiting_verb(said.PutBegin, self.put_begin),
            "exchange.put_commit": waiting_verb(said.PutCommit, self.put_commit),
            "exchange.put_abort": waiting_verb(said.PutAbort, self.put_abort),
            "policy.decide": waiting_verb(said.Decide, self.decide),
            "policy.replay": waiting_verb(said.Replay, self.replay),
            "revocation.revoke": waiting_verb(said.Revoke, self.revoke),
            "ledger.locate": waiting_verb(said.Locate, self.locate),
            "ledger.exported": waiting_verb(said.Exported, self.exported),
            **self._following.verbs(),
            **self._records.verbs(),
            **self._systems.verbs(),
            **self._outside.verbs(),
            **self.subjects.verbs(),
            **self._watch.verbs(),
            **self._budgets.verbs(),
            **self._rights.verbs(),
        }

    # ---- the keeper itself -----------------------------------------------------------------------------------

    async def status(self, _connection: Connection, _body: said.Nothing) -> said.Status:
        """The keeper's health."""
        trusted = self._trusted
        return said.Status(
            trusted.origin,
            trusted.writer.head.size,
            trusted.publishing.published_size,
            trusted.clock.recording_time(),
            trusted.clock.jumped,
            trusted.key_kind,
            self._gateways.described(),
            len(trusted.accesses),
            len(trusted.sign_in.sessions),
            trusted.writer.waiting,
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            [trusted.clock.held.public] if trusted.clock.held is not None else [],
            trusted.writer.doing,
        )

    async def accept_clock(self, connection: Connection, _body: said.Nothing) -> said.ClockAccepted:
        """An operator has looked at the clock. Recorded before anything is served by it, also on a disk nearly full.

        With nothing to accept nothing changes: a clock that goes back a little without anybody's proofs being renewed
        would let in proofs that were forgotten.
        """
        trusted = self._trusted
        trusted.clock.recording_time()  # a jump that nobody has noticed yet is what the operator has looked at
        what = trusted.clock.jumped
        if not what:
            return said.ClockAccepted("")
        details = {"what": what, "clock": rfc3339(wall_us())}
        draft = Draft(entries.CLOCK_ACCEPTED, connection.actor, details=details)
        recorded = await self._record(draft, essential=True)
        if trusted.clock.jumped != what:
            raise Conflict("clock-jumped", "The clock jumped again; look at it again.", trusted.clock.jumped)
        trusted.clock.accept()
        trusted.sign_in.clock_accepted(trusted.clock.recording_time())
        return said.ClockAccepted(recorded.entry)

    async def _record(self, draft: Draft, *, essential: bool = False) -> said.Recorded:
        index, batch = await self._trusted.writer.run(lambda writing: writing.record(draft), essential=essential)
        return said.Recorded(sealed_in(batch, index).id, index)

    # ---- the register ----------------------------------------------------------------------------------------

    async def apply(self, connection: Connection, body: said.Apply) -> said.Applied:
        """Make the register match an estate, or show what would change. All or nothing."""
        trusted = self._trusted
        try:
            estate = msgspec.msgpack.decode(body.estate, type=Estate)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise Invalid("estate", "The estate is malformed.", str(error)) from error
        if body.plan_only:
            outside, actor = connection.outside_only, connection.actor
            return await asyncio.to_thread(self._planned, estate, outside_only=outside, actor=actor)

        def run(writing: Writing) -> AppliedEstate:
            if body.base:
                suppliers.require_base(writing.connection, body.base)
            seals = Seals.of(trusted.keys, writing)
            return suppliers.apply(
                writing, estate, connection.actor, seals, outside_only=connection.outside_only
            )

        applied, batch = await trusted.writer.run(run, alone=True)
        for damaged in applied.damaged:
            log.critical("the retention of object %s is as it was: its row does not match the ledger", damaged)
        return said.Applied(applied.changes, applied.ids, await self._settled() if batch is not None else 0)

    def _planned(self, estate: Estate, *, outside_only: bool, actor: str) -> said.Applied:
        """What an estate would change, and as of when: of one moment. Of a large one it takes its time."""
        trusted = self._trusted
        with translated(), trusted.reader.connect() as reading, reading.begin():
            now = trusted.clock.recording_time()
            seals = Seals(trusted.keys, reading)
            planned = suppliers.plan(reading, estate, seals, now, outside_only=outside_only, actor=actor)
            return said.Applied(summaries(planned.changes, planned.names), planned.ids, base=suppliers.base(reading))

    async def revoke(self, connection: Connection, body: said.Revoke) -> said.Revoked:
        """End access now.

        1. Find the row; ended already: say so, and change nothing.
        2. Commit its end with the entry: from here on nothing new is opened.
        3. Cut every transfer and session that no longer holds.
        4. Wait until each gateway says that it has reset them.
        """
        trusted = self._trusted
        trusted.door.fresh()
        row = revocation.target(trusted.register, body.kind, body.target)  # 1
        done, batch = await trusted.writer.run(  # 2
            lambda writing: revocation.end(writing, body.kind, row.id, body.reason, connection.actor),
            alone=True,
            essential=True,
        )
        if done.index is None:
            detail = f"ended before: {_when(done.row)}"
            self._gateways.changed()  # a gateway that did not confirm the first time is told again
            steps = [{"step": "register", "outcome": "already", "detail": detail}, *await self.cut_steps()]
            return said.Revoked(row.id, steps, "", already=True)
        entry = sealed_in(batch, done.index).id
        detail = f"{body.kind} {row.name} ended, entry {entry}"
        steps = [{"step": "register", "outcome": "done", "detail": detail}]
        steps += await self.cut_steps()  # 3, 4
        return said.Revoked(row.id, steps, entry)

    async def cut_steps(self) -> list[dict[str, str]]:
        """What the last change ended, cut and confirmed, as steps to show."""
        push, count = self._gateways.last_change
        confirmed = await self._gateways.acknowledged(push, ACKNOWLEDGE_SECONDS)
        told = f"{len(self._gateways.gateways)} connected, all confirmed"
        return [
            {"step": "transfers", "outcome": "done" if confirmed else "not-done", "detail": f"{count} cut"},
            {"step": "gateways", "outcome": "done", "detail": told}
            if confirmed
            else {"step": "gateways", "outcome": "not-done", "detail": "a gateway has not confirmed the cut"},
        ]

    async def _settled(self) -> int:
        """Wait until the gateways have cut what the last change ended; returns how many that are.

        Raises `Unavailable` ("cut-unconfirmed"): the change holds, and one gateway has yet to say that it cut.
        """
        push, count = self._gateways.last_change
        if not await self._gateways.acknowledged(push, ACKNOWLEDGE_SECONDS):
            public = "The change holds and is recorded, but a gateway has not confirmed that it cut what ended with it."
            raise Unavailable("cut-unconfirmed", public, "see 'keten status'; stop that gateway if it hangs")
        return count

    # ---- content ---------------------------------------------------------------------------------------------

    async def put_begin(self, connection: Connection, body: said.PutBegin) -> said.PutReady:
        """A key and a place for new content; nothing can be read of it before `put_commit`."""
        trusted = self._trusted
        trusted.door.fresh()
        dataset = trusted.register.named("dataset", body.dataset)
        if not isinstance(dataset, Dataset):
            public = f"There is no dataset {body.dataset!r} in the register; declare it and apply."
            raise Invalid("unknown-name", public)
        if body.media_type == TABLE_TYPE and not dataset.is_table:
            raise Invalid("media-type", "Content of this type goes into datasets that are tables only.")
        if dataset.source is not None:
            raise Invalid("dataset-elsewhere", "The records of this dataset stay in a system; nothing is put into it.")
        if body.replace:
            self.subjects.require_unheld(dataset.id)  # what is replaced is destroyed

        def begin(writing: Writing) -> tuple[Ready, bytes]:
            ready = vault.begin_put(
                writing,
                trusted.keys,
                _standing(writing, dataset.id),
                name=body.name,
                media_type=TABLE_TYPE if dataset.is_table else body.media_type,
                digest="" if dataset.is_table else body.digest,  # of the source: its sealed form has another
                size=-1 if dataset.is_table else body.size,
                replace=body.replace,
                actor=connection.actor,
            )
            return ready, vault.stored_key(writing.connection, dataset.id) or b""

        (ready, wrapped), _batch = await trusted.writer.run(begin, alone=True)
        shape = None
        if dataset.is_table:
            names = tuple(column.name for column in dataset.columns)
            shape = said.TableShape(names, dataset.key, trusted.keys.records_key(dataset.id, wrapped))
        return said.PutReady(ready.object, ready.storage, ready.key, ready.unchanged, shape)

    async def put_commit(self, connection: Connection, body: said.PutCommit) -> said.Recorded:
        """The content is durable in the store: from here on it is there."""
        trusted = self._trusted
        with trusted.reader.connect() as reading:
            put = vault.put_of(reading, body.object)
        if put is not None:
            await asyncio.to_thread(vault.check_stored, trusted.store, put, body.size)

        def commit(writing: Writing) -> Stored:
            if put is not None:
                _standing(writing, put.dataset)
                if put.replaces:
                    holds.require_none(holds.on_datasets(writing.connection, [put.dataset], writing.time_us))
            return vault.commit_put(
                writing,
                trusted.keys,
                object_id=body.object,
                size=body.size,
                digest=body.digest,
                records=body.records,
                actor=connection.actor,
            )

        committed, batch = await trusted.writer.run(commit, alone=True)
        self.remove_blobs(committed.removed)
        await self._settled()
        return said.Recorded(sealed_in(batch, committed.index).id, committed.index)

    async def put_abort(self, _connection: Connection, body: said.PutAbort) -> said.Nothing:
        """Forget a put; also when the disk is nearly full, because that gives space back."""
        removed, _batch = await self._trusted.writer.run(
            lambda writing: vault.abort_put(writing, body.object), essential=True
        )
        self.remove_blobs(removed)
        return said.Nothing()

    def remove_blobs(self, storage_keys: tuple[str, ...]) -> int:
        """Remove ciphertext whose key is gone already; returns how much stays, to be swept at the next start."""
        kept = 0
        for key in storage_keys:
            try:
                self._trusted.store.delete(key)
            except FsyncFailed as error:
                stop_process(str(error))
            except OSError as error:
                kept += 1
                log.warning("ciphertext %s is not removed yet: %s", key, error)
        return kept

    # ---- decisions -------------------------------------------------------------------------------------------

    async def decide(self, _connection: Connection, body: said.Decide) -> said.Decided:
        """What would be decided, and why. Asking gives nothing out, so it is not an entry."""
        if body.action not in ACTIONS:
            raise Invalid("action", f"An action is one of {', '.join(ACTIONS)}, not {body.action!r}.")
        trusted = self._trusted
        trusted.door.fresh()
        client = trusted.register.named("client", body.principal)
        now = body.at_us or trusted.clock.recording_time()
        dataset_id, expires = self._resource(body.resource)
        outcome = trusted.decisions.access(
            client.id if client else body.principal,
            dataset_id,
            body.action,
            body.country,
            now,
            purpose=body.purpose,
            object_expires_us=expires,
        )
        return _decided(trusted, outcome)

    def _resource(self, text: str) -> tuple[str, int]:
        """A dataset by name or id, an object by id, or "dataset/file name": dataset id and expiry of the content."""
        trusted = self._trusted
        dataset = trusted.register.named("dataset", text)
        if dataset is not None:
            return dataset.id, 0
        if is_id(text):
            found = trusted.objects.get(text)
            return (found.dataset, found.expires_us) if found else ("", 0)
        name, _, file_name = text.partition("/")
        dataset = trusted.register.named("dataset", name)
        found = trusted.objects.named(dataset.id, file_name) if dataset else None
        return (found.dataset, found.expires_us) if found else ("", 0)

    async def replay(self, _connection: Connection, body: said.Replay) -> said.Decided:
        """Decide again what an entry decided, from what it recorded, under the policies of its day."""
        trusted = self._trusted
        index = trusted.sealer.ids.index(body.entry)
        if index is None or index >= trusted.writer.head.size:
            raise Invalid("unknown-entry", "There is no such entry in this ledger.")
        with trusted.reader.connect() as reading:
            replayed = policy_sets.replay_entry(reading, index)
        return said.Decided(
            "allow" if isinstance(replayed.decision, Allow) else "deny",
            () if isinstance(replayed.decision, Allow) else tuple(replayed.decision.reasons),
            replayed.decision.valid_until_us if isinstance(replayed.decision, Allow) else 0,
            tuple(replayed.decision.policies),
            msgspec.to_builtins(replayed.attributes),
            replayed.policy_hash,
            replayed.sentences,
            replayed.same,
        )

    # ---- the ledger ------------------------------------------------------------------------------------------

    async def locate(self, _connection: Connection, body: said.Locate) -> said.Recorded:
        """The index of an entry by its id; waits until it is published, so that a proof can be made."""
        trusted = self._trusted
        index = trusted.sealer.ids.index(body.entry)
        if index is None or index >= trusted.writer.head.size:
            raise Invalid("unknown-entry", "There is no such entry in this ledger.")
        await asyncio.to_thread(trusted.publishing.wait_for, index + 1, 30.0)
        return said.Recorded(body.entry, index)

    async def exported(self, connection: Connection, body: said.Exported) -> said.Recorded:
        """Payloads are about to leave: recorded first."""
        details = {"size": body.size, "target": str(Path(body.target).name)[:200]}
        return await self._record(Draft(entries.LEDGER_EXPORTED, connection.actor, details=details))


def _standing(writing: Writing, dataset_id: str) -> Dataset:
    """A dataset as it is in this very transaction. Raises `Denied` ("dataset-ended")."""
    dataset = datasets.get(writing.connection, dataset_id)
    if dataset is None:
        raise NotFound("unknown", "The dataset is not in the register.", dataset_id)
    if dataset.ended is not None:
        raise Denied("dataset-ended", f"The dataset {dataset.name!r} has ended; nothing can be put into it.")
    return dataset


def _when(row: EndableRow) -> str:
    return f"{rfc3339(row.ended.at_us)}, {row.ended.reason}" if row.ended else ""


def _decided(trusted: Trusted, outcome: Outcome) -> said.Decided:
    decision = outcome.decision
    allowed = isinstance(decision, Allow)
    return said.Decided(
        "allow" if allowed else "deny",
        () if isinstance(decision, Allow) else tuple(decision.reasons),
        decision.valid_until_us if isinstance(decision, Allow) else 0,
        tuple(decision.policies),
        msgspec.to_builtins(outcome.attributes),
        outcome.policy_hash,
        trusted.decisions.explain(outcome),
    )
