"""Failures to sign in that all take equally long: how long one took tells nothing of what was wrong (law 8).

A known passkey costs a signature's verification and reads of its row, an unknown one does not. Doing the same work for
both would have to follow every change of either; waiting for one moment follows none.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from keten.core.errors import Busy, KetenError, Unavailable, rebuild

FAILED_SECONDS = 0.25  # some three hundred times what a failure costs, for a machine that is busy
_COARSE_SECONDS = 0.002  # a loop waits whole milliseconds from when it is asked, which would tell when that was

T = TypeVar("T")


def evenly(handle: Callable[[Any, Any], Awaitable[T]]) -> Callable[[Any, Any], Awaitable[T]]:
    """A verb's handler whose refusals come `FAILED_SECONDS` after it was called, unless they are about no caller."""

    async def run(connection: Any, body: Any) -> T:
        moment = time.monotonic() + FAILED_SECONDS
        try:
            return await handle(connection, body)
        except (Busy, Unavailable):
            raise
        except KetenError as error:
            told = rebuild(error.category, error.code, error.public, error.reason)
            vars(told)["data"] = getattr(error, "data", {})
        # Here, before the wait, what led to the error is taken apart. After it that took 45 µs longer for a known one.
        await until(moment)
        raise told

    return run


async def until(moment: float) -> None:
    """Wait for a moment of the monotonic clock, to some ten microseconds; at once when it is over."""
    await asyncio.sleep(max(0.0, moment - _COARSE_SECONDS - time.monotonic()))
    while time.monotonic() < moment:  # noqa: ASYNC110 - a clock is waited for, not an event
        await asyncio.sleep(0)
