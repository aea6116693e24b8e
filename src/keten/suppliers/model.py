"""What the register says about suppliers. Times are microseconds since 1970 UTC; countries ISO 3166-1 alpha-2."""

from __future__ import annotations

import msgspec

from keten.budgets.model import Beyond, Limit
from keten.identity.model import Confirmation, EndableRow
from keten.ledger.bound import BoundRow

TIERS = ("low", "medium", "high", "critical")
FORMS = ("file", "release", "lookup", "intake")
BUDGET_WINDOWS = ("hour", "day", "week", "month")
THEN = ("stop", "delay", "step-up")
USUAL_EVERY = "60s"


class Organisation(BoundRow, frozen=True, kw_only=True):
    """Who runs this instance: exactly one row. `timezone` is an IANA name; the days of contracts are its days.

    confirm_grants_days, confirm_roles_days: how often grants, and people's roles, have to be confirmed; 0: never.
    """

    country: str
    timezone: str
    confirm_grants_days: int = 0
    confirm_roles_days: int = 0


class Frozen(msgspec.Struct, frozen=True, gc=False):
    """Nobody of a supplier gets access: until when (microseconds UTC), why, by whom. It ends by itself."""

    until_us: int
    reason: str
    by: str


class Supplier(EndableRow, frozen=True, kw_only=True):
    """A third party. `title` is what people call it (the estate file's `name`), `tier` one of `TIERS`.

    budget: the most records of each dataset that all its principals together may receive; None: no limit of its own.
    networks, hosts: where its systems are, sorted; a host `*.example.org` is every host below example.org. Nothing is
    allowed or refused by them: the watch knows by them what goes to this supplier past Keten.
    """

    title: str
    country: str
    tier: str
    budget: Limit | None = None
    frozen: Frozen | None = None
    networks: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()

    def frozen_at(self, now_us: int) -> bool:
        """Whether nobody of it gets access at a moment."""
        return self.frozen is not None and now_us < self.frozen.until_us


class Contract(EndableRow, frozen=True, kw_only=True):
    """The reason that any access of a supplier (random id) exists.

    starts_us, ends_us: from and up to, but not at, these moments. starts, ends: as the estate file has them.
    purposes, countries: sorted; no countries: the contract names none. notify_within_hours: 0: none agreed.
    """

    supplier: str
    starts_us: int
    ends_us: int
    starts: str
    ends: str
    purposes: tuple[str, ...]
    countries: tuple[str, ...] = ()
    notify_within_hours: int = 0


class Caseload(msgspec.Struct, frozen=True, gc=False):
    """Whose records a principal works on: a table (random id) of keys and the clients (`column`) that work on each.

    outside: how many records one outside of it counts for; 0: it is refused.
    """

    dataset: str
    column: str
    outside: int = 0


class Grant(EndableRow, frozen=True, kw_only=True):
    """One dataset, under one contract, for one purpose, in one of `FORMS`, within limits.

    dataset, contract, supplier: random ids; the supplier is the contract's. to: random ids of the clients that it
    is addressed to, sorted; none: everyone of the supplier. budget_records: the most distinct records that one
    principal may receive in one of `BUDGET_WINDOWS`; 0: no limit. budget_beyond: what happens past it. more_budgets:
    further limits, over other windows. label: the name of its folder, safe in a path. columns: of a lookup, those that
    it may see; none: all. confirm: that the dataset's owner has to confirm it; None: nobody ever had.
    """

    dataset: str
    contract: str
    supplier: str
    purpose: str
    form: str
    label: str
    to: tuple[str, ...] = ()
    budget_records: int = 0
    budget_per: str = ""
    budget_beyond: Beyond | None = None
    more_budgets: tuple[Limit, ...] = ()
    columns: tuple[str, ...] = ()
    caseload: Caseload | None = None
    confirm: Confirmation | None = None

    @property
    def limits(self) -> tuple[Limit, ...]:
        """Its budget, over each window that it has."""
        first = (Limit(self.budget_records, self.budget_per, self.budget_beyond),) if self.budget_records else ()
        return (*first, *self.more_budgets)

    @property
    def confirm_until_us(self) -> int:
        """Until when it was confirmed; 0: nobody has to, or not any more."""
        return self.confirm.until_us if self.confirm is not None and self.ended is None else 0

    def lapsed_at(self, now_us: int) -> bool:
        """Whether nobody has confirmed it up to a moment, so that it gives no access."""
        return self.confirm is not None and self.confirm.lapsed_at(now_us)
