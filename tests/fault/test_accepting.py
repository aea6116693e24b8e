"""An operator accepts the clock: recorded before anything is served by it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select
from sqlalchemy.engine import Engine

from keten.core.clock import wall_us
from keten.core.errors import KetenError, Unavailable
from keten.keeper import protocol as said
from keten.keeper.chores import Chores
from keten.keeper.people import People
from keten.keeper.recoveries import Recoveries
from keten.vault import sweeping
from keten.vault.rules import digest_text
from keten.vault.tables import puts
from tests.fault.keeper_inside import Inside, run
from tests.town import Town

DAY_US = 86_400_000_000
BEGIN = said.PutBegin("clients-in-care", "new.bin", "application/octet-stream", digest_text(bytes(32)), 1)


@contextmanager
def full(engine: Engine) -> Iterator[None]:
    """Whatever is written finds the disk full."""

    def fail(_cursor: Any, statement: str, *_rest: Any) -> None:
        if not statement.startswith(("INSERT", "UPDATE")):
            return
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorname = "SQLITE_FULL"
        raise error

    for name in ("do_execute", "do_executemany"):
        event.listen(engine, name, fail)
    try:
        yield
    finally:
        for name in ("do_execute", "do_executemany"):
            event.remove(engine, name, fail)


@pytest.mark.parametrize("jump_us", [DAY_US, -DAY_US])
def test_what_is_not_recorded_is_not_accepted(stopped: Town, tmp_path: Path, jump_us: int) -> None:
    async def testing(inside: Inside) -> None:
        gateway, carrier = await inside.gateway(), inside.carrier()
        await carrier.token(gateway)
        session: said.SessionOpened = await gateway.ask("identity.ssh_sign_in", carrier.ssh())
        inside.move(jump_us)
        for _ in range(2):
            with pytest.raises(Unavailable, match="clock-jumped"):
                await carrier.token(gateway)
        with full(inside.trusted.writer._engine), pytest.raises(Unavailable):
            await inside.operator.ask("keeper.accept_clock", said.Nothing())
        with pytest.raises(Unavailable, match="clock-jumped"):
            await carrier.token(gateway)
        inside.move(0)
        with pytest.raises(Unavailable, match="clock-jumped"):
            await carrier.token(gateway)
        recorded: said.ClockAccepted = await inside.operator.ask("keeper.accept_clock", said.Nothing())
        (entry,) = inside.entries("keeper.clock.accepted")
        assert (entry.id, entry.payload is not None) == (recorded.entry, True)
        assert entry.payload is not None
        assert "jumped by" in entry.payload.details["what"]
        await carrier.token(gateway)
        with pytest.raises(KetenError, match="session-ended"):
            await gateway.ask(
                "exchange.shares",
                said.ShareQuery(said.Caller("127.0.0.1", session=said.SessionProof(session.session))),
            )

    run(stopped, tmp_path, testing)


def test_a_jump_while_it_is_recorded_is_another(stopped: Town, tmp_path: Path) -> None:
    async def testing(inside: Inside) -> None:
        inside.trusted.clock.jumped = "seen before"
        async with inside.held():
            accepted = inside.operator.ask("keeper.accept_clock", said.Nothing())
            await inside.queued(1)
            inside.trusted.clock.jumped = "another"
        with pytest.raises(KetenError, match="clock-jumped"):
            await accepted
        assert inside.trusted.clock.jumped == "another"
        await asyncio.sleep(0)
        await inside.operator.ask("keeper.accept_clock", said.Nothing())
        assert inside.trusted.clock.jumped == ""

    run(stopped, tmp_path, testing)


def test_with_nothing_to_accept_nothing_changes(stopped: Town, tmp_path: Path) -> None:
    """A clock set back by less than a jump: accepting it must not bring back proofs that were forgotten."""

    async def testing(inside: Inside) -> None:
        gateway, carrier = await inside.gateway(), inside.carrier()
        await carrier.token(gateway)
        session: said.SessionOpened = await gateway.ask("identity.ssh_sign_in", carrier.ssh())
        before, size = inside.trusted.clock.outside(), inside.trusted.writer.head.size
        inside.move(-20_000_000)
        accepted: said.ClockAccepted = await inside.operator.ask("keeper.accept_clock", said.Nothing())
        assert accepted.entry == ""
        assert inside.trusted.clock.outside() >= before
        assert inside.trusted.writer.head.size == size
        caller = said.Caller("127.0.0.1", session=said.SessionProof(session.session))
        await gateway.ask("exchange.shares", said.ShareQuery(caller))

    run(stopped, tmp_path, testing)


def test_a_jump_that_only_the_operator_has_noticed_is_accepted(stopped: Town, tmp_path: Path) -> None:
    async def testing(inside: Inside) -> None:
        inside.move(DAY_US)
        accepted: said.ClockAccepted = await inside.operator.ask("keeper.accept_clock", said.Nothing())
        (entry,) = inside.entries("keeper.clock.accepted")
        assert (entry.id, entry.payload is not None) == (accepted.entry, True)
        assert entry.payload is not None
        assert "jumped by +86400" in entry.payload.details["what"]
        assert inside.trusted.clock.now() > wall_us() + DAY_US // 2

    run(stopped, tmp_path, testing)


def test_a_jump_that_nobody_has_noticed_is_not_recorded(stopped: Town, tmp_path: Path) -> None:
    """The end of a transfer is recorded before anybody has asked whether the clock is right."""

    async def testing(inside: Inside) -> None:
        gateway, carrier = await inside.gateway(), inside.carrier()
        await carrier.token(gateway)
        opened: said.Opened = await gateway.ask("exchange.open", carrier.open(await inside.care(carrier, gateway)))
        inside.move(400 * DAY_US)
        await gateway.ask("exchange.delivered", said.Delivered(opened.opening, 10, "client-closed"))
        assert "jumped by" in inside.trusted.clock.jumped
        inside.move(0)
        await inside.operator.ask("keeper.accept_clock", said.Nothing())
        (end,) = inside.entries("exchange.object.delivered")
        assert end.time_us <= inside.trusted.writer.head.time_us <= inside.trusted.clock.now() < wall_us() + DAY_US
        with inside.trusted.reader.connect() as reading:
            assert sweeping.expired_objects(reading, inside.trusted.clock.now()) == []
        await carrier.token(gateway)
        await gateway.ask("exchange.open", carrier.open(opened.info.id))

    run(stopped, tmp_path, testing)


def test_nothing_is_destroyed_by_a_clock_that_was_far_ahead(stopped: Town, tmp_path: Path) -> None:
    """Accepted though it was wrong, and then set right: what it would have ended is still there."""

    async def testing(inside: Inside) -> None:
        clock = inside.trusted.clock
        people = People(inside.trusted)
        recoveries = Recoveries(inside.trusted, people)
        chores = Chores(inside.trusted, inside.gateways, inside.operators, people, recoveries)
        begun: said.PutReady = await inside.operator.ask("exchange.put_begin", BEGIN)

        async def accepted(us: int) -> None:
            inside.move(us)
            clock.recording_time()  # looks
            await inside.operator.ask("keeper.accept_clock", said.Nothing())

        await accepted(400 * DAY_US)
        await accepted(0)
        with inside.trusted.reader.connect() as reading:
            (past,) = sweeping.expired_objects(reading, clock.now())
        await chores.enforce_retention()
        await chores.sweep()
        with inside.trusted.reader.connect() as reading:
            assert sweeping.expired_objects(reading, clock.now()) == [past]
            assert reading.scalar(select(puts.c.object)) == begun.object
        assert inside.entries("vault.object.destroyed") == []
        await accepted(400 * DAY_US)  # as if it had caught up
        await chores.enforce_retention()
        await chores.sweep()
        (destroyed,) = inside.entries("vault.object.destroyed")
        assert destroyed.payload is not None
        assert destroyed.payload.refs["object"] == past
        with inside.trusted.reader.connect() as reading:
            assert reading.scalar(select(puts.c.object)) is None

    run(stopped, tmp_path, testing)
