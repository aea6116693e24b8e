"""The row of a request for more, bound to its last entry."""

from __future__ import annotations

from keten.budgets.model import Shown, State
from keten.core.clock import SECOND
from keten.ledger.bound import BoundRow

LAPSES_US = 7 * 86_400 * SECOND
"""A request that nobody has answered for a week has lapsed: another one may be made."""


class More(BoundRow, frozen=True, kw_only=True):
    """A client asked for so many records more under a grant. `name` is the id.

    per: of which of the grant's windows. sealed: why and for which case, as base64, under the client's own key.
    extra: how many were allowed, in the window that begins at `window_us`, until `until_us` (microseconds UTC).
    why, by, decided_us: what the operator said, who it was, and when.
    """

    grant: str
    client: str
    supplier: str
    dataset: str
    per: str
    records: int
    asked_us: int
    sealed: str
    state: State = "open"
    extra: int = 0
    window_us: int = 0
    until_us: int = 0
    why: str = ""
    by: str = ""
    decided_us: int = 0

    @property
    def refs(self) -> dict[str, str]:
        """What entries about it concern."""
        return {
            "request": self.id,
            "grant": self.grant,
            "client": self.client,
            "dataset": self.dataset,
            "supplier": self.supplier,
        }

    def state_at(self, now_us: int) -> Shown:
        """What it is at a moment: an open one lapses, and what was allowed is over, by themselves."""
        if self.state == "open" and now_us >= self.asked_us + LAPSES_US:
            return "lapsed"
        if self.state == "allowed" and now_us >= self.until_us:
            return "over"
        return self.state
