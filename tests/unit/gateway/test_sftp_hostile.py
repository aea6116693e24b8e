"""SFTP packets that no client of ours sends: the channel ends in good order, and nothing of ours is told."""

from __future__ import annotations

import asyncio
import logging
import struct
from typing import Any, cast

import pytest

from keten.gateway.sftp import FileServer, Handler
from keten.gateway.ssh_sent import Taken
from tests.fuzz.targets.sftp_packets import FIRST, INIT, OPEN, PATH, Channel, Reading, Session, asking, packet
from tests.unit.identity.signing import string

STATUS = 101


def served(data: bytes, session: Session | None = None) -> Channel:
    """What a channel says to these bytes, until it ends."""
    channel, session = Channel(data), session or Session()

    async def run() -> None:
        server = FileServer(cast("Any", channel), cast("Any", session))
        session.handler = Handler(server, cast("Any", channel), cast("Any", channel), cast("Any", session))
        await session.handler.run()

    asyncio.run(run())
    return channel


def test_a_channel_that_ends_before_its_first_packet() -> None:
    channel = served(b"")
    assert (channel.status, bytes(channel.written)) == (0, b"")


@pytest.mark.parametrize("version", [0, 1, 2])
def test_older_versions_are_refused(version: int) -> None:
    channel = served(packet(INIT, struct.pack(">I", version)) + asking(OPEN, 1, PATH, struct.pack(">I", 1), bytes(4)))
    assert (channel.status, bytes(channel.written)) == (1, b"")


@pytest.mark.parametrize("name", [b"supported", b"supported2", b"acl-supported", b"vendor-id"])
def test_what_a_client_says_of_itself_is_not_taken_apart(name: bytes) -> None:
    channel = served(packet(INIT, struct.pack(">I", 3) + string(name) + string(b"\0")))
    assert channel.status == 0
    assert channel.written[4:9] == b"\x02\0\0\0\x03"


def test_a_failure_that_nobody_foresaw_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Session):
        async def open(self, object_id: str) -> tuple[Reading, Taken]:
            raise RuntimeError(f"the store has no {object_id}")

    with caplog.at_level(logging.ERROR, "keten.gateway.sftp"):
        channel = served(FIRST + asking(OPEN, 7, PATH, struct.pack(">I", 1), bytes(4)), Failing())
    assert b"the store" not in channel.written
    assert b"Something went wrong here" in channel.written
    assert "the store has no" in caplog.text
