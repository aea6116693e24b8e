"""What is done about cases of recovery: opened by the helpdesk, approved by two, looked at.

None of it answers with a secret, and none is an operator's to do: who opens or approves is a person, at a face, whose
passkey signed for exactly that. Operators look.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection as Reading

from keten.core.db import translated
from keten.core.errors import Conflict, Denied, KetenError, NotFound
from keten.identity import passkeys
from keten.identity.model import Person
from keten.identity.people_model import Signed
from keten.identity.recovery import rules, service
from keten.identity.recovery.model import (
    APPROVERS,
    DAY_US,
    STAFF_SLOTS,
    SUPPLIER_SLOTS,
    Approve,
    Case,
    Refused,
    Slot,
)
from keten.identity.roles import roles_of
from keten.identity.rows import people
from keten.keeper import recovery_protocol as said
from keten.keeper.people_protocol import Done
from keten.keeper.people_verbs import Acting
from keten.keeper.recoveries import Recoveries
from keten.keeper.server import Connection, Verb, waiting_verb
from keten.keeper.trusted import Trusted
from keten.suppliers.reach import reach_of

T = TypeVar("T")
SHOWN_US = 30 * DAY_US
"""So long a case that is over stays in the list."""
_ANSWERS: dict[str, tuple[str, str]] = {
    "another-case": ("recovery-open", "A recovery of this person is under way already."),
    "frozen": ("recovery-frozen", "Recoveries there are frozen for a while: there were too many at once."),
    "burst": ("recovery-frozen", "Recoveries there are frozen for a while: there were too many at once."),
    "channels": ("recovery-channels", "This person has no two addresses that were there for long enough."),
    "no-owner": ("recovery-no-owner", "Nobody owns what this person may reach, so nobody could approve."),
    "not-open": ("recovery-over", "This case is not open any more."),
    "approver-new": ("recovery-new", "Your role or your passkey is too new to approve this."),
}
_ELSE = ("recovery-not-yours", "This is not yours to do: somebody else has to.")


class RecoveryVerbs:
    """The verbs of `RECOVERY_VERBS`."""

    def __init__(self, trusted: Trusted, recoveries: Recoveries) -> None:
        self._trusted = trusted
        self._recoveries = recoveries

    def verbs(self) -> dict[str, Verb]:
        """Verb → what it does, for the socket and for `people.do`."""
        return {
            "recovery.open": waiting_verb(said.OpenRecovery, self.open),
            "recovery.approve": waiting_verb(said.ApproveRecovery, self.approve),
            "recovery.cases": waiting_verb(said.AskRecoveries, self.cases),
        }

    async def open(self, connection: Connection, body: said.OpenRecovery) -> said.RecoveryOpened:
        """The helpdesk opens a case.

        1. A person asks, whose passkey signed for this.
        2. Letters can be sent.
        3. What the person that it is for may reach, and who owns that.
        4. In one transaction: the rules, the case, its entry; or the refusal's.

        Raises `NotFound` ("absent"), `Conflict` ("no-letters", and `_ANSWERS`).
        """
        signed = _signed(connection)  # 1
        if not self._recoveries.has_mail:  # 2
            raise Conflict("no-letters", "Letters cannot be sent: set [mail] first. Without them nobody recovers.")
        trusted = self._trusted
        trusted.door.fresh()
        person = trusted.register.named("person", body.person)  # 3
        if not isinstance(person, Person) or person.ended is not None:
            raise NotFound("absent", "There is no such person.")
        reach = reach_of(trusted.register, person, trusted.clock.now())
        since = self._key_since(signed)
        limits = self._recoveries.limits
        opened, _batch = await trusted.writer.run(  # 4
            lambda writing: service.open_case(writing, person.id, signed.person, since, reach, signed.actor, limits),
            alone=True,
        )
        if isinstance(opened, Refused):
            raise _answer(opened)
        return said.RecoveryOpened(opened.id)

    async def approve(self, connection: Connection, body: said.ApproveRecovery) -> Done:
        """Somebody approves.

        1. A person asks, whose passkey signed for this case, person and action.
        2. In which role: one of its own that did not approve yet.
        3. In one transaction: the rules, the approval, its entry; or the refusal's.

        Raises `NotFound` ("absent"), `Conflict` (`_ANSWERS`).
        """
        signed = _signed(connection)  # 1
        since = self._key_since(signed)
        limits = self._recoveries.limits
        case = self._reading(lambda reading: service.case_of(reading, body.case))
        own = self._trusted.register.person(signed.person)
        if case is None or own is None or case.person != body.person or own.supplier not in ("", case.supplier):
            raise NotFound("absent", "There is no such case.")
        now = self._trusted.clock.recording_time()
        pending = case
        case = self._reading(lambda reading: service.standing(reading, pending, now))
        slot = self._slot(case, signed.person) or _named(case, own)  # 2: the rules refuse it then, and it is recorded
        after, _batch = await self._trusted.writer.run(  # 3
            lambda writing: service.approve(
                writing, body.case, signed.person, slot, since, body.act, signed.actor, limits
            ),
            alone=True,
        )
        if isinstance(after, Refused):
            raise _answer(after)
        return Done()

    async def cases(self, connection: Connection, _body: said.AskRecoveries) -> said.Recoveries:
        """The cases that there are, for whoever asks."""
        asking = connection.person if isinstance(connection, Acting) else ""
        self._trusted.door.fresh()
        return await asyncio.to_thread(self._cases, asking)

    # ---- reading -------------------------------------------------------------------------------------------------

    def _cases(self, asking: str) -> said.Recoveries:
        register = self._trusted.register
        now = self._trusted.clock.recording_time()
        row = register.person(asking) if asking else None
        own = row.supplier if row is not None else ""
        with translated(), self._trusted.reader.connect() as reading:
            found = service.cases_of(reading, supplier=own) if own else service.cases_of(reading)
            found = [service.standing(reading, case, now) if case.state == "open" else case for case in found]
            frozen = service.frozen_until(reading, now)
        lately = [case for case in found if case.pending or now - case.ended_us < SHOWN_US]
        lately.sort(key=lambda case: case.opened_us, reverse=True)
        shown = tuple(self._line(case, asking) for case in lately[: said.MOST_CASES])
        told = tuple(
            said.FreezeLine(self._supplier(supplier)[1], until)
            for supplier, until in sorted(frozen.items())
            if not own or supplier == own
        )
        return said.Recoveries(shown, told, cut=len(lately) > said.MOST_CASES)

    def _line(self, case: Case, asking: str) -> said.RecoveryLine:
        told = set(case.told) >= set(case.noticed)
        approved = tuple(said.ApprovalLine(self._name(one.by), one.slot, one.at_us) for one in case.approvals)
        return said.RecoveryLine(
            id=case.id,
            person=case.person,
            person_name=self._name(case.person),
            supplier=case.supplier,
            supplier_name=self._supplier(case.supplier)[1],
            opened_by=self._name(case.opened_by),
            opened_us=case.opened_us,
            lapses_us=case.lapses_us,
            state=case.state,
            told=len(case.told),
            noticed=len(case.noticed),
            cool_us=case.cool_us,
            ready_us=max(case.told_us, case.opened_us) + case.cool_us if told else 0,
            sent_us=case.sent_us,
            ended_us=case.ended_us,
            reduced_until_us=case.reduced_until_us,
            approvals=approved,
            act=rules.act_digest(case.id, case.person),
            able=(self._slot(case, asking) or "") if asking and case.state == "open" else "",
        )

    def _slot(self, case: Case, person: str) -> Slot | None:
        """In which role somebody may approve, by who it is alone; since when it is that, the rules ask.

        Of several, the one that the fewest others have: whoever comes second needs another.
        """
        if len(case.approvals) >= APPROVERS:
            return None
        now = self._trusted.clock.recording_time()
        who = self._reading(lambda reading: service.who_is(reading, person, 0, now))
        if who is None:
            return None
        act, limits = rules.act_digest(case.id, case.person), self._recoveries.limits
        long_ago = case.opened_us - limits.seasoned_us
        known = type(who)(who.id, who.supplier, who.roles, long_ago)
        able = [
            slot
            for slot in _slots(case)
            if isinstance(rules.step(case, Approve(known, slot, act, frozen=False), case.opened_us, limits), Case)
        ]
        if len(able) < 2:
            return able[0] if able else None
        others = self._reading(lambda reading: people.find(reading, supplier=case.supplier))
        roles = [roles_of(one, now) for one in others if one.ended is None and one.id not in (person, case.person)]
        return min(able, key=lambda slot: sum(slot in held for held in roles))

    def _key_since(self, signed: Signed) -> int:
        passkey = self._reading(lambda reading: passkeys.get(reading, signed.passkey))
        if passkey is None or passkey.person != signed.person:
            raise Denied("not-allowed", "Confirm this with your passkey.")
        return passkey.added_us

    def _name(self, person: str) -> str:
        row = self._trusted.register.person(person)
        return row.name if row is not None else person

    def _supplier(self, supplier: str) -> tuple[str, str]:
        row = self._trusted.register.supplier(supplier) if supplier else None
        return (row.name, row.title) if row is not None else (supplier, supplier)

    def _reading(self, read: Callable[[Reading], T]) -> T:
        with translated(), self._trusted.reader.connect() as reading:
            return read(reading)


def _slots(case: Case) -> tuple[Slot, ...]:
    return SUPPLIER_SLOTS if case.supplier else STAFF_SLOTS


def _named(case: Case, who: Person) -> Slot:
    """The role that somebody who may not approve would have to hold."""
    if not case.supplier:
        return next((slot for slot in STAFF_SLOTS if slot in who.roles), STAFF_SLOTS[0])
    return "contact" if who.supplier else "owner"


def _signed(connection: Connection) -> Signed:
    """A person at a face, whose passkey signed for what is done. Raises `Denied` ("people-only")."""
    if not isinstance(connection, Acting) or connection.signed is None:
        raise Denied("people-only", "People do this, signed in, with their passkeys; not at the command line.")
    return connection.signed


def _answer(refused: Refused) -> KetenError:
    code, public = _ANSWERS.get(refused.reason, _ELSE)
    if refused.reason == "absent":
        return NotFound("absent", "It is not there.")
    return Conflict(code, public, refused.reason)
