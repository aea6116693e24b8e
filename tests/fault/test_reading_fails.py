"""The database can't be read at the moment when it is decided again on what runs: it is cut, never left running."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from keten.core.errors import KetenError
from keten.keeper import protocol as said
from tests.fault.keeper_inside import Inside, run
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

    def _do(self, _cursor: Any, statement: str, *_rest: Any) -> None:
        if self._inside.trusted.epoch > self._epoch and self._only in statement:
            self.failed += 1
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorname = self._name
            raise error

    def stop(self) -> None:
        event.remove(self._inside.trusted.reader, "do_execute", self._do)


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
        failing = Failing(inside, name)
        await change(inside)
        assert failing.failed, "nothing was read"
        cut = gateway.pushes.get_nowait()
        assert cut.everything or (opened.opening in cut.openings and session.session in cut.sessions)
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
        assert end.payload.details["reason"] == "keeper-error"
        if change is not _revoke_another:
            return
        # Once it can be read again, who was not meant is served again.
        again: said.Opened = await gateway.ask("exchange.open", carrier.open(opened.info.id))
        assert again.key

    run(stopped, tmp_path, testing)


@pytest.mark.parametrize("table", ["grants", "contracts", "suppliers", "clients", "objects"])
def test_whichever_table_it_is(stopped: Town, tmp_path: Path, table: str) -> None:
    async def testing(inside: Inside) -> None:
        gateway, carrier = await inside.gateway(), inside.carrier()
        await carrier.token(gateway)
        opened: said.Opened = await gateway.ask("exchange.open", carrier.open(await inside.care(carrier, gateway)))
        failing = Failing(inside, "SQLITE_IOERR_READ", f"FROM {table}")
        await inside.revoke("client", PRINTER)
        cut = gateway.pushes.get_nowait()
        assert failing.failed, "nothing was read"
        assert cut.everything or opened.opening in cut.openings

    run(stopped, tmp_path, testing)
