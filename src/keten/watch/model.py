"""What the watch sees, and what it says. Nothing personal, no content: detectors look at conduct alone."""

from __future__ import annotations

from typing import Literal

import msgspec

from keten.core.clock import rfc3339
from keten.core.settings import Response as Response  # noqa: PLC0414  # part of these types
from keten.core.settings import Severity as Severity  # noqa: PLC0414  # as above
from keten.ledger.bound import BoundRow

What = Literal["sign-in", "list", "describe", "open", "lookup", "delivered"]
SEVERITIES: tuple[Severity, ...] = ("low", "medium", "high")
Fact = int | float | str


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One thing that a principal did, or was refused, as its entry says. Zero values mean "not known".

    index, id, time_us: of the entry (effective time, microseconds since 1970 UTC). allowed: what was decided.
    records: newly charged, distinct within the budget's window. For lookups, of how many keys were `asked`: `missed`
    are not there, `near` lie next to one asked shortly before, `outside` are not in the grant's caseload.
    network: a pseudonym of the caller's network (of its /24 or /48). listed: it is on the organisation's list of bad
    networks. key: fingerprint of the key signed in with. dataset_records: how many the dataset has.
    contract_ends_us: the end of the contract that it happened under.
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


RESPONSES: tuple[Response, ...] = ("note", "alert", "slow", "step-up", "suspend", "freeze")
"""What is done about a signal, the mildest first."""
STOPPING: frozenset[str] = frozenset({"suspend", "freeze"})
State = Literal["noted", "open", "acknowledged", "closed"]
Verdict = Literal["", "fine", "not-fine"]


class Alert(BoundRow, frozen=True, kw_only=True):
    """Signals of one detector about one principal and dataset, within one window. `name` is the id.

    topic: the same for signals that belong together. who: what the principal is. owner: the id of the person who owns
    the dataset, "" for the organisation. facts, first, last, key: as of the newest signal; count: how many when this
    row was last written. wanted, response: what the ladder asks for, and what was done; held: why that is less, else
    "". until_us: until when it lasts; lifted_us: when somebody ended it before. stopped, stopped_us: how many
    principals the watch stopped by itself, and when. tried_us: when the ladder was last followed. note, by: what was
    said about it at last, by whom. quiet_us: until when the same is fine.
    """

    topic: str
    detector: str
    severity: Severity
    principal: str = ""
    who: Literal["client", "person"] = "client"
    supplier: str = ""
    dataset: str = ""
    grant: str = ""
    owner: str = ""
    state: State = "open"
    verdict: Verdict = ""
    facts: dict[str, Fact] = msgspec.field(default_factory=dict)
    made_us: int = 0
    last_us: int = 0
    count: int = 1
    first: str = ""
    last: str = ""
    key: str = ""
    wanted: Response = "alert"
    response: Response = "alert"
    held: str = ""
    until_us: int = 0
    lifted_us: int = 0
    stopped: int = 0
    stopped_us: int = 0
    tried_us: int = 0
    note: str = ""
    by: str = ""
    quiet_us: int = 0

    @property
    def refs(self) -> dict[str, str]:
        """What entries about it concern."""
        named = {"alert": self.id, self.who: self.principal, "supplier": self.supplier}
        named |= {"dataset": self.dataset, "grant": self.grant}
        return {word: value for word, value in named.items() if value}

    @property
    def told(self) -> dict[str, Fact]:
        """Its facts with what was done about it: all that explaining it takes."""
        about = {"alert": self.id, "principal": self.principal, "dataset": self.dataset, "response": self.response}
        about |= {"until": rfc3339(self.until_us) if self.until_us else "", "held": self.held}
        return self.facts | {name: value for name, value in about.items() if value}

    def holds_at(self, now_us: int) -> bool:
        """Whether its response is in force at a moment."""
        return not self.lifted_us and now_us < self.until_us
