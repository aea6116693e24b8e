"""How a process that follows the ledger reads it, on the operator's socket (see `keeper.protocol`)."""

from __future__ import annotations

import msgspec

from keten.ledger.model import Payload

MOST_FOLLOWED = 1000
LONGEST_WAIT_US = 30_000_000
_decode = msgspec.json.Decoder(Payload).decode


class Follow(msgspec.Struct, frozen=True):
    """The entries from index `after` on, at most `limit` of them (0: `MOST_FOLLOWED`).

    When there are none yet, the answer waits for up to `wait_us` microseconds for the next. names: whether the answer
    is to say what the organisation calls the ids in them. text: payloads as the JSON they are, which costs the keeper a
    quarter of what reading them does; a worker of an older version asks for them read.
    """

    after: int
    limit: int = 0
    wait_us: int = 0
    names: bool = True
    text: bool = False


class Followed(msgspec.Struct, frozen=True, gc=False):
    """One entry, without what is personal in its payload: as `text`, JSON, where that was asked for, else as `payload`.

    Neither once it was erased.
    """

    index: int
    id: str
    time_us: int
    kind: str
    payload: Payload | None = None
    text: bytes = b""

    def read(self) -> Payload | None:
        """The payload, whichever way it came; None once it was erased."""
        return _decode(self.text) if self.text else self.payload


class Following(msgspec.Struct, frozen=True):
    """Entries, oldest first. `size`: of the ledger. `names`: what the organisation calls the ids in them, if asked."""

    size: int
    entries: tuple[Followed, ...]
    names: dict[str, str] = {}


FOLLOW_VERBS: dict[str, tuple[type, type]] = {"ledger.follow": (Follow, Following)}
