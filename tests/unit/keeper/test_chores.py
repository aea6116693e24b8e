"""The keeper's chores: what keeps one waiting is logged once, and not every other second."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from keten.core.errors import Conflict, Unavailable
from keten.keeper.chores import Chores
from keten.keeper.trusted import UNCONFIRMED


def test_what_keeps_a_chore_waiting_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    codes = itertools.chain(["a", "a", "b", "a", "", "a"], itertools.repeat("a"))
    done = asyncio.Event()
    count = itertools.count(1)

    async def work() -> None:
        if next(count) == 20:
            done.set()
        if code := next(codes):
            raise Conflict(code, f"It waits for {code}.")

    asyncio.run(_repeated(work, done))
    assert [one.getMessage()[-2] for one in caplog.records] == ["a", "b", "a", "a"]


def test_that_nobody_has_looked_after_a_restore_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    done = asyncio.Event()

    async def work() -> None:
        done.set()
        raise Unavailable(UNCONFIRMED, "Nothing is served.")

    asyncio.run(_repeated(work, done))
    assert caplog.records == []


async def _repeated(work: Any, done: asyncio.Event) -> None:
    task = asyncio.ensure_future(Chores._repeat(Chores.__new__(Chores), 0.0, work))
    await done.wait()
    task.cancel()
