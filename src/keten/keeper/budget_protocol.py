"""What is said about budgets and requests for more: to clients and on the operator's socket (see `keeper.protocol`)."""

from __future__ import annotations

import msgspec

from keten.budgets.model import Shown, State, Then

MOST_REQUESTS = 1000
MOST_LINES = 2000


class BudgetLine(msgspec.Struct, frozen=True):
    """A budget in one window. records: with `extra`, which was allowed on request. Times are RFC 3339.

    then: what happens past it, up to `most` (0: it stops).
    """

    per: str
    records: int
    extra: int
    spent: int
    left: int
    until: str
    then: Then = "stop"
    most: int = 0


class MoreState(msgspec.Struct, frozen=True):
    """A client's own request. until: of what was allowed, "" else. why: of a refusal."""

    id: str
    state: Shown
    records: int
    per: str
    asked: str
    extra: int = 0
    until: str = ""
    why: str = ""


class AskRequests(msgspec.Struct, frozen=True):
    """Requests for more, the newest first: one by id, else those in these states (none: open)."""

    request: str = ""
    states: tuple[State, ...] = ()
    limit: int = 100


class RequestInfo(msgspec.Struct, frozen=True):
    """A request as operators see it. Names are the register's, else ids. why, case: the client's words, opened.

    answer, by: what an operator said, and who.
    """

    id: str
    state: Shown
    grant: str
    client: str
    supplier: str
    dataset: str
    owner: str
    records: int
    per: str
    asked: str
    why: str
    case: str
    extra: int = 0
    until: str = ""
    answer: str = ""
    by: str = ""


class Requests(msgspec.Struct, frozen=True):
    """Requests. entry: that somebody read why they were made; "" when there is none to read."""

    requests: tuple[RequestInfo, ...]
    entry: str = ""


class AskBudgets(msgspec.Struct, frozen=True):
    """What clients may still receive, under one grant (name or id) or all that have a budget.

    owner: only of datasets of this person (random id); "": of all.
    """

    grant: str = ""
    owner: str = ""


class ClientBudget(msgspec.Struct, frozen=True):
    """What a client may still receive under a grant; names, and by window."""

    grant: str
    client: str
    budget: tuple[BudgetLine, ...]


class Budgets(msgspec.Struct, frozen=True):
    """cut: there are more clients than were looked at."""

    budgets: tuple[ClientBudget, ...]
    cut: bool = False


class AnswerRequest(msgspec.Struct, frozen=True):
    """action: allow, refuse or withdraw. records 0: as many as asked for. until_us 0: to the end of the window."""

    request: str
    action: str
    records: int = 0
    until_us: int = 0
    why: str = ""


class RequestAnswered(msgspec.Struct, frozen=True):
    """The request as it is now, and the entry."""

    request: RequestInfo
    entry: str


BUDGET_VERBS: dict[str, tuple[type, type]] = {
    "budgets.requests": (AskRequests, Requests),
    "budgets.show": (AskBudgets, Budgets),
    "budgets.answer": (AnswerRequest, RequestAnswered),
}
