"""Which content has left this process over SSH, by access: several open files share channels, and those a connection.

A read's answer is written into its channel, the channel's bytes go into packets as its window allows, and packets into
the connection, whose last bytes may still be here. What is known of each step is its order; so content has left when
the packet that ends with it has. A packet that left in part cannot be opened by anybody, and counts as not sent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

_SETTLE = 64  # packets that are followed before those that have left are forgotten


class Taken:
    """How much content of one access was read into answers, and how much of that has left. In bytes."""

    __slots__ = ("_sent", "_settle", "read")

    def __init__(self, settle: Callable[[], None]) -> None:
        self._settle = settle
        self._sent = 0
        self.read = 0

    def add(self, count: int) -> None:
        """So much has left."""
        self._sent += count

    @property
    def sent(self) -> int:
        """How much has left."""
        self._settle()
        return self._sent


class ChannelSent:
    """One channel's bytes, counted from its beginning."""

    __slots__ = ("_contents", "_left", "packed", "written")

    def __init__(self) -> None:
        self.written = 0
        self.packed = 0
        self._left = 0
        self._contents: deque[tuple[int, int, Taken]] = deque()

    def content(self, offset: int, count: int, taken: Taken) -> None:
        """`count` bytes of what is written next, from its byte `offset` on, are content of an access."""
        start = self.written + offset
        self._contents.append((start, start + count, taken))

    def left(self, until: int) -> None:
        """The channel's first `until` bytes have left."""
        before, self._left = self._left, until
        while self._contents and self._contents[0][0] < until:
            start, end, taken = self._contents[0]
            taken.add(min(end, until) - max(start, before))
            if end > until:
                return
            self._contents.popleft()


class ConnectionSent:
    """One connection's bytes. `unsent`: how many of those written last are still in this process."""

    def __init__(self, unsent: Callable[[], int]) -> None:
        self.written = 0
        self._unsent = unsent
        self._packets: deque[tuple[int, ChannelSent, int]] = deque()
        self._last = 0

    def packed(self, channel: ChannelSent, count: int) -> None:
        """`count` bytes of a channel are in packets that end where the connection's bytes do now."""
        self._follow(self.written, channel, count)

    def deferred(self, channel: ChannelSent, count: int, before: int) -> None:
        """`count` bytes of a channel were given to the library, which may keep them until new keys are agreed upon.

        before: what was written until then. They have not left before at least as many bytes have.
        """
        self._follow(max(self.written, max(self._last, before) + count), channel, count)

    def _follow(self, end: int, channel: ChannelSent, count: int) -> None:
        channel.packed += count
        self._last = end
        self._packets.append((end, channel, channel.packed))
        if len(self._packets) > _SETTLE:
            self.settle()

    def settle(self) -> None:
        """Count what has left by now."""
        left = self.written - self._unsent()
        while self._packets and self._packets[0][0] <= left:
            _end, channel, packed = self._packets.popleft()
            channel.left(packed)
