"""The database can't be read at the moment when it is decided again on what runs: it is cut, never left running."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError

from keten.core import db
from keten.core.errors import KetenError
from keten.keeper import protocol as said
from tests.fault.keeper_inside import Inside, Peer, run
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
