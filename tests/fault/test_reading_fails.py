"""The database can't be read at the moment when it is decided again on what runs: it is cut, never left running.

Or at a moment at which somebody waits for an answer: there is one.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError

from keten.core import db
from keten.core.errors import KetenError
from keten.keeper import protocol as said
from tests.fault.keeper_inside import WAIT_SECONDS, Inside, Peer, Supplier, run
from tests.town import CARRIER, PRINTER, Town


class Failing:
    """Makes reads of the keeper fail in the driver, from the next change of the register on."""

    def __init__(self, inside: Inside, name: str, only: str = "") -> None:
        self.failed = 0
        self._epoch = inside.trusted.epoch
        self._inside = inside
        self._name = name
        self._only = only
        event.listen(inside.trusted.reader, "do_execute", self._do)
        self._patch = pytest.MonkeyPatch()
        read, failing = db.Prepared.rows, self

        def rows(prepared: db.Prepared, connection: Connection, values: Sequence[Any]) -> list[tuple[Any, ...]]:
            """Statements that go to the driver as they are."""
            if connection.engine is not inside.trusted.reader:  # the writer's own, which stops the process
                return read(prepared, connection, values)
            text = prepared._text(connection)
            try:
                failing._do(None, text)
            except sqlite3.Error as error:
                raise DBAPIError(text, tuple(values), error) from error
            return read(prepared, connection, values)

        self._patch.setattr(db.Prepared, "rows", rows)

    def _do(self, _cursor: Any, statement: str, *_rest: Any) -> None:
        if self._inside.trusted.epoch > self._epoch and self._only in statement:
            self.failed += 1
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorname = self._name
            raise error

    def stop(self) -> None:
        if event.contains(self._inside.trusted.reader, "do_execute", self._do):
            event.remove(self._inside.trusted.reader, "do_execute", self._do)
        self._patch.undo()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()


def _pushed(gateway: Peer) -> list[said.Cut]:
    """What the keeper has pushed so far."""
    return [gateway.pushes.get_nowait() for _ in range(gateway.pushes.qsize())]


NAMES = ("SQLITE_IOERR_READ", "SQLITE_BUSY", "SQLITE_CORRUPT", "SQLITE_CANTOPEN")


def _revoke(inside: Inside) -> Any:
    return inside.revoke("client", CARRIER)


def _revoke_another(inside: Inside) -> Any:
    return inside.revoke("client", PRINTER)


def _apply(inside: Inside) -> Any:
    return inside.apply(without="care-for-zorgvervoer")


@pytest.mark.parametrize("change", [_revoke, _revoke_another, _apply])
@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_decided_upon_is_cut(
    stopped: Town, tmp_path: Path, name: str, change: Callable[[Inside], Any]
) -> None:
    async def testing(inside: Inside) -> None:
        gateway, carrier = await inside.gateway(), inside.carrier()
        await carrier.token(gateway)
        session: said.SessionOpened = await gateway.ask("identity.ssh_sign_in", carrier.ssh())
        opened: said.Opened = await gateway.ask("exchange.open", carrier.open(await inside.care(carrier, gateway)))
        failing = stack.enter_context(Failing(inside, name))
        await change(inside)
        assert failing.failed, "nothing was read"
        pushes = _pushed(gateway)
        assert any(cut.everything or opened.opening in cut.openings for cut in pushes)
        assert any(cut.everything or session.session in cut.sessions for cut in pushes)
        await gateway.ask("exchange.delivered", said.Delivered(opened.opening, 4096, "cut"))
        for verb, body in (
            ("exchange.open", carrier.open(opened.info.id)),
            ("exchange.shares", said.ShareQuery(carrier.caller("/v1/shares"))),
            ("identity.ssh_sign_in", carrier.ssh()),
        ):
            with pytest.raises(KetenError):
                await gateway.ask(verb, body)
        failing.stop()
        (end,) = inside.entries("exchange.object.delivered")
        assert end.payload is not None
        assert end.payload.details["reason"] == ("keeper-error" if change is _revoke_another else "revoked")
        if change is not _revoke_another:
            return
        # Once it can be read again, who was not meant is served again.
        again: said.Opened = await gateway.ask("exchange.open", carrier.open(opened.info.id))
        assert again.key

    with ExitStack() as stack:
        run(stopped, tmp_path, testing)


@pytest.mark.parametrize("table", ["grants", "contracts", "suppliers", "clients", "objects"])
def test_whichever_table_it_is(stopped: Town, tmp_path: Path, table: str) -> None:
    async def testing(inside: Inside) -> None:
        gateway, carrier = await inside.gateway(), inside.carrier()
        await carrier.token(gateway)
        opened: said.Opened = await gateway.ask("exchange.open", carrier.open(await inside.care(carrier, gateway)))
        failing = stack.enter_context(Failing(inside, "SQLITE_IOERR_READ", f"FROM {table}"))
        await inside.revoke("client", PRINTER)
        assert failing.failed, "nothing was read"
        assert any(cut.everything or opened.opening in cut.openings for cut in _pushed(gateway))

    with ExitStack() as stack:
        run(stopped, tmp_path, testing)


def _of_sqlite(name: str) -> Exception:
    error = sqlite3.OperationalError("no")
    error.sqlite_errorname = name
    return error


@contextmanager
def _no_content_keys(inside: Inside, error: Exception) -> Iterator[None]:
    """The keeper's reads of content keys fail."""

    def fail(_cursor: Any, statement: str, *_rest: Any) -> None:
        if "content_keys" in statement:
            raise error

    event.listen(inside.trusted.reader, "do_execute", fail)
    try:
        yield
    finally:
        event.remove(inside.trusted.reader, "do_execute", fail)


