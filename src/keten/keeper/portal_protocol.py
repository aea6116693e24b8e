"""What the portal asks of the keeper for a person of a supplier, beside what clients may ask as well."""

from __future__ import annotations

import msgspec

from keten.keeper.budget_protocol import BudgetLine
from keten.keeper.caller import Caller


class AskOwnLog(msgspec.Struct, frozen=True):
    """A page of what is recorded about the caller's accesses, newest first; a contact's: about its whole supplier's.

    before: only entries before this index; -1: from the newest on. limit: at most so many; 0, or more than there may
    be: that most.
    """

    caller: Caller
    before: int = -1
    limit: int = 0


class OwnLogLine(msgspec.Struct, frozen=True):
    """One entry. who: the name of the client or person; label: the share's; name: the object's; "" where not known.

    sent: bytes that were delivered; -1: the entry is not about that, or it is not known. outcome: allow, deny or "".
    end: how an access ended (`Delivered`), "unknown" where a process was killed, "" elsewhere.
    """

    entry: str
    index: int
    time_us: int
    kind: str
    who: str
    label: str
    name: str
    outcome: str
    reasons: tuple[str, ...]
    sent: int = -1
    end: str = ""


class OwnLogPage(msgspec.Struct, frozen=True):
    """A page, with the entry that says that it was read. next: `before` of the page after it; -1: there is none."""

    entry: str
    index: int
    lines: tuple[OwnLogLine, ...]
    next: int = -1
    whole: bool = False


class AskStanding(msgspec.Struct, frozen=True):
    """How it stands with everything that was granted to the caller, also with what is over. Answer: `Standing`."""

    caller: Caller


class StandingLine(msgspec.Struct, frozen=True):
    """One grant. state: "open", "waiting" (its contract has not begun), "closed". reasons: why it is not open.

    since_us: when the contract begins, or since when grant or contract is over; until_us: of what is open, else when
    the contract ends. 0: not known. countries: from which it may be fetched; none: from everywhere. budget: what is
    left for the caller, by window; none: there is no limit.
    """

    id: str
    label: str
    form: str
    purpose: str
    state: str
    reasons: tuple[str, ...] = ()
    since_us: int = 0
    until_us: int = 0
    countries: tuple[str, ...] = ()
    budget: tuple[BudgetLine, ...] = ()


class Standing(msgspec.Struct, frozen=True):
    """What was recorded and told: the open first, by label. valid_for_us: how long nothing ends by itself."""

    entry: str
    index: int
    lines: tuple[StandingLine, ...]
    country: str
    valid_for_us: int


class AskColleagues(msgspec.Struct, frozen=True):
    """A contact asks who its supplier's people are. Answer: `Colleagues`."""

    caller: Caller


class Colleague(msgspec.Struct, frozen=True):
    """A person of the supplier. keys: how many passkeys. used_us: when one of them was last used, 0 for never.

    link_until_us: of its unused one-time link, 0 without one. ended_us: since when it has no access, 0 while it has.
    """

    id: str
    name: str
    roles: tuple[str, ...]
    keys: int
    used_us: int
    link_until_us: int = 0
    ended_us: int = 0


class Colleagues(msgspec.Struct, frozen=True):
    """What was recorded and told, by name. cut: there are more than are told."""

    entry: str
    index: int
    people: tuple[Colleague, ...]
    cut: bool = False


PORTAL_VERBS: dict[str, tuple[type, type]] = {
    "portal.log": (AskOwnLog, OwnLogPage),
    "portal.standing": (AskStanding, Standing),
    "portal.people": (AskColleagues, Colleagues),
}
