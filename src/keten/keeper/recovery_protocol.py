"""What is said about recoveries. No answer here holds a secret: codes and links go by letter alone.

Faces say `RECOVERY_FACE_VERBS` for whoever it is. What staff and contacts do goes by `people.do`, with
`RECOVERY_VERBS`, which are operators' verbs too: operators look, and nothing else.
"""

from __future__ import annotations

import msgspec

from keten.keeper.people_protocol import Done, Enrolment, Finished, SessionOpened


class RecoverBegin(msgspec.Struct, frozen=True):
    """Somebody typed in the parts of a code. Answer: `Enrolment`, which uses nothing up."""

    parts: tuple[str, ...]
    address: str
    browser: str


class StopRecovery(msgspec.Struct, frozen=True):
    """Somebody who reads one of the person's mailboxes says "this is not me". token: of the letter's link."""

    token: str
    address: str


class OpenRecovery(msgspec.Struct, frozen=True):
    """Somebody of the helpdesk opens a case for a person, by name or id. Answer: `RecoveryOpened`."""

    person: str


class RecoveryOpened(msgspec.Struct, frozen=True):
    """The case, by its random id."""

    case: str


class ApproveRecovery(msgspec.Struct, frozen=True):
    """Somebody approves. act: SHA-256 (hex) of case, person and action (`recovery.rules.act_digest`)."""

    case: str
    person: str
    act: str


class AskRecoveries(msgspec.Struct, frozen=True):
    """Cases that are pending or ended lately: of one's own supplier at the portal, else all. Answer: `Recoveries`."""


class ApprovalLine(msgspec.Struct, frozen=True):
    """Who approved, in which role, when."""

    by: str
    slot: str
    at_us: int


class RecoveryLine(msgspec.Struct, frozen=True):
    """A case as faces show it. Names are the organisation's; times in microseconds, 0: not yet.

    told, noticed: over how many channels a notice went, and is to go. cool_us: how long after the last notice the code
    waits; ready_us: until when, once all went. act: what an approver signs. able: the slot in which whoever asks may
    approve, "" where it may not.
    """

    id: str
    person: str
    person_name: str
    supplier: str
    supplier_name: str
    opened_by: str
    opened_us: int
    lapses_us: int
    state: str
    told: int
    noticed: int
    cool_us: int
    ready_us: int
    sent_us: int
    ended_us: int
    reduced_until_us: int
    approvals: tuple[ApprovalLine, ...]
    act: str
    able: str


class FreezeLine(msgspec.Struct, frozen=True):
    """Where no recovery goes on, and until when. supplier: its name, "" for the organisation's own people."""

    supplier: str
    until_us: int


class Recoveries(msgspec.Struct, frozen=True):
    """Newest first, at most `MOST_CASES`."""

    cases: tuple[RecoveryLine, ...]
    frozen: tuple[FreezeLine, ...] = ()
    cut: bool = False


MOST_CASES = 500

RECOVERY_FACE_VERBS: dict[str, tuple[type, type]] = {
    "people.recover_begin": (RecoverBegin, Enrolment),
    "people.recover": (Finished, SessionOpened),
    "people.stop_recovery": (StopRecovery, Done),
}
RECOVERY_VERBS: dict[str, tuple[type, type]] = {
    "recovery.open": (OpenRecovery, RecoveryOpened),
    "recovery.approve": (ApproveRecovery, Done),
    "recovery.cases": (AskRecoveries, Recoveries),
}