async def _refused(asked: asyncio.Future[Any]) -> str:
    """The code with which something is refused; it must be answered."""
    with pytest.raises(KetenError) as refused:
        await asyncio.wait_for(asked, WAIT_SECONDS / 4)
    return refused.value.code


async def _nothing_is_left(inside: Inside, gateway: Peer, carrier: Supplier, care: str) -> None:
    """Nothing counts as under way, and the next request is served."""
    assert inside.trusted.accesses.transfers(carrier.client) == len(inside.trusted.accesses) == 0
    again: said.Opened = await gateway.ask("exchange.open", carrier.open(care))
    assert again.key


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (_of_sqlite("SQLITE_BUSY"), "database"),
        (_of_sqlite("SQLITE_CORRUPT"), "database-damaged"),
        (MemoryError(), "keeper-error"),
    ],
)
def test_a_key_that_cannot_be_read_is_answered(stopped: Town, tmp_path: Path, error: Exception, code: str) -> None:
    async def testing(inside: Inside) -> None:
        gateway, carrier = await inside.gateway(), inside.carrier()
        await carrier.token(gateway)
        care = await inside.care(carrier, gateway)
        with _no_content_keys(inside, error):
            assert await _refused(gateway.ask("exchange.open", carrier.open(care))) == code
        await _nothing_is_left(inside, gateway, carrier, care)
        opened, _again = inside.entries("exchange.object.opened")
        (end,) = inside.entries("exchange.object.delivered")
        assert end.payload is not None
        assert end.payload.details == {"opening": opened.id, "opened_at": opened.index, "bytes": 0, "end": "failed"}

    run(stopped, tmp_path, testing)


@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_decided_upon_anew_is_answered(stopped: Town, tmp_path: Path, name: str) -> None:
    """The register changes between deciding and recording, and can't be read then."""

    async def testing(inside: Inside) -> None:
        gateway, carrier = await inside.gateway(), inside.carrier()
        await carrier.token(gateway)
        care = await inside.care(carrier, gateway)
        failing = stack.enter_context(Failing(inside, name, "FROM objects"))
        async with inside.held():
            revoked = _revoke_another(inside)
            await inside.queued(1)
            asked = gateway.ask("exchange.open", carrier.open(care))
            await inside.queued(2)
        assert await _refused(asked)
        assert failing.failed, "nothing was read"
        failing.stop()
        await revoked
        assert not inside.entries("exchange.object.opened")
        await _nothing_is_left(inside, gateway, carrier, care)

    with ExitStack() as stack:
        run(stopped, tmp_path, testing)


def test_damage_is_not_taken_for_absence(stopped: Town, tmp_path: Path) -> None:
    """Unknown is never shown as nothing."""

    async def testing(inside: Inside) -> None:
        gateway, carrier = await inside.gateway(), inside.carrier()
        await carrier.token(gateway)
        care = await inside.care(carrier, gateway)
        failing = stack.enter_context(Failing(inside, "SQLITE_CORRUPT", "FROM objects"))
        await inside.revoke("client", PRINTER)
        one = said.ShareQuery(carrier.caller("/v1/shares"), object=care)
        assert await _refused(gateway.ask("exchange.open", carrier.open(care))) == "database-damaged"
        assert await _refused(gateway.ask("exchange.shares", one)) == "database-damaged"
        failing.stop()
        await _nothing_is_left(inside, gateway, carrier, care)

    with ExitStack() as stack:
        run(stopped, tmp_path, testing)
