"""How a process that follows the ledger reads it, on the operator's socket (see `keeper.protocol`)."""

from __future__ import annotations

import msgspec

from keten.ledger.model import Payload

MOST_FOLLOWED = 1000
LONGEST_WAIT_US = 30_000_000


class Follow(msgspec.Struct, frozen=True):
    """The entries from index `after` on, at most `limit` of them (0: `MOST_FOLLOWED`).

    When there are none yet, the answer waits for up to `wait_us` microseconds for the next.
    """

    after: int
    limit: int = 0
    wait_us: int = 0


class Followed(msgspec.Struct, frozen=True, gc=False):
    """One entry. `payload`: without what is personal in it; None once it was erased."""

    index: int
    id: str
    time_us: int
    kind: str
    payload: Payload | None


class Following(msgspec.Struct, frozen=True):
    """Entries, oldest first. `size`: of the ledger. `names`: what the organisation calls the ids in their refs."""

    size: int
    entries: tuple[Followed, ...]
    names: dict[str, str] = {}


FOLLOW_VERBS: dict[str, tuple[type, type]] = {"ledger.follow": (Follow, Following)}
