"""A case of recovery in the writer's transaction: `rules.step`, which was searched through, decides each step.

Every step is an entry, also one that a rule refuses: then the case stays as it is, and the refusal is the answer. Who
signed an act is verified before (`keeper`); who somebody is and since when is read here, in the transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import msgspec
from sqlalchemy import Connection

from keten.core.ids import is_id, new_id
from keten.identity import passkeys
from keten.identity import recovery_entries as entries
from keten.identity.entries import PERSON_CHANGED, PERSON_CONFIRMED
from keten.identity.person_sessions import PersonSessions
from keten.identity.recovery import rules, tables
from keten.identity.recovery.model import (
    Approval,
    Approve,
    Case,
    Channel,
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
from keten.identity.recovery.rows import ChannelRow, Freeze, Purpose, Secret
from keten.identity.roles import roles_of
from keten.identity.rows import people
from keten.ledger import bound
from keten.ledger.kinds import Kind
from keten.ledger.model import Entry
from keten.ledger.reading import read_indexes
from keten.ledger.writing import Writing

VETOED_BY = "the person said: this is not me"


class Reach(msgspec.Struct, frozen=True):
    """What a person may reach: the classes of it, and who owns it (random ids). Rooms above know."""

    classes: tuple[str, ...]
    owners: tuple[str, ...]


class Recovered(msgspec.Struct, frozen=True):
    """A case that is done, and the passkey (random id) that was made."""

    case: Case
    passkey: str


class Sent(msgspec.Struct, frozen=True):
    """A case whose code goes out: by channel the part that goes over it, said nowhere else."""

    case: Case
    parts: dict[str, str]


# ---- the steps ---------------------------------------------------------------------------------------------------


def open_case(
    writing: Writing, person: str, opener: str, key_since_us: int, reach: Reach, actor: str, limits: Limits
) -> Case | Refused:
    """Somebody of the helpdesk opens a case. A burst of them freezes the recoveries of that supplier, or of the staff.

    key_since_us: since when the opener has the passkey that it signed with.
    """
    connection = writing.connection
    who = who_is(connection, person, 0, writing.time_us)
    by = who_is(connection, opener, key_since_us, writing.time_us)
    if who is None or by is None:
        return _refused(writing, "open", Refused("absent"), actor, person, None)
    there = cases_of(connection, supplier=who.supplier)
    recent = [case for case in there if case.opened_us > writing.time_us - limits.burst_us]
    event = Open(
        case=new_id(),
        opener=by,
        person=who,
        channels=channels_of(connection, person),
        classes=reach.classes,
        owners=reach.owners,
        others=sum(case.pending for case in there if case.person == person),
        recent=len(recent),
        frozen=is_frozen(connection, who.supplier, writing.time_us),
    )
    made = rules.step(None, event, writing.time_us, limits)
    if isinstance(made, Refused):
        if made.reason == "burst":
            freeze = Freeze(
                id=(at := new_id()), name=at, supplier=who.supplier, until_us=writing.time_us + limits.frozen_us
            )
            refs = {"supplier": who.supplier} if who.supplier else {}
            writing.write(tables.freezes, None, freeze, entries.FROZEN, actor, (), refs)
        return _refused(writing, "open", made, actor, person, None)
    writing.write(tables.cases, None, made, entries.OPENED, actor, (person,), made.refs)
    return made


def notice(writing: Writing, case: Case, channel: str, limits: Limits) -> str:
    """The secret with which whoever reads a channel says "this is not me".

    Those of older letters hold as well: this one may never arrive, where somebody has filled the mailbox.
    """
    until = case.lapses_us + limits.code_us + limits.reduced_us
    return _secret(writing, case, channel, "veto", until)


def told(writing: Writing, case_id: str, channel: str, actor: str, limits: Limits) -> Case | Refused:
    """A notice was handed over for this channel."""
    case = case_of(writing.connection, case_id)
    after = rules.step(case, Told(channel), writing.time_us, limits)
    if isinstance(after, Refused) or case is None or after == case:
        return after
    return _changed(writing, case, after, entries.TOLD, actor)


def approve(
    writing: Writing, case_id: str, approver: str, slot: Slot, key_since_us: int, act: str, actor: str, limits: Limits
) -> Case | Refused:
    """Somebody approves in a role. act: what its passkey signed. key_since_us: since when it has that passkey.

    Approvals that do not count any more (`standing`) are dropped.
    """
    case = case_of(writing.connection, case_id)
    case = standing(writing.connection, case, writing.time_us) if case is not None else None
    who = who_is(writing.connection, approver, key_since_us, writing.time_us)
    if case is None or who is None:
        return _refused(writing, "approve", Refused("absent"), actor, "", case)
    frozen = is_frozen(writing.connection, case.supplier, writing.time_us)
    after = rules.step(case, Approve(who, slot, act, frozen), writing.time_us, limits)
    if isinstance(after, Refused):
        return _refused(writing, "approve", after, actor, case.person, case)
    return _changed(writing, case, after, entries.APPROVED, actor)


def send(writing: Writing, case_id: str, actor: str, limits: Limits) -> Sent | Refused:
    """The code goes out, a part of it over each of the case's channels. A refusal is no entry: it is asked again.

    Only while both who approved may still approve (`standing`).
    """
    case = case_of(writing.connection, case_id)
    case = standing(writing.connection, case, writing.time_us) if case is not None else None
    there = channels_of(writing.connection, case.person) if case is not None else ()
    frozen = case is not None and is_frozen(writing.connection, case.supplier, writing.time_us)
    after = rules.step(case, Send(there, frozen), writing.time_us, limits)
    if isinstance(after, Refused) or case is None:
        return after if isinstance(after, Refused) else Refused("absent")
    changed = _changed(writing, case, after, entries.SENT, actor)
    until = changed.sent_us + limits.code_us
    return Sent(changed, {channel: _secret(writing, changed, channel, "part", until) for channel in changed.channels})


def part(writing: Writing, case: Case, channel: str, limits: Limits) -> str:
    """A part of the code once more, for one that may not have gone out; the older one is of no use any more."""
    _spend_former(writing, case, channel)
    return _secret(writing, case, channel, "part", case.sent_us + limits.code_us)


def passed(writing: Writing, case_id: str, channel: str, actor: str) -> Case | Refused:
    """A part of the code was handed over for this channel."""
    case = case_of(writing.connection, case_id)
    if case is None or case.state != "sent" or channel not in case.channels:
        return Refused("not-sent")
    if channel in case.passed:
        return case
    after = msgspec.structs.replace(case, passed=(*case.passed, channel))
    return _changed(writing, case, after, entries.PASSED, actor)


def asked(writing: Writing, case_id: str, person: str, actor: str) -> Case | Refused:
    """Somebody who may approve was told of the case."""
    case = case_of(writing.connection, case_id)
    if case is None or case.state != "open" or person in case.asked:
        return Refused("not-open")
    after = msgspec.structs.replace(case, asked=(*case.asked, person))
    return _changed(writing, case, after, entries.ASKED, actor)


def told_done(writing: Writing, case_id: str, channel: str, actor: str) -> Case | Refused:
    """It was told over this channel that a passkey was made."""
    case = case_of(writing.connection, case_id)
    if case is None or case.state != "done" or channel not in case.noticed:
        return Refused("not-done")
    if channel in case.told_done:
        return case
    after = msgspec.structs.replace(case, told_done=(*case.told_done, channel))
    return _changed(writing, case, after, entries.TOLD, actor)


def shown(connection: Connection, parts: Sequence[str], now_us: int, limits: Limits) -> Case | None:
    """The case whose whole code this is, when it could be used now. Nothing is used up."""
    found = [_find(connection, token, "part", now_us) for token in set(parts)]
    named = {one.case for one in found if one is not None}
    case = case_of(connection, named.pop()) if len(named) == 1 else None
    if case is None or len(found) != len(parts):
        return None
    frozen = is_frozen(connection, case.supplier, now_us)
    event = Use(tuple(one.channel for one in found if one is not None), frozen)
    return case if isinstance(rules.step(case, event, now_us, limits), Case) else None


def use(writing: Writing, parts: Sequence[str], made: passkeys.Made, rp: str, limits: Limits) -> Recovered | Refused:
    """The code is shown, and a passkey made.

    1. The parts are there, of one case, not used and not over.
    2. The person has not ended.
    3. The rules; then the parts are used up and the passkey is added, with the case's entry.
    """
    shown = {token: _find(writing.connection, token, "part", writing.time_us) for token in parts}  # 1
    found = [one for one in shown.values() if one is not None]
    named = {one.case for one in found}
    case = case_of(writing.connection, named.pop()) if len(named) == 1 else None
    if case is None or len(found) != len(shown):
        return Refused("parts")
    person = people.get(writing.connection, case.person)  # 2
    actor = f"person:{case.person}"
    if person is None or person.ended is not None:
        return _refused(writing, "use", Refused("person-ended"), actor, case.person, case)
    event = Use(tuple(one.channel for one in found), is_frozen(writing.connection, case.supplier, writing.time_us))
    after = rules.step(case, event, writing.time_us, limits)  # 3
    if isinstance(after, Refused):
        return _refused(writing, "use", after, actor, case.person, case)
    for one in found:
        _spend(writing, one, case.person)
    passkey, _index = passkeys.add(writing, case.person, made, rp, actor)
    return Recovered(_changed(writing, case, after, entries.DONE, actor), passkey.id)


def stoppable(connection: Connection, token: str, now_us: int) -> bool:
    """Whether this is a secret with which something might be stopped: strangers' guesses need no transaction."""
    return _find(connection, token, "veto", now_us) is not None


