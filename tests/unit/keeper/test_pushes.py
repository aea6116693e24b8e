"""What is pushed to gateways is never longer than they take."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from keten.core.ids import new_id
from keten.core.settings import load_settings
from keten.drills.throwaway import Throwaway
from keten.keeper.gateway_verbs import MAX_NAMED, GatewayVerbs
from keten.keeper.protocol import MAX_ANSWER_FRAME, Cut
from keten.keeper.rootkey import load_root_key
from keten.keeper.trusted import Trusted


class Wire:
    """A gateway's connection, as far as pushes need it."""

    def __init__(self) -> None:
        self.pushed: list[Cut] = []

    def push(self, _name: str, body: Cut) -> None:
        self.pushed.append(body)


@pytest.mark.parametrize(("openings", "sessions"), [(MAX_NAMED, 0), (0, MAX_NAMED), (MAX_NAMED, 1), (1, MAX_NAMED)])
def test_what_cannot_be_named_is_cut_with_everything(tmp_path: Path, openings: int, sessions: int) -> None:
    settings = load_settings(Throwaway(tmp_path).home, {})
    wire: Any = Wire()

    async def push() -> None:
        trusted = Trusted(settings, load_root_key(settings, None))
        try:
            verbs = GatewayVerbs(trusted)
            verbs.gateways[1] = wire
            names = tuple(new_id() for _each in range(max(openings, sessions)))
            verbs.push_cut(names[:openings], names[:sessions], "revoked")
        finally:
            await asyncio.to_thread(trusted.stop)

    asyncio.run(push())
    (cut,) = wire.pushed
    assert cut.everything is (openings + sessions > MAX_NAMED)
    assert len(cut.openings) + len(cut.sessions) == (0 if cut.everything else MAX_NAMED)
    assert len(msgspec.msgpack.encode(cut)) < MAX_ANSWER_FRAME / 4
