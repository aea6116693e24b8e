"""What operators say about subjects, legal holds, and what takes two people (law 14)."""

from __future__ import annotations

import asyncio
import logging

import msgspec

from keten.core.clock import rfc3339
from keten.core.errors import Conflict, Denied, Invalid, KetenError
from keten.identity.model import Client, Person
from keten.keeper import protocol as said
from keten.keeper import subject_protocol as told
from keten.keeper.destroying import Destroying
from keten.keeper.erasing import Erasing
from keten.keeper.gateway_verbs import GatewayVerbs
from keten.keeper.going_on import GoingOn
from keten.keeper.server import Connection, Verb, waiting_verb
from keten.keeper.steps import Content, Step, is_done, not_done, step
from keten.keeper.trusted import Trusted
from keten.keeper.two_people import TwoPeople, required, who_of
from keten.keeper.writer import sealed_in
from keten.ledger.writing import Writing
from keten.subjects import erasing, holds, requests, signing, tracing
from keten.subjects.erasing import word_of
from keten.subjects.model import Hold, Operator, Request, State, What
from keten.vault import service as vault

log = logging.getLogger(__name__)
PATIENCE_SECONDS = 20.0
"""So long a person at a screen waits for what was signed to be carried out; it goes on all the same."""
_DESTROY = "destroy-"  # before the kind
_SUBJECT = "subject"
_WHEN_RELEASED = "It goes on by itself when the hold is over (keten hold release)."


