"""The rules of recovery: what may happen to a case, and when. Pure; who signed what is verified before.

Each thing that may happen has a table of rules, in the order in which they are asked; the first that does not hold
refuses the step by its name. `tests/unit/identity/test_recovery_search.py` tries all orders of steps against these
tables, and once more with each rule taken out.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import TypeVar

import msgspec

from keten.identity.recovery.model import (
    APPROVERS,
    PARTS,
    STAFF_SLOTS,
    SUPPLIER_SLOTS,
    Approval,
    Approve,
    Case,
    Channel,
    Event,
    Lapse,
    Limits,
    Open,
    Refused,
    Send,
    Slot,
    Told,
    Use,
    Veto,
    Who,
)
from keten.identity.roles import may

ACTION = "enrol-passkey"
"""The only thing that is ever approved."""
_LABEL = b"keten-recovery-1"
E = TypeVar("E")
Rule = Callable[[Case, E, int, Limits], bool]
Table = tuple[tuple[str, Rule[E]], ...]


def act_digest(case: str, person: str, action: str = ACTION) -> str:
    """What an approver's passkey signs: SHA-256 (hex) of case, person and action, each with its length before it."""
    said = b"".join(len(part).to_bytes(4, "big") + part for part in (_LABEL, *map(str.encode, (case, person, action))))
    return sha256(said).hexdigest()


def seasoned(channels: tuple[Channel, ...], now_us: int, limits: Limits) -> tuple[str, ...]:
    """The channels over which a code may go at a moment: there, and unchanged for long enough."""
    oldest = now_us - limits.seasoned_us
    return tuple(one.id for one in channels if not one.ended_us and one.since_us <= oldest)


def _seasoned_now(_case: Case, event: Open, now_us: int, limits: Limits) -> bool:
    return len(seasoned(event.channels, now_us, limits)) >= PARTS


def _approvable(case: Case, event: Open, _now_us: int, _limits: Limits) -> bool:
    return not case.supplier or bool(event.owners)


OPENING: Table[Open] = (
    # 1. Staff that holds the act, and nobody else, opens a case; a caller only asks for one.
    ("opener-role", lambda _c, e, _n, _l: not e.opener.supplier and may(e.opener.roles, "open-recovery")),
    # 2. Not for oneself.
    ("opener-is-person", lambda _c, e, _n, _l: e.opener.id != e.person.id),
    # 3. One case of a person at a time.
    ("another-case", lambda _c, e, _n, _l: e.others == 0),
    # 4. Not where recoveries are frozen, and not as one of a burst.
    ("frozen", lambda _c, e, _n, _l: not e.frozen),
    ("burst", lambda _c, e, _n, limits: e.recent + 1 < limits.burst),
    # 5. The person has channels enough that were there long before; else it is entered anew, with everything proven.
    ("channels", _seasoned_now),
    # 6. Somebody owns what the person may reach.
    ("no-owner", _approvable),
)


def _holds(case: Case, event: Approve, _now_us: int, _limits: Limits) -> bool:
    """That the approver holds the role it approves in, at the right side."""
    who, slot = event.approver, event.slot
    if not case.supplier:
        return slot in STAFF_SLOTS and not who.supplier and slot in who.roles
    if slot == "contact":
        return who.supplier == case.supplier and may(who.roles, "portal-approve-recovery")
    return slot == "owner" and not who.supplier and who.id in case.owners and may(who.roles, "approve-recovery")


def _distinct(case: Case, event: Approve, _now_us: int, _limits: Limits) -> bool:
    return all(one.by != event.approver.id for one in case.approvals)


def _other_slot(case: Case, event: Approve, _now_us: int, _limits: Limits) -> bool:
    return all(one.slot != event.slot for one in case.approvals)


APPROVING: Table[Approve] = (
    # 1. The case waits for it, in time, and recoveries are not frozen.
    ("not-open", lambda case, _e, now, _l: case.state == "open" and now < case.lapses_us),
    ("frozen", lambda _c, e, _n, _l: not e.frozen),
    # 2. What was signed is this case, this person and this action.
    ("act", lambda case, e, _n, _l: e.act == act_digest(case.id, case.person)),
    # 3. The approver holds the role in which it approves.
    ("approver-role", _holds),
    # 4. And held it, with its key, long before the case.
    ("approver-new", lambda case, e, _n, limits: e.approver.since_us <= case.opened_us - limits.seasoned_us),
    # 5. It is neither who opened the case, nor the person itself, nor who approved before.
    ("approver-opened", lambda case, e, _n, _l: e.approver.id != case.opened_by),
    ("approver-is-person", lambda case, e, _n, _l: e.approver.id != case.person),
    ("approver-again", _distinct),
    # 6. Two different roles.
    ("role-again", _other_slot),
)


def _unchanged(case: Case, event: Send, _now_us: int, _limits: Limits) -> bool:
    """That the channels of the code are what they were when the case was opened."""
    there = {one.id for one in event.channels if not one.ended_us and one.since_us < case.opened_us}
    return there.issuperset(case.channels)