def veto(writing: Writing, token: str, limits: Limits) -> Case | Refused:
    """Whoever reads one of the channels says "this is not me".

    What the code of the case has given is taken back: passkeys made since it went out end, with all that the person has
    open. Nobody is told whether there is such a case.
    """
    secret = _find(writing.connection, token, "veto", writing.time_us)
    case = case_of(writing.connection, secret.case) if secret is not None else None
    if secret is None or case is None:
        return Refused("absent")
    actor = f"channel:{secret.channel}"
    # Whoever shows the secret was told, though the keeper may not have heard yet that the letter was taken.
    heard = rules.step(case, Told(secret.channel), writing.time_us, limits)
    known = heard if isinstance(heard, Case) else case
    after = rules.step(known, Veto(secret.channel), writing.time_us, limits)
    if isinstance(after, Refused):
        return _refused(writing, "veto", after, actor, case.person, case)
    _spend(writing, secret, case.person)
    if case.state == "done":
        for passkey in passkeys.of_person(writing.connection, case.person):
            if passkey.added_us >= case.sent_us:
                passkeys.end(writing, passkey, VETOED_BY, actor)
        PersonSessions.remove_of_person(writing, case.person)
    return _changed(writing, case, after, entries.VETOED, actor)


def lapse(writing: Writing, limits: Limits) -> list[Case]:
    """End the cases that took too long; those that ended."""
    ended = []
    for case in _pending(writing.connection):
        after = rules.step(case, Lapse(), writing.time_us, limits)
        if isinstance(after, Case):
            ended.append(_changed(writing, case, after, entries.LAPSED, "keeper"))
    return ended