class SubjectVerbs:
    """The verbs; and what was approved is carried out, one thing at a time."""

    def __init__(self, trusted: Trusted, gateways: GatewayVerbs, content: Content) -> None:
        self._trusted = trusted
        self._destroying = Destroying(trusted, gateways, content)
        self.erasing = Erasing(trusted, gateways, content)
        self._two = TwoPeople(trusted)
        self._going_on = GoingOn()
        self._one = asyncio.Lock()
        self._begun: set[str] = set()  # requests that this process approved: nothing of them was done before
        self._under_way = ""
        self._left: dict[str, str] = {}  # requests that were tried in vain, and why

    def verbs(self) -> dict[str, Verb]:
        """Verb → what it does, for the operator's socket."""
        return {
            "revocation.destroy": waiting_verb(said.Destroy, self.destroy),
            "subjects.trace": waiting_verb(told.Trace, self.trace),
            "subjects.addresses": waiting_verb(told.Addresses, self.addresses),
            "subjects.open": waiting_verb(told.OpenAddresses, self.open),
            "subjects.erase": waiting_verb(told.Erase, self.erase),
            "subjects.requests": waiting_verb(told.Everything, self.requests),
            "subjects.approve": waiting_verb(told.Approve, self.approve),
            "subjects.refuse": waiting_verb(told.Refuse, self.refuse),
            "subjects.hold": waiting_verb(told.SetHold, self.set_hold),
            "subjects.release": waiting_verb(told.ReleaseHold, self.release_hold),
            "subjects.holds": waiting_verb(told.Everything, self.holds),
        }

    # ---- reading ---------------------------------------------------------------------------------------------

    async def trace(self, connection: Connection, body: told.Trace) -> told.Traced:
        """Who a subject is, with what is sealed of it; recorded before it is answered (law 7)."""
        trusted = self._trusted
        trusted.door.fresh()
        row = self._subject(body.subject)
        with trusted.reader.connect() as reading:
            email = tracing.email(reading, trusted.keys, row)
        opened = ["email"] if email else []
        operator = who_of(connection)
        index, batch = await trusted.writer.run(lambda writing: tracing.record(writing, row, opened, operator))
        supplier = trusted.register.supplier(row.supplier) if row.supplier else None
        return told.Traced(
            word_of(row),
            row.id,
            row.name,
            supplier.name if supplier else row.supplier,
            email,
            getattr(row, "keys", ()),
            getattr(row, "roles", ()),
            f"{rfc3339(row.ended.at_us)}: {row.ended.reason}" if row.ended else "",
            bool(row.erased),
            sealed_in(batch, index).id,
        )

    async def addresses(self, connection: Connection, body: told.Addresses) -> told.OpenedAddresses:
        """Where a client called from in some of its accesses; recorded before it is answered (law 7).

        Raises `Denied` ("people-sign") once people sign here, and two of them have not within the hour (law 14).
        """
        trusted = self._trusted
        if len(body.indexes) > tracing.MOST_ADDRESSES:
            raise Invalid("too-many", f"At most {tracing.MOST_ADDRESSES} addresses are opened at once.")
        trusted.door.fresh()
        row = erasing.subject(trusted.register, body.subject)
        operator = who_of(connection)
        with trusted.reader.connect() as reading:
            if not signing.may_read(reading, row.id, trusted.clock.recording_time()):
                public = "Two people sign before addresses are read: keten subject open ID --reason TEXT."
                raise Denied("people-sign", public)
        index, batch = await trusted.writer.run(lambda writing: tracing.record(writing, row, ["addresses"], operator))
        size = trusted.writer.head.size
        wanted = [each for each in body.indexes if 0 <= each < size]
        with trusted.reader.connect() as reading:
            found = tracing.addresses(reading, trusted.keys, row.id, wanted)
        return told.OpenedAddresses(found, sealed_in(batch, index).id)

    def _subject(self, name_or_id: str) -> Person | Client:
        """A person or client by name or id, and by the name that it had before it was erased."""
        try:
            return erasing.subject(self._trusted.register, name_or_id)
        except Invalid:
            with self._trusted.reader.connect() as reading:
                erased = erasing.erased_as(reading, self._trusted.keys, name_or_id)
            if erased is None:
                raise
            return erased

    # ---- what takes two people -------------------------------------------------------------------------------

    async def erase(self, connection: Connection, body: told.Erase) -> told.Outcome:
        """Ask for an erasure; where one person is enough, it is carried out at once."""
        self._trusted.door.fresh()
        row = self._subject(body.subject)
        plan = self._erasure_plan(word_of(row), row.id)
        if body.plan_only or plan.already:
            return told.Outcome(plan, already=plan.already)
        self._require_unheld_subject(row.id)
        return await self._asked(connection, "erase", word_of(row), row.id, (body.reason, body.basis))

    async def open(self, connection: Connection, body: told.OpenAddresses) -> told.Outcome:
        """Ask that a client's addresses may be read for an hour; as long as people do not sign, that needs nobody."""
        self._trusted.door.fresh()
        row = erasing.subject(self._trusted.register, body.subject)
        return await self._asked(connection, "read", word_of(row), row.id, (body.reason, ""))

    async def release_hold(self, connection: Connection, body: told.ReleaseHold) -> told.Outcome:
        """Ask for the release of a hold."""
        with self._trusted.reader.connect() as reading:
            hold = holds.get(reading, body.hold)
        if hold.state != "set":
            raise Conflict("hold-over", "This hold was released already.", hold.id)
        return await self._asked(connection, "release", "hold", hold.id, (body.reason, ""))

    async def destroy(self, connection: Connection, body: said.Destroy) -> said.Destroyed:
        """Destroy content; where people sign, or there are two operators, ask for it, and another one approves."""
        planned = self._destroying.plan(body)
        if body.plan_only:
            return planned
        what: What = f"{_DESTROY}{body.kind}"  # type: ignore[assignment]  # the plan has looked at the kind
        if (connection.person or self._two_needed(what)) and not planned.already:
            outcome = await self._asked(connection, what, body.kind, planned.id, (body.reason, ""))
            if outcome.request is None:
                return planned
            return msgspec.structs.replace(planned, request=outcome.request.id, people=outcome.request.people)
        if connection.person:
            return planned
        async with self._one:
            if not planned.already:
                refs = {body.kind: planned.id}
                await self._trusted.writer.run(
                    lambda writing: signing.note_unsigned(writing, what, refs, connection.actor), alone=True
                )
            steps, entry = await self._destroying.destroy(
                body.kind, planned.id, body.reason, connection.actor, again=planned.already
            )
        return msgspec.structs.replace(planned, steps=steps, entry=entry)

    async def _asked(
        self, connection: Connection, what: What, kind: str, target: str, said_of_it: tuple[str, str]
    ) -> told.Outcome:
        operator, signed = who_of(connection), connection.signed
        reason, basis = said_of_it
        act = self._two.act(what, target, reason, basis)

        def run(writing: Writing) -> Request:
            if connection.person:
                return signing.propose(writing, what, kind, target, required(signed), act, reason, basis)
            return requests.ask(writing, what, kind, target, operator, reason, basis, act)

        request, batch = await self._trusted.writer.run(run, alone=True)
        if connection.person or self._two_needed(what):
            entry = batch.sealed[0].id if batch is not None else ""
            return told.Outcome(self._plan(request), self._info(request), entry=entry, already=batch is None)
        return await self._approved(request.id, operator)

    async def approve(self, connection: Connection, body: told.Approve) -> told.Outcome:
        """Approve a request, and carry it out; or say what that would do. A person signs, and it may take another."""
        with self._trusted.reader.connect() as reading:
            request = requests.get(reading, body.request)
            if not connection.person and not body.plan_only and signing.people_sign(reading):
                raise signing.people_have_to()
        if body.plan_only:
            return told.Outcome(self._plan(request), self._info(request))
        operator = who_of(connection)
        if connection.person:
            requests.require_open(request, self._trusted.clock.recording_time())
        else:
            approvers = self._two.approvers(request.what)
            now = self._trusted.clock.recording_time()
            requests.require_approvable(request, operator, approvers, self._two.named(), now)
        plan = self._plan(request)
        if plan.holds and request.what != "release":
            raise Conflict("held", f"A legal hold keeps it: {plan.holds[0]}.", f"{len(plan.holds)} holds")
        if not connection.person:
            return await self._approved(request.id, operator)
        signed = required(connection.signed)
        request, batch = await self._trusted.writer.run(
            lambda writing: signing.sign(writing, body.request, body.what, body.act, signed), alone=True
        )
        if request.state == "approved":
            begun = await self._going_on.within(PATIENCE_SECONDS, self._begin(request))
            return begun or told.Outcome(plan, self._info(request))
        return told.Outcome(plan, self._info(request), entry=batch.sealed[0].id if batch is not None else "")

    async def _approved(self, request_id: str, operator: Operator) -> told.Outcome:
        """By users of the operating system. Raises `Denied` ("people-sign") once people do."""

        def run(writing: Writing) -> Request:
            request = requests.get(writing.connection, request_id)
            signing.note_unsigned(writing, request.what, request.refs, operator.actor)
            approvers = self._two.approvers(request.what)
            return requests.approve(writing, request_id, operator, approvers, self._two.named())

        request, _batch = await self._trusted.writer.run(run, alone=True)
        return await self._begin(request)

    async def _begin(self, request: Request) -> told.Outcome:
        """Carry out what was approved just now."""
        self._begun.add(request.id)
        plan = self._plan(request)
        steps, entry = await self._carry_out(request)
        with self._trusted.reader.connect() as reading:
            request = requests.get(reading, request.id)
        return told.Outcome(plan, self._info(request), steps, entry)

    async def refuse(self, connection: Connection, body: told.Refuse) -> told.RequestInfo:
        """Refuse a request, or take back one's own."""
        operator = who_of(connection)

        def run(writing: Writing) -> Request:
            if connection.person and requests.get(writing.connection, body.request).what != body.what:
                raise Conflict("act-changed", "This is not what waits there; look at it again.")
            return requests.refuse(writing, body.request, operator, body.reason)

        refused, _batch = await self._trusted.writer.run(run, alone=True)
        return self._info(refused)

    async def requests(self, _connection: Connection, body: told.Everything) -> told.Requests:
        """The requests that wait or are being carried out; or all."""
        states: tuple[State, ...] = ("waiting", "approved")
        states += ("refused", "lapsed", "done") if body.all else ()
        with self._trusted.reader.connect() as reading:
            found = [one for state in states for one in requests.in_state(reading, state)]
        return told.Requests([self._info(one) for one in sorted(found, key=lambda one: one.asked_us)])

    # ---- carrying out ----------------------------------------------------------------------------------------

    async def go_on(self) -> None:
        """Carry on with what was approved and is not done, also before a restart; let lapse what nobody approved."""
        with self._trusted.reader.connect() as reading:
            waiting = requests.in_state(reading, "waiting")
            approved = requests.in_state(reading, "approved")
        now = self._trusted.clock.recording_time()
        if any(one.lapses_us <= now for one in waiting):
            await self._trusted.writer.run(requests.lapse, alone=True)
        for request in approved:
            try:
                await self._carry_out(request)
            except KetenError as error:
                log.warning("request %s waits: %s", request.id, error)

    async def _carry_out(self, request: Request) -> tuple[list[Step], str]:
        """Carry out an approved request; its steps, and the last entry. What is left of it is remembered, to be told.

        A legal hold that was set after the approval is no failure: it waits until that is released.
        """
        async with self._one:
            with self._trusted.reader.connect() as reading:
                request = requests.get(reading, request.id)
            if request.state != "approved":
                return [], ""
            self._under_way = request.id
            try:
                steps, entry = await self._tried(request)
            except KetenError as error:
                self._left[request.id] = error.public
                if error.code != "held":
                    raise
                return [not_done("hold", f"{error.public} {_WHEN_RELEASED}")], ""
            finally:
                self._under_way = ""
            self._left.pop(request.id, None)
            if not entry and not is_done(steps):
                self._left[request.id] = "; ".join(one["detail"] for one in steps if one["outcome"] == "not-done")
            return steps, entry

    async def _tried(self, request: Request) -> tuple[list[Step], str]:
        """As `_carry_out`; what keeps it from being done is raised."""
        if request.what == "erase":
            whole = request.id in self._begun
            self._begun.discard(request.id)
            return await self.erasing.erase(request, self._destroying.copies(), whole=whole)
        if request.what == "release":
            _hold, batch = await self._trusted.writer.run(
                lambda writing: holds.release(writing, request), alone=True
            )
            entry = batch.sealed[0].id if batch is not None else ""
            return [step("hold", "released", done=True)], entry
        actor = request.approver
        if request.what == "read":
            _done, batch = await self._trusted.writer.run(lambda writing: requests.done(writing, request), alone=True)
            entry = batch.sealed[0].id if batch is not None else ""
            return [step("addresses", f"may be read for an hour, entry {entry}", done=True)], entry
        steps, entry = await self._destroying.destroy(
            request.kind, request.target, request.reason, actor, agreed_us=request.decided_us
        )
        if self._destroying.is_done(steps):
            await self._trusted.writer.run(lambda writing: requests.done(writing, request), alone=True)
        return steps, entry

    def _two_needed(self, what: str) -> bool:
        return self._two.approvers(what) > 1

    # ---- holds -----------------------------------------------------------------------------------------------

    async def set_hold(self, connection: Connection, body: told.SetHold) -> told.HoldInfo:
        """Set a hold. One person is enough: it destroys nothing."""
        trusted = self._trusted
        trusted.door.fresh()
        if body.kind == _SUBJECT:
            row = erasing.subject(trusted.register, body.target)
            kind, target = word_of(row), row.id
        elif body.kind not in holds.KINDS:
            raise Invalid("kind", f"A hold is on a subject, dataset or contract; not on {body.kind!r}.")
        else:
            found = trusted.register.named(body.kind, body.target)
            if found is None:
                raise Invalid("unknown-name", f"There is no {body.kind} {body.target!r} in the register.")
            kind, target = body.kind, found.id
        operator = who_of(connection)
        hold, _batch = await trusted.writer.run(
            lambda writing: holds.put(writing, kind, target, operator, body.reason, body.until_us), alone=True
        )
        return self._hold_info(hold)

    async def holds(self, _connection: Connection, _body: told.Everything) -> told.Holds:
        """The holds that nobody has released."""
        with self._trusted.reader.connect() as reading:
            found = holds.standing(reading)
        return told.Holds([self._hold_info(one) for one in found])

    def require_unheld(self, dataset: str) -> None:
        """Raises `Conflict` ("held") while content of a dataset must be kept."""
        with self._trusted.reader.connect() as reading:
            holds.require_none(holds.on_datasets(reading, [dataset], self._trusted.clock.recording_time()))

    def _require_unheld_subject(self, subject: str) -> None:
        with self._trusted.reader.connect() as reading:
            erasing.require_free(reading, subject, self._trusted.clock.recording_time())

    # ---- telling ---------------------------------------------------------------------------------------------

    def _erasure_plan(self, kind: str, subject: str) -> told.Plan:
        with self._trusted.reader.connect() as reading:
            row = erasing.find_row(reading, kind, subject)
            plan = erasing.plan(reading, row, self._destroying.copies(), self._trusted.clock.recording_time())
        unreached = [*plan.unreached, *self.erasing.copies.foreseen()]
        return msgspec.convert(msgspec.to_builtins(plan) | {"unreached": unreached}, told.Plan)

    def _plan(self, request: Request) -> told.Plan:
        """What carrying out a request does, as things are now."""
        if request.what == "erase":
            return self._erasure_plan(request.kind, request.target)
        name = self._name(request.kind, request.target)
        if request.what == "read":
            return told.Plan(request.kind, request.target, name, erased=[told.Line("addresses", 1, "may be read")])
        with self._trusted.reader.connect() as reading:
            if request.what == "release":
                line = told.Line("hold", 1, holds.told(holds.get(reading, request.target)))
                return told.Plan(request.kind, request.target, name, erased=[line])
            now = self._trusted.clock.recording_time()
            against = self._destroying.holds_against(reading, request.kind, request.target, now)
            lines, kept = self._destroying.lines(reading, request.kind, request.target, now)
        return told.Plan(
            request.kind,
            request.target,
            name,
            erased=[told.Line(what, count, "key and content") for what, count in lines],
            kept=[told.Line("kept", 1, why) for why in kept],
            unreached=[f"db/{one} may hold the key" for one in self._destroying.copies()],
            holds=[holds.told(one) for one in against],
        )

    def _name(self, kind: str, target: str) -> str:
        """What the organisation calls it; its id when there is no name."""
        if kind == "object":
            with self._trusted.reader.connect() as reading:
                found = vault.object(reading, target)
            return found.name if found else target
        if kind == "hold":
            return target
        row = self._trusted.register.named(kind, target)
        return row.name if row else target

    def _info(self, request: Request) -> told.RequestInfo:
        self._trusted.door.fresh()
        try:
            name = self._name(request.kind, request.target)
        except KetenError:  # its row does not match the ledger: shown by its id
            name = request.target
        return told.RequestInfo(
            request.id,
            request.what,
            request.kind,
            request.target,
            name,
            request.reason,
            request.basis,
            self._two.name(request.asked_by),
            rfc3339(request.asked_us),
            rfc3339(request.lapses_us),
            request.state,
            self._two.approvers(request.what) if request.state == "waiting" else request.approvers,
            self._two.name(request.decided_by),
            rfc3339(request.decided_us) if request.decided_us else "",
            request.remark,
            self._waits(request),
            request.act,
            self._two.signers(request),
            self._two.missing(request),
        )

    def _waits(self, request: Request) -> str:
        """Why an approved request is not done; a hold first, for nothing is tried as long as there is one."""
        if request.state != "approved":
            return ""
        if request.id == self._under_way:
            return f"it is being carried out: {self._trusted.writer.doing or 'under way'}"
        found, part, now = [], "", self._trusted.clock.recording_time()
        with self._trusted.reader.connect() as reading:
            if request.what == "erase":
                found = holds.on_subject(reading, request.target, now)
                if erasing.is_begun(reading, request):
                    part = " Its key and row are gone already; payloads that are left stay."
            elif request.what not in ("release", "read"):
                found = self._destroying.holds_against(reading, request.kind, request.target, now)
        if found:
            return f"a legal hold was set after the approval: {holds.told(found[0])}.{part} {_WHEN_RELEASED}"
        left = self._left.get(request.id)
        return f"{left}; the keeper tries again every half minute" if left else "the keeper begins within half a minute"

    def _hold_info(self, hold: Hold) -> told.HoldInfo:
        self._trusted.door.fresh()
        try:
            name = self._name(hold.kind, hold.target)
        except KetenError:
            name = hold.target
        return told.HoldInfo(
            hold.id,
            hold.kind,
            hold.target,
            name,
            hold.reason,
            hold.set_by,
            rfc3339(hold.set_us),
            rfc3339(hold.until_us) if hold.until_us else "",
            hold.holds_at(self._trusted.clock.recording_time()),
        )


