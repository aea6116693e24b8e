"""Refusals take equally long, whatever they cost; what is not about the caller, and what went well, is not held up."""

from __future__ import annotations

import asyncio
import time

import pytest

from keten.core.errors import Busy, Denied, KetenError, Unavailable
from keten.keeper.evenly import FAILED_SECONDS, evenly


async def timed(cost: float, error: KetenError | None) -> float:
    """Seconds that a handler took which works so long, and then raises this."""

    async def handle(_connection: object, _body: object) -> str:
        await asyncio.sleep(cost)
        if error is not None:
            raise error
        return "done"

    started = time.monotonic()
    try:
        await evenly(handle)(None, None)
        found = None
    except KetenError as caught:
        found = caught
    assert (found is None) == (error is None)
    if found is not None and error is not None:
        assert (found.category, found.code, found.public) == (error.category, error.code, error.public)
    return time.monotonic() - started


@pytest.mark.parametrize("cost", [0.0, 0.0004, 0.003, 0.05])
def test_a_refusal_comes_when_it_always_comes(cost: float) -> None:
    took = min(asyncio.run(timed(cost, Denied("sign-in-failed", "No."))) for _ in range(5))
    assert FAILED_SECONDS <= took < FAILED_SECONDS + 0.02


@pytest.mark.parametrize("error", [None, Busy("busy", "Later."), Unavailable("away", "Later.")])
def test_what_is_not_about_the_caller_comes_at_once(error: KetenError | None) -> None:
    assert min(asyncio.run(timed(0.0, error)) for _ in range(5)) < FAILED_SECONDS / 2


def test_what_took_longer_is_not_held_up() -> None:
    took = asyncio.run(timed(FAILED_SECONDS * 1.5, Denied("sign-in-failed", "No.")))
    assert took < FAILED_SECONDS * 2.5