def abandon(writing: Writing, actor: str) -> list[Case]:
    """End every case that is pending, as if its time were over: nobody knows what was vetoed or used since a backup."""
    ended = []
    for case in _pending(writing.connection):
        after = msgspec.structs.replace(case, state="lapsed", ended_us=writing.time_us)
        ended.append(_changed(writing, case, after, entries.LAPSED, actor))
    return ended


# ---- channels ----------------------------------------------------------------------------------------------------


def add_channel(writing: Writing, person: str, sealed: str, actor: str, *, ended_us: int = 0) -> ChannelRow:
    """A way to reach a person, from now on. sealed: base64 of the address under the person's own key.

    ended_us: of one that is only told of what happens.
    """
    since = writing.time_us
    made = ChannelRow(id=(at := new_id()), name=at, person=person, sealed=sealed, since_us=since, ended_us=ended_us)
    writing.write(tables.channels, None, made, entries.CHANNEL_ADDED, actor, (person,), {"person": person})
    return made


def end_channel(writing: Writing, channel: ChannelRow, actor: str) -> None:
    """It gets no part of a code any more; notices it gets."""
    after = msgspec.structs.replace(channel, ended_us=writing.time_us)
    refs = {"person": channel.person}
    writing.write(tables.channels, channel, after, entries.CHANNEL_ENDED, actor, (channel.person,), refs)


def told_of_change(writing: Writing, channel: ChannelRow, actor: str) -> None:
    """It was told over this channel that the person's addresses changed."""
    after = msgspec.structs.replace(channel, told_us=writing.time_us)
    refs = {"person": channel.person}
    writing.write(tables.channels, channel, after, entries.CHANNEL_TOLD, actor, (channel.person,), refs)


def channel_rows(connection: Connection, person: str) -> list[ChannelRow]:
    """A person's channels, also those that were taken away. Raises `Corrupt` ("register-mismatch")."""
    return bound.find(connection, tables.channels, ChannelRow, person=person)


def channels_of(connection: Connection, person: str) -> tuple[Channel, ...]:
    """As the rules see them."""
    return tuple(one.channel for one in channel_rows(connection, person))


# ---- reading -----------------------------------------------------------------------------------------------------


def case_of(connection: Connection, case_id: str) -> Case | None:
    """A case by its random id."""
    return bound.get(connection, tables.cases, Case, case_id) if is_id(case_id) else None


