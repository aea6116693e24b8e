"""The row of an alert, bound to its last entry."""

from __future__ import annotations

from typing import Literal

import msgspec

from keten.core.clock import rfc3339
from keten.ledger.bound import BoundRow
from keten.watch.model import Fact, Response, Severity, State, Verdict


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
