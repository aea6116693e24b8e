"""What a budget is asked and what it answers."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

Per = Literal["hour", "day", "week", "month"]
Then = Literal["stop", "delay", "step-up"]
State = Literal["open", "allowed", "refused", "withdrawn"]
"""Of a request for more, as it is stored."""
Shown = Literal["open", "allowed", "refused", "withdrawn", "lapsed", "over"]
"""And as it is at a moment."""
UNLIMITED = -1


class Beyond(msgspec.Struct, frozen=True, gc=False):
    """What its owner lets happen when a limit is reached, up to `most` records in the window, the ceiling.

    then: "delay": one further record each `every_us` microseconds; "step-up": for who signed in after it was reached.
    """

    then: Literal["delay", "step-up"]
    most: int
    every_us: int = 0


class Limit(msgspec.Struct, frozen=True, gc=False):
    """The most distinct records in a window: hour, day, week (ISO 8601, from Monday) or month.

    beyond: what happens past it; None: it stops.
    """

    records: int
    per: str
    beyond: Beyond | None = None


class Budgeted(Protocol):
    """What budgets need to know of a grant (the type itself lives in a room above)."""

    @property
    def id(self) -> str:
        """The grant's random id."""

    @property
    def limits(self) -> tuple[Limit, ...]:
        """Its budget, over each window that it has; none: no limit."""


class Scope(msgspec.Struct, frozen=True, gc=False):
    """Whose budget it is: charges are kept under `owner` and `of`. Every one of its `limits` holds.

    word: "grant" (owner: its id, of: the client), "supplier" (owner: its id, of: the dataset), or "dataset" (owner: its
    id, of: ""), the breaker of all together.
    """

    word: str
    owner: str
    of: str
    limits: tuple[Limit, ...]


class Window(msgspec.Struct, frozen=True, gc=False):
    """A calendar window from `start_us` up to, not including, `end_us` (microseconds since 1970 UTC)."""

    start_us: int
    end_us: int


class Charged(msgspec.Struct, frozen=True, gc=False):
    """The object may be opened. `new`: records charged now, 0 for an object charged in this window before.

    `left`: records left afterwards, `UNLIMITED` without a limit; then there is no window either (0).
    """

    new: int
    left: int
    window_start_us: int


class Spent(msgspec.Struct, frozen=True, gc=False):
    """The object is refused whole: it has more records than are `left` of `budget` until `resets_us`.

    scope: the word of the scope whose budget that is; per: its window. code: the reason's: "budget-spent";
    "budget-slow", where it may be asked for again at `resets_us`; "budget-step-up", where signing in anew is what it
    takes.
    """

    left: int
    budget: int
    resets_us: int
    scope: str = "grant"
    per: str = ""
    code: str = "budget-spent"


class Taken(msgspec.Struct, frozen=True, gc=False):
    """What was charged in one scope for one object, as it is stored (`Charge`) and recorded."""

    word: str
    owner: str
    of: str
    object: str
    window_start_us: int
    records: int


class Used(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How full one window of a scope is, after a charge: `spent` of `records` in a window of `per`."""

    per: str
    spent: int
    records: int


class Left(msgspec.Struct, frozen=True, gc=False):
    """What is left of a budget. `spent` may exceed `budget` when the budget was lowered within the window.

    budget: with `extra`, which was allowed on request. starts_us, resets_us: the window. per, then, most: of the limit;
    `most` is the ceiling where something happens past it, else 0.
    """

    budget: int
    spent: int
    left: int
    resets_us: int
    starts_us: int = 0
    per: str = ""
    extra: int = 0
    then: Then = "stop"
    most: int = 0


class Charge(msgspec.Struct, frozen=True, gc=False):
    """One charge as stored. `idx`: the entry that opened the object. `at_us`: when."""

    grant: str
    client: str
    object: str
    window_start_us: int
    records: int
    at_us: int
    idx: int


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """What an entry that opened an object says of its charge: to compare charges with. `window_us` 0: no budget.

    `at_us`: the entry's time, by which a charge counts in a window.
    """

    idx: int
    grant: str
    client: str
    object: str
    window_us: int
    charged: int
    at_us: int