def standing(connection: Connection, case: Case, now_us: int) -> Case:
    """A case with the approvals that count at a moment: of whoever has not ended, is not suspended, holds the role."""
    kept = tuple(one for one in case.approvals if _counts(connection, case, one, now_us))
    return case if kept == case.approvals else msgspec.structs.replace(case, approvals=kept)


def _counts(connection: Connection, case: Case, one: Approval, now_us: int) -> bool:
    row = people.get(connection, one.by)
    if row is None or row.ended is not None or row.suspended_at(now_us):
        return False
    return rules.holds(case, Who(row.id, row.supplier, roles_of(row, now_us), 0), one.slot)


def frozen_until(connection: Connection, now_us: int) -> dict[str, int]:
    """Where no recovery goes on at this moment ("": for the organisation's own people), and until when."""
    found: dict[str, int] = {}
    for one in bound.find(connection, tables.freezes, Freeze):
        if one.until_us > now_us:
            found[one.supplier] = max(one.until_us, found.get(one.supplier, 0))
    return found


def cases_of(connection: Connection, **equal: str) -> list[Case]:
    """Cases of a `person`, a `supplier` or in a `state`."""
    return bound.find(connection, tables.cases, Case, **equal)


def is_frozen(connection: Connection, supplier: str, now_us: int) -> bool:
    """Whether no recovery goes on there at this moment."""
    return any(one.until_us > now_us for one in bound.find(connection, tables.freezes, Freeze, supplier=supplier))


def who_is(connection: Connection, person: str, key_since_us: int, now_us: int) -> Who | None:
    """Somebody as the register has it, since its row changed last at least; None when it is not there or has ended.

    That its roles were confirmed, or have to be more or less often, changes nothing of it.
    """
    row = people.get(connection, person)
    if row is None or row.ended is not None:
        return None
    return Who(row.id, row.supplier, roles_of(row, now_us), max(_same_since(connection, person), key_since_us))


def _same_since(connection: Connection, person: str) -> int:
    index: int | None = None
    while True:
        index = bound.newest_change(connection, person, PERSON_CONFIRMED.name, index)
        (entry,) = read_indexes(connection, (index,))
        if not _only_how_often(entry):
            return entry.time_us


def _only_how_often(entry: Entry) -> bool:
    """Whether an estate changed nothing of a person but how often, or until when, its roles are confirmed."""
    if entry.kind != PERSON_CHANGED.name or entry.payload is None:
        return False
    before, after = (dict(entry.payload.details.get(word) or {}) for word in ("before", "after"))
    return {**before, "confirm": None} == {**after, "confirm": None}


def _pending(connection: Connection) -> list[Case]:
    return [*cases_of(connection, state="open"), *cases_of(connection, state="sent")]


def _secrets(connection: Connection, case: str) -> list[Secret]:
    return bound.find(connection, tables.secrets, Secret, case=case)


def _find(connection: Connection, token: str, purpose: Purpose, now_us: int) -> Secret | None:
    if not is_id(token):
        return None
    found = bound.find(connection, tables.secrets, Secret, hash=_hash(token))
    return next((one for one in found if one.purpose == purpose and one.usable_at(now_us)), None)


# ---- writing -----------------------------------------------------------------------------------------------------


def _secret(writing: Writing, case: Case, channel: str, purpose: Purpose, until_us: int) -> str:
    token = new_id()
    made = Secret(
        id=new_id(),
        name=purpose,
        case=case.id,
        channel=channel,
        purpose=purpose,
        hash=_hash(token),
        expires_us=until_us,
    )
    writing.write(tables.secrets, None, made, entries.SECRET_MADE, "keeper", (case.person,), case.refs)
    return token


def _spend_former(writing: Writing, case: Case, channel: str) -> None:
    for older in _secrets(writing.connection, case.id):
        if (older.channel, older.purpose) == (channel, "part") and not older.used_us:
            _spend(writing, older, case.person)


def _spend(writing: Writing, secret: Secret, person: str) -> None:
    after = msgspec.structs.replace(secret, used_us=writing.time_us)
    writing.write(tables.secrets, secret, after, entries.SECRET_USED, "keeper", (person,), {"case": secret.case})


def _changed(writing: Writing, before: Case, after: Case, kind: Kind, actor: str) -> Case:
    writing.write(tables.cases, before, after, kind, actor, (after.person,), after.refs)
    return after


def _refused(writing: Writing, step: str, why: Refused, actor: str, person: str, case: Case | None) -> Refused:
    refs = case.refs if case is not None else {}
    writing.record(entries.refused(step, why.reason, actor, case.person if case is not None else person, refs))
    return why


def _hash(token: str) -> str:
    return sha256(token.encode()).hexdigest()
