"""Rows of recovery beside the cases: ways to reach a person, the hashes of one-time secrets, and freezes."""

from __future__ import annotations

from typing import Literal

from keten.identity.recovery.model import Channel
from keten.ledger.bound import BoundRow

Purpose = Literal["veto", "part"]


class ChannelRow(BoundRow, frozen=True, kw_only=True):
    """A way to reach a person. sealed: base64 of the address under the person's own key (law 7). Times: microseconds.

    A changed address is another channel: the old one ends, and is told of what happens all the same. told_us: when it
    was told last that the person's addresses had changed.
    """

    person: str
    sealed: str
    since_us: int
    ended_us: int = 0
    told_us: int = 0

    @property
    def channel(self) -> Channel:
        """As the rules see it."""
        return Channel(self.id, self.since_us, self.ended_us)


class Secret(BoundRow, frozen=True, kw_only=True):
    """A one-time secret that went over a channel, as SHA-256 (hex) (law 9). used_us: 0 while it was not.

    purpose: "veto" says "this is not me"; "part" is a part of the code.
    """

    case: str
    channel: str
    purpose: Purpose
    hash: str
    expires_us: int
    used_us: int = 0

    def usable_at(self, now_us: int) -> bool:
        """Whether it was not used and is not over."""
        return not self.used_us and now_us < self.expires_us


class Freeze(BoundRow, frozen=True, kw_only=True):
    """No recovery goes on at a supplier ("" for the organisation's own people) until a moment. `name` is the id."""

    supplier: str
    until_us: int
