"""A case of recovery, who takes part in it, and what may happen to it.

Times are microseconds since 1970 UTC. Ids are random ids of the register. Nothing here holds a secret or an address.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from keten.ledger.bound import BoundRow

State = Literal["open", "sent", "done", "vetoed", "lapsed"]
Slot = Literal["contact", "owner", "administrator", "security-officer", "privacy-officer"]

HOUR_US = 3600 * 1_000_000
DAY_US = 24 * HOUR_US
SUPPLIER_SLOTS: tuple[Slot, ...] = ("contact", "owner")
"""Who approves for somebody of a supplier: both."""
STAFF_SLOTS: tuple[Slot, ...] = ("administrator", "security-officer", "privacy-officer")
"""Who approves for somebody of the organisation: two of these."""
APPROVERS = 2
PARTS = 2
"""Over so many channels the one-time code goes, a part over each: whoever holds one channel has nothing
(NIST 800-63B-4, section 4.2: two codes where nothing else is bound)."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How long and how many. The defaults are the design's.

    seasoned_us: a channel, and an approver's role and key, must have been there unchanged for so long before the case.
    cool_us: the cool-down, by the highest class of what the person may reach. code_us: how long the code can be used
    (24 h by mail: NIST 800-63B-4, section 4.2). lapse_us: how long a case may take. reduced_us: how long rights are
    reduced afterwards. burst, burst_us: so many cases of one supplier in that time freeze its recoveries for frozen_us.
    """

    seasoned_us: int = 30 * DAY_US
    cool_us: tuple[tuple[str, int], ...] = (
        ("public", 24 * HOUR_US),
        ("internal", 24 * HOUR_US),
        ("confidential", 48 * HOUR_US),
        ("secret", 72 * HOUR_US),
    )
    code_us: int = 24 * HOUR_US
    lapse_us: int = 14 * DAY_US
    reduced_us: int = 72 * HOUR_US
    burst: int = 3
    burst_us: int = 24 * HOUR_US
    frozen_us: int = 72 * HOUR_US

    def cooling(self, classes: tuple[str, ...]) -> int:
        """The longest cool-down of these classes; the longest there is for a class that is not known."""
        known = dict(self.cool_us)
        longest = max(known.values())
        return max((known.get(each, longest) for each in classes), default=min(known.values()))


class Channel(msgspec.Struct, frozen=True):
    """A way to reach a person, by its id alone. since_us: unchanged since. ended_us: 0, or when it was taken away.

    One that was taken away gets no part of a code, but the notices: whoever changes a channel can't silence it.
    """

    id: str
    since_us: int
    ended_us: int = 0


class Who(msgspec.Struct, frozen=True):
    """Somebody who acts, as the register has it. supplier: "" for staff. since_us: its roles and its key, at least."""

    id: str
    supplier: str
    roles: tuple[str, ...]
    since_us: int


class Approval(msgspec.Struct, frozen=True):
    """One signature under a case. act: SHA-256 (hex) of what was signed (`rules.act_digest`)."""

    by: str
    slot: Slot
    act: str
    at_us: int


class Case(BoundRow, frozen=True, kw_only=True):
    """One recovery of one person. `name` is the id.

    owners: who owns what the person may reach, when it was opened. channels: of the code. noticed: of the notices, when
    it was opened. told: those over which a notice went. told_us: when the last did. cool_us: how long after that
    nothing is sent. sent_us: when the code went. passed: the channels of the code over which its part went.
    ended_us: when it was done, vetoed or lapsed. told_done: over which it was told that it was done. asked: who may
    approve and was told of it.
    """

    person: str
    supplier: str
    opened_by: str
    opened_us: int
    lapses_us: int
    cool_us: int
    channels: tuple[str, ...]
    noticed: tuple[str, ...]
    owners: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    told_us: int = 0
    approvals: tuple[Approval, ...] = ()
    state: State = "open"
    sent_us: int = 0
    ended_us: int = 0
    reduced_until_us: int = 0
    passed: tuple[str, ...] = ()
    told_done: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()

    @property
    def pending(self) -> bool:
        """Whether it may still end with a new key."""
        return self.state in ("open", "sent")

    @property
    def refs(self) -> dict[str, str]:
        """What entries about it concern."""
        return {"person": self.person, "case": self.id} | ({"supplier": self.supplier} if self.supplier else {})


class Refused(msgspec.Struct, frozen=True):
    """The step may not be done: the case stays as it is. reason: a stable code, the name of the rule."""

    reason: str


# ---- what may happen to a case -------------------------------------------------------------------------------


class Open(msgspec.Struct, frozen=True):
    """Somebody of the helpdesk opens a case for a person.

    case: the new random id. channels: of the person, also those that were taken away lately. classes: of what the
    person may reach. owners: of that. others: how many cases of the person are pending. recent: how many cases of its
    supplier (or of the staff) were opened within `burst_us`. frozen: recoveries there are frozen.
    """

    case: str
    opener: Who
    person: Who
    channels: tuple[Channel, ...]
    classes: tuple[str, ...]
    owners: tuple[str, ...]
    others: int
    recent: int
    frozen: bool


class Told(msgspec.Struct, frozen=True):
    """A notice was handed over for this channel."""

    channel: str


class Approve(msgspec.Struct, frozen=True):
    """Somebody approves in a role. act: what its passkey signed; that it did is verified before."""

    approver: Who
    slot: Slot
    act: str
    frozen: bool


class Send(msgspec.Struct, frozen=True):
    """The code is to go out. channels: of the person as they are now."""

    channels: tuple[Channel, ...]
    frozen: bool


class Use(msgspec.Struct, frozen=True):
    """The code was shown, and a passkey made. parts: of which channels' parts it was made of."""

    parts: tuple[str, ...]
    frozen: bool


class Veto(msgspec.Struct, frozen=True):
    """Somebody says "this is not me". channel: over which its notice had come."""

    channel: str


class Lapse(msgspec.Struct, frozen=True):
    """Time is over."""


Event = Open | Told | Approve | Send | Use | Veto | Lapse
