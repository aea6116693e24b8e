"""What a connection held is gone with it, and does not wait for the garbage collector."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from keten.gateway.connection import Connection
from tests.unit.gateway.asking import get, path_of
from tests.unit.gateway.conftest import Serving
from tests.unit.gateway.fake import Scene

MANY = 8


def test_closed_connections_leave_nothing_behind(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each held some hundreds of KiB of buffers until the collector came by: an hour of clients, half a GiB."""
    made: list[weakref.ref[Connection]] = []
    original = Connection.__init__

    def noted(self: Connection, *given: object, **named: object) -> None:
        original(self, *given, **named)  # type: ignore[arg-type]  # whatever it takes
        made.append(weakref.ref(self))

    monkeypatch.setattr(Connection, "__init__", noted)

    async def test(scene: Scene) -> None:
        path = path_of(scene.keeper.put(bytes(300_000)))
        gc.collect()
        gc.disable()
        try:
            for _ in range(MANY):
                assert (await get(scene, path)).status == 200
            for _ in range(50):
                if sum(ref() is not None for ref in made) <= 1:
                    break
                await asyncio.sleep(0.05)
            assert len(made) >= MANY
            assert sum(ref() is not None for ref in made) <= 1  # the last, in a variable of the loop that accepts
        finally:
            gc.enable()

    serving(test)