SENDING: Table[Send] = (
    # 1. The case is open, in time, and recoveries are not frozen.
    ("not-open", lambda case, _e, now, _l: case.state == "open" and now < case.lapses_us),
    ("frozen", lambda _c, e, _n, _l: not e.frozen),
    # 2. Two have approved.
    ("approvals", lambda case, _e, _n, _l: len(case.approvals) >= APPROVERS),
    # 3. A notice went over every channel.
    ("notices", lambda case, _e, _n, _l: set(case.told) >= set(case.noticed)),
    # 4. The cool-down since the last of them is over.
    ("cool-down", lambda case, _e, now, _l: now >= max(case.told_us, case.opened_us) + case.cool_us),
    # 5. No channel of the code changed meanwhile.
    ("channel-changed", _unchanged),
)
USING: Table[Use] = (
    # 1. The code was sent, and its time is not over.
    ("not-sent", lambda case, _e, _n, _l: case.state == "sent"),
    ("code-over", lambda case, _e, now, limits: now < case.sent_us + limits.code_us),
    # 2. Recoveries are not frozen: a burst stops what is pending, also where the code is out.
    ("frozen", lambda _c, e, _n, _l: not e.frozen),
    # 3. All its parts are there.
    ("parts", lambda case, e, _n, _l: set(e.parts) >= set(case.channels)),
)


def step(case: Case | None, event: Event, now_us: int, limits: Limits) -> Case | Refused:
    """The case after an event at a moment, or why it stays as it was.

    1. Only opening makes a case; it opens nothing else.
    2. The rules of what happens all hold.
    3. A notice said to be wrong ends the case for good, also for a while after it was done.
    4. What took too long is over.
    """
    if isinstance(event, Open):  # 1
        return Refused("exists") if case is not None else _opened(event, now_us, limits)
    if case is None:
        return Refused("absent")
    if isinstance(event, Told):
        return _told(case, event, now_us)
    if isinstance(event, Approve):  # 2
        made = Approval(event.approver.id, event.slot, event.act, now_us)
        after = msgspec.structs.replace(case, approvals=(*case.approvals, made))
        return _asked(APPROVING, case, event, now_us, limits) or after
    if isinstance(event, Send):
        after = msgspec.structs.replace(case, state="sent", sent_us=now_us)
        return _asked(SENDING, case, event, now_us, limits) or after
    if isinstance(event, Use):
        reduced = now_us + limits.reduced_us
        after = msgspec.structs.replace(case, state="done", ended_us=now_us, reduced_until_us=reduced)
        return _asked(USING, case, event, now_us, limits) or after
    if isinstance(event, Veto):  # 3
        return _vetoed(case, event, now_us)
    return _lapsed(case, event, now_us, limits)  # 4


def is_over(case: Case, now_us: int, limits: Limits) -> bool:
    """Whether a case took too long: nobody finished it, or nobody used its code."""
    if case.state == "sent":
        return now_us >= case.sent_us + limits.code_us
    return case.state == "open" and now_us >= case.lapses_us


def approver(who: Who, case: Case) -> bool:
    """Whether somebody may be asked to approve: by who it is alone, not by when."""
    slots = STAFF_SLOTS if not case.supplier else SUPPLIER_SLOTS
    kept = who.id not in (case.person, case.opened_by)
    return kept and any(holds(case, who, slot) for slot in slots)


def holds(case: Case, who: Who, slot: Slot) -> bool:
    """Whether somebody holds the role in which it approves, or approved."""
    return _holds(case, Approve(who, slot, "", frozen=False), 0, Limits())


def _asked(table: Table[E], case: Case, event: E, now_us: int, limits: Limits) -> Refused | None:
    for name, holds in table:
        if not holds(case, event, now_us, limits):
            return Refused(name)
    return None


def _opened(event: Open, now_us: int, limits: Limits) -> Case | Refused:
    case = Case(
        id=event.case,
        name=event.case,
        person=event.person.id,
        supplier=event.person.supplier,
        opened_by=event.opener.id,
        opened_us=now_us,
        lapses_us=now_us + limits.lapse_us,
        cool_us=limits.cooling(event.classes),
        channels=seasoned(event.channels, now_us, limits)[:PARTS],
        noticed=tuple(one.id for one in event.channels),
        owners=event.owners,
    )
    return _asked(OPENING, case, event, now_us, limits) or case


def _told(case: Case, event: Told, now_us: int) -> Case | Refused:
    if not case.pending or event.channel not in case.noticed:
        return Refused("not-open")
    if event.channel in case.told:
        return case
    return msgspec.structs.replace(case, told=(*case.told, event.channel), told_us=now_us)


def _vetoed(case: Case, event: Veto, now_us: int) -> Case | Refused:
    if event.channel not in case.told:
        return Refused("not-told")
    if case.state == "done" and now_us < case.reduced_until_us:
        return msgspec.structs.replace(case, state="vetoed", ended_us=now_us)
    if not case.pending:
        return Refused("not-open")
    return msgspec.structs.replace(case, state="vetoed", ended_us=now_us)


def _lapsed(case: Case, _event: Lapse, now_us: int, limits: Limits) -> Case | Refused:
    if not is_over(case, now_us, limits):
        return Refused("not-over")
    return msgspec.structs.replace(case, state="lapsed", ended_us=now_us)
