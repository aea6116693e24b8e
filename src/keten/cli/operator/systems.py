"""`keten systems`."""

from __future__ import annotations

import typer

from keten.cli import exits
from keten.cli.operator.keeping import keeper
from keten.cli.options import Home, Json
from keten.cli.output import Output
from keten.cli.surroundings import Surroundings


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command()(systems)


def systems(ctx: typer.Context, home: Home = "", json: Json = False) -> None:
    """The tables and views that stay in databases of your own: can they be asked, and how large are they.

    The connector asks, so the instance must run. Exit code 1 when one can't be asked, or is not what the estate says.

    Example: keten systems --home keten
    """
    from keten.keeper.system_protocol import AskSystems, SystemTables

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    with keeper(surroundings.instance(home)) as client:
        found = client.call("systems.check", AskSystems(), SystemTables)
    output.result(found)
    for one in found.tables:
        said = f"{one.code}: {one.problem}" if one.code else f"{one.form}, about {one.estimate} rows"
        output.line(f"{one.dataset:24} {one.system:16} {one.table:32} {said}")
        if one.writes:
            output.line(f"{'':24} ! Keten could change it: {one.writes}")
        if not one.code and not one.indexed:
            output.line(f"{'':24} ! no index: each lookup reads all of it")
    for name in found.unused:
        output.line(f"[systems.{name}] is set, and the estate has no such system.")
    if not found.tables:
        output.line("No dataset stays in a system.")
    if any(one.code for one in found.tables):
        raise typer.Exit(exits.NO)
