"""Work that goes on after whoever asked was answered: nobody waits at a screen for a large file to be written anew."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from keten.core.errors import KetenError

log = logging.getLogger(__name__)
T = TypeVar("T")


class GoingOn:
    """Keeps hold of what was not waited for. Used in the event loop."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def within(self, seconds: float, work: Coroutine[Any, Any, T]) -> T | None:
        """What comes of the work when that takes no longer, and what it raises; None when it does, and it goes on."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        done, _waiting = await asyncio.wait({task}, timeout=seconds)
        if done:
            return task.result()
        task.add_done_callback(_said)
        return None


def _said(task: asyncio.Task[Any]) -> None:
    """Nobody waits for it: what it raised goes into the log, and the next round tries again."""
    error = None if task.cancelled() else task.exception()
    if isinstance(error, KetenError):
        log.warning("what was approved waits: %s", error)
    elif error is not None:
        log.error("what was approved failed", exc_info=error)
