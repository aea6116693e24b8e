"""What the watch sees, and what it says. Nothing personal, no content: detectors look at conduct alone."""

from __future__ import annotations

from typing import Literal

import msgspec

from keten.core.settings import Response as Response  # noqa: PLC0414  # part of these types
from keten.core.settings import Severity as Severity  # noqa: PLC0414  # as above

What = Literal["sign-in", "list", "describe", "open", "lookup", "delivered", "flow"]
SEVERITIES: tuple[Severity, ...] = ("low", "medium", "high")
Fact = int | float | str
MOST_LINKS = 32
"""Of one supplier and day, in one entry; the smallest ones beyond that are one."""


class Link(msgspec.Struct, frozen=True, gc=False):
    """A way by which something went to a supplier past the door, in one day.

    target: the network or host of the register that it went to, with the port. outside, inside: pseudonyms of the
    networks at both ends. bytes: sent out. flows: how many; unsized: of how many it is not known what they sent.
    """

    target: str
    outside: str = ""
    inside: str = ""
    bytes: int = 0
    flows: int = 0
    unsized: int = 0


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One thing that a principal did, or was refused, as its entry says. Zero values mean "not known".

    index, id, time_us: of the entry (effective time, microseconds since 1970 UTC). allowed: what was decided.
    records: newly charged, distinct within the budget's window. For lookups, of how many keys were `asked`: `missed`
    are not there, `near` lie next to one asked shortly before, `outside` are not in the grant's caseload.
    network: a pseudonym of the caller's network (of its /24 or /48). listed: it is on the organisation's list of bad
    networks. key: fingerprint of the key signed in with. dataset_records: how many the dataset has.
    contract_ends_us: the end of the contract that it happened under. length: bytes that an access may hand over.
    opening: of what was delivered, the id of the entry that opened it. used_day, used_long: how full the principal's
    own budget is after it, in thousandths: its fullest window of an hour or a day, and of a week or a month.

    A "flow" is nobody's conduct: what flow logs say of what went to a supplier on one day (days since 1970 UTC), by
    whatever way; its bytes and count are of all links, and `links` are the largest of them.
    """

    index: int
    id: str
    time_us: int
    what: What
    allowed: bool
    principal: str
    supplier: str = ""
    dataset: str = ""
    grant: str = ""
    contract: str = ""
    purpose: str = ""
    object: str = ""
    reasons: tuple[str, ...] = ()
    records: int = 0
    asked: int = 0
    missed: int = 0
    near: int = 0
    outside: int = 0
    bytes: int = 0
    count: int = 1  # how many alike, where several were counted into one entry
    country: str = ""
    network: str = ""
    listed: bool = False
    channel: str = ""
    key: str = ""
    dataset_records: int = 0
    contract_ends_us: int = 0
    length: int = 0
    opening: str = ""
    day: int = 0
    links: tuple[Link, ...] = ()
    used_day: int = 0
    used_long: int = 0


class Signal(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Something that a detector saw. `detector`: its stable code. What it is about: ids, "" where it is not one's.

    facts: what was seen and what is usual, by names that the detector documents; its explanation is made of them.
    first, last: ids of the first and the last entry that it rests on.
    """

    detector: str
    severity: Severity
    time_us: int
    principal: str = ""
    supplier: str = ""
    dataset: str = ""
    grant: str = ""
    facts: dict[str, Fact] = {}
    first: str = ""
    last: str = ""

    @property
    def topic(self) -> str:
        """What signals that belong together have in common: detector, whom it is about, dataset."""
        return f"{self.detector}/{self.principal or self.supplier}/{self.dataset}"


RESPONSES: tuple[Response, ...] = ("note", "alert", "slow", "step-up", "suspend", "freeze")
"""What is done about a signal, the mildest first."""
STOPPING: frozenset[str] = frozenset({"suspend", "freeze"})
State = Literal["noted", "open", "acknowledged", "closed"]
Verdict = Literal["", "fine", "not-fine"]


class Seen(msgspec.Struct, frozen=True):
    """A signal, and the index of the entry at which it was made."""

    at: int
    signal: Signal


class Raised(msgspec.Struct, frozen=True):
    """What became of signals: ids of alerts that are new, how many fell into others, how many had been raised before.

    taken: responses taken, as (alert, response). held: alerts for which less was done than the ladder asks for.
    """

    new: tuple[str, ...] = ()
    counted: int = 0
    before: int = 0
    taken: tuple[tuple[str, Response], ...] = ()
    held: tuple[str, ...] = ()
