"""Whether requests can be served: the keeper's answer, asked for at most once a second, however many strangers ask."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from keten.core.errors import KetenError, Unavailable

FRESH_SECONDS = 1.0
ASK_SECONDS = 5.0  # a keeper that takes longer serves nobody


class Health:
    """`ask`: says `keeper.health`; raises what the keeper raises, and `Unavailable` when there is none."""

    def __init__(self, ask: Callable[[], Awaitable[object]]) -> None:
        self._ask = ask
        self._asking: asyncio.Future[KetenError | None] | None = None
        self._asked = 0.0

    async def check(self) -> None:
        """Return when requests can be served. Raises `Unavailable`, also when it takes more than `ASK_SECONDS`."""
        asking = self._asking
        if asking is None or (asking.done() and time.monotonic() - self._asked >= FRESH_SECONDS):
            asking = self._asking = asyncio.ensure_future(self._fresh())
        error = await asyncio.shield(asking)
        if error is not None:
            raise error

    async def _fresh(self) -> KetenError | None:
        try:
            async with asyncio.timeout(ASK_SECONDS):
                await self._ask()
        except TimeoutError:
            return Unavailable("keeper-slow", "The service is not available at this moment; try again later.")
        except KetenError as error:
            return error
        finally:
            self._asked = time.monotonic()
        return None
