"""`keten doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from keten.cli import exits
from keten.cli.options import Home, Json
from keten.cli.output import Output
from keten.cli.surroundings import Surroundings

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from keten.cli.doctor.findings import Case, Check, Finding
    from keten.core.settings import Settings

_SIGNS = {"wrong": "✗ wrong", "weak": "! weak ", "note": "· note "}


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command()(doctor)


def doctor(
    ctx: typer.Context,
    home: Home = "",
    accept_clock: Annotated[
        bool, typer.Option("--accept-clock", help="You looked at the clock, and it is right: serve again.")
    ] = False,
    json: Json = False,
) -> None:
    """What is wrong or weak with this instance, and what to do about it. Exit code 1 when something is wrong.

    Example: keten doctor --home keten
    """
    from keten.core.db import reading_engine

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    settings = surroundings.instance(home)
    if accept_clock:
        _accept(settings, output)
        return
    engine = reading_engine(settings.state)
    try:
        found = list(_examine(settings, engine))
    finally:
        engine.dispose()
    ok = not any(one.severity == "wrong" for one in found)
    output.result({"ok": ok, "findings": found})
    for one in found:
        output.line(f"{_SIGNS[one.severity]}  {one.what}")
        if one.todo:
            output.line(f"         {one.todo}")
    output.line("Nothing is wrong." if ok else "Something is wrong.")
    if not ok:
        raise typer.Exit(exits.NO)


def _accept(settings: Settings, output: Output) -> None:
    from keten.cli.operator.keeping import keeper
    from keten.keeper.protocol import ClockAccepted, Nothing

    with keeper(settings) as client:
        accepted = client.call("keeper.accept_clock", Nothing(), ClockAccepted)
    output.result({"accepted": bool(accepted.entry), "entry": accepted.entry or None})
    if accepted.entry:
        output.line(f"The clock is accepted; entry {accepted.entry} says that you looked.")
    else:
        output.line("The clock has not jumped: there is nothing to accept, and nothing was changed.")


def _examine(settings: Settings, engine: Engine) -> Iterator[Finding]:
    """Every check. One that can't be carried out is a finding itself."""
    from keten.cli.doctor import (
        backups,
        content,
        database,
        erasure,
        exporting,
        files,
        ledger,
        network,
        people,
        provider,
        recovering,
        rights,
        systems,
        watching,
    )
    from keten.cli.doctor.findings import Case, wrong
    from keten.cli.operator.keeping import connect
    from keten.cli.up.running import running
    from keten.core.errors import KetenError
    from keten.keeper.protocol import Nothing, Status

    status: Status | None = None
    try:
        client = connect(settings.paths)
        if client is not None:
            with client:
                status = client.call("keeper.status", Nothing(), Status)
    except KetenError as error:
        yield wrong("keeper", f"The keeper can't be asked: {error}.")
    case = Case(settings, engine, status, running(settings.paths))
    checks: tuple[Check, ...] = (
        ledger.keeper,
        ledger.clock,
        backups.restored,
        files.room,
        files.modes,
        files.key_kept,
        files.users,
        files.swap,
        database.server,
        network.listeners,
        network.certificate,
        network.countries,
        ledger.verified,
        content.rows,
        content.store,
        ledger.published,
        ledger.outside,
        backups.copies,
        erasure.approvers,
        erasure.waiting,
        erasure.over,
        exporting.destinations,
        systems.tables,
        people.staff,
        people.links,
        recovering.recovery,
        rights.unconfirmed,
        provider.provider,
        watching.on,
        watching.rules,
        watching.flows,
        watching.behind,
        watching.limits,
    )
    for check in checks:
        yield from _carried_out(check, case)


def _carried_out(check: Check, case: Case) -> Iterator[Finding]:
    from sqlalchemy.exc import DBAPIError

    from keten.cli.doctor.findings import wrong
    from keten.core.errors import KetenError

    try:
        yield from check(case)
    except (KetenError, OSError, DBAPIError) as error:
        name = getattr(check, "__name__", "a check")
        yield wrong(f"unknown-{name}", f"It is not known whether '{name}' is fine: {error}.")
