"""What the portal asks of the keeper for a person of a supplier, beside what clients may ask as well."""

from __future__ import annotations

import msgspec

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

    sent: bytes that were delivered; -1: the entry is not about that. outcome: allow, deny or "".
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


class OwnLogPage(msgspec.Struct, frozen=True):
    """A page, with the entry that says that it was read. next: `before` of the page after it; -1: there is none."""

    entry: str
    index: int
    lines: tuple[OwnLogLine, ...]
    next: int = -1
    whole: bool = False


PORTAL_VERBS: dict[str, tuple[type, type]] = {"portal.log": (AskOwnLog, OwnLogPage)}
