"""Decrypted frames that the readers of one SSH connection have in use: few, shared, and gone with the connection."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from keten.gateway.delivery import Delivery

MAX_FRAMES = 6  # of 1 MiB: for all handles of a connection together


class Frames:
    """A small cache in front of deliveries' frames, with one frame read ahead for whoever reads in order."""

    def __init__(self) -> None:
        self._frames: OrderedDict[tuple[str, int], asyncio.Future[bytes]] = OrderedDict()

    async def read(self, delivery: Delivery, offset: int, length: int) -> bytes | memoryview:
        """`length` bytes from `offset`, both within the object. Raises `Corrupt`; `Unavailable` when access is over."""
        size = delivery.frame_size
        number, begin = divmod(offset, size)
        frame = await self._frame(delivery, number)
        if begin + length <= size:
            if begin >= size // 2:
                self._ahead(delivery, number + 1)
            return memoryview(frame)[begin : begin + length]
        rest = await self._frame(delivery, number + 1)
        return frame[begin:] + rest[: begin + length - size]

    def drop(self, delivery: Delivery) -> None:
        """Forget the frames of a handle that is closed."""
        for key in [key for key in self._frames if key[0] == delivery.opening]:
            self._frames.pop(key).cancel()

    def clear(self) -> None:
        """Forget everything."""
        while self._frames:
            self._frames.popitem()[1].cancel()

    async def _frame(self, delivery: Delivery, number: int) -> bytes:
        key = (delivery.opening, number)
        future = self._frames.get(key)
        if future is None or future.cancelled():
            future = self._begin(delivery, number)
        else:
            self._frames.move_to_end(key)
        return await asyncio.shield(future)

    def _ahead(self, delivery: Delivery, number: int) -> None:
        if (delivery.opening, number) not in self._frames and number * delivery.frame_size < delivery.info.size:
            self._begin(delivery, number)

    def _begin(self, delivery: Delivery, number: int) -> asyncio.Future[bytes]:
        future = asyncio.ensure_future(delivery.frame(number))
        future.add_done_callback(_heard)
        self._frames[(delivery.opening, number)] = future
        while len(self._frames) > MAX_FRAMES:
            self._frames.popitem(last=False)[1].cancel()
        return future


def _heard(done: asyncio.Future[bytes]) -> None:
    """A frame read ahead that nobody came for is no unheard error."""
    if not done.cancelled():
        done.exception()
